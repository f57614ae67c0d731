//! A bad config gives one sentence that names place, field and mend, and never a secret.

use std::path::Path;

use quotagraph::config::{self, Config, ConfigError};
use quotagraph::tenants::WatchedTenant;

const TENANT: &str = "[[tenants]]\nid = \"acme\"\nendpoint = \"https://k.example\"\nuser_id = \"1\"\n";

/// Puts the files into a folder and loads `quotagraph.toml` and its tenants. Paths in the error lose the folder.
fn load(files: &[(&str, &str)], env: &[(&str, &str)]) -> Result<(Config, Vec<WatchedTenant>), String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let env = || env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let short = |error: ConfigError| error.to_string().replace(&format!("{}/", folder.path().display()), "");
    let config = config::load(Some(&folder.path().join("quotagraph.toml")), env()).map_err(short)?;
    let tenants = config::load_tenants(&config, env()).map_err(short)?;
    Ok((config, tenants))
}

fn error_of(files: &[(&str, &str)], env: &[(&str, &str)]) -> String {
    load(files, env).err().unwrap_or_else(|| format!("nothing, but should be refused: {files:?} {env:?}"))
}

#[test]
fn settings_that_break_a_rule_are_named_with_file_field_and_mend() {
    let cases = [
        ("[retention]\nkeep_for = \"1h\"", "retention.keep_for: must be between 1 day and 36600 days, found 1 h"),
        (
            "[retention]\nkeep_for = \"30days\"\nthin_after = \"30days\"",
            "retention.thin_after: must be less than retention.keep_for (30 days), found 30 days",
        ),
        ("[retention]\nthin_to = \"2h\"", "retention.thin_to: must be \"1h\" or \"1d\", found 2 h"),
        ("[collector]\ninterval = \"2days\"", "collector.interval: must be between 1 s and 1 day, found 2 days"),
        ("[collector]\ninterval = \"1500ms\"", "collector.interval: must be whole seconds, found 1 s 500 ms"),
        ("[collector]\ninterval = 300", "collector.interval: must be a duration such as \"30s\" or \"5m\", found 300"),
        ("[collector]\ninterval = \"often\"", "collector.interval: must be a duration such as \"30s\" or \"5m\", found \"often\""),
        ("[collector]\ninterval = \"300\"", "collector.interval: must be a duration such as \"30s\" or \"5m\", found \"300\""),
        ("[collector]\nconcurrency = 0", "collector.concurrency: must be between 1 and 100000, found 0"),
        ("[collector]\nconcurrency = -1", "collector.concurrency: must be a whole number of 0 or more, found -1"),
        ("[collector]\nenabled = \"yes\"", "collector.enabled: must be true or false, found \"yes\""),
        ("[collector]\nintervall = \"5m\"", "collector.intervall: is not known; known are enabled, interval, concurrency"),
        (
            "[colector]\ninterval = \"5m\"",
            "colector: is not known; known are server, database, collector, retention, cache, upstream, limits, graphql, auth, cors, metrics, log, tenants, tenants_file",
        ),
        ("collector = 5", "collector: must be a table, found 5"),
        ("[cache]\nstale_for = \"1m\"", "cache.stale_for: must be at least cache.fresh_for, which is 6 min, found 1 min"),
        (
            "[upstream]\ntotal_timeout = \"1s\"",
            "upstream.total_timeout: must be at least upstream.attempt_timeout, which is 5 s, found 1 s",
        ),
        ("[upstream]\nretries = 11", "upstream.retries: must be between 0 and 10, found 11"),
        ("[upstream]\nretries = 5000000000", "upstream.retries: must be a whole number from 0 to 4294967295, found 5000000000"),
        (
            "[upstream]\nlanguage = \"en US\"",
            "upstream.language: must be one or more visible ASCII characters without spaces, found \"en US\"",
        ),
        ("[upstream]\nconnect_timeout = \"0s\"", "upstream.connect_timeout: must be between 1 ms and 100 days, found 0 s"),
        ("[limits]\ndepth = 1", "limits.depth: must be between 3 and 100, found 1"),
        ("[limits]\nroot_fields = 0", "limits.root_fields: must be between 1 and 1000000, found 0"),
        ("[limits]\ntokens = 1", "limits.tokens: must be between 10 and 100000000, found 1"),
        ("[limits]\nanswer_bytes = 1", "limits.answer_bytes: must be between 1024 and 1073741824, found 1"),
        ("[limits]\nnesting = 9", "limits.nesting: must be between 10 and 120, found 9"),
        ("[limits]\nnesting = 121", "limits.nesting: must be between 10 and 120, found 121"),
        ("[graphql]\nintrospection = 1", "graphql.introspection: must be true or false, found 1"),
        (
            "[graphql]\ntrusted_documents = \"only\"",
            "graphql.trusted_documents_file: must name the file of trusted documents, or graphql.trusted_documents must be off",
        ),
        ("[graphql]\ntrusted_documents = \"some\"", "graphql.trusted_documents: must be off or allow or only, found \"some\""),
        ("[database]\nurl = \"mysql://root:pw@h/d\"", "database.url: must start with sqlite: or postgres://"),
        ("[database]\nchanges_kept_for = \"5m\"", "database.changes_kept_for: must be at least 1h, found 5 min"),
        ("[database]\nurl = 5", "database.url: must be a string in quotes, found a number"),
        ("[log]\nformat = \"xml\"", "log.format: must be text or json, found \"xml\""),
        (
            "[log]\nfilter = \"inof\"",
            "log.filter: must be a level (error, warn, info, debug, trace) or a list like \"info,quotagraph::koodrive=debug\", found \"inof\"",
        ),
        (
            "[server]\nlisten = \"8080\"",
            "server.listen: must be a host and a port, such as \"127.0.0.1:8080\", \"[::1]:8080\" or \"localhost:8080\", or \"unix:\" and an absolute path, found \"8080\"",
        ),
        (
            "[server]\nlisten = \"0.0.0.0:8080\"",
            "server.listen: 0.0.0.0:8080 can be reached from other machines and nothing checks who asks; listen on 127.0.0.1, or say in an [auth] section who may call (mode = \"none\" there serves everybody who reaches it)",
        ),
        (
            "[server]\ndefault_tenant = \"a b\"",
            "server.default_tenant: must be 1 to 64 characters of A-Z a-z 0-9 . _ -, found \"a b\"",
        ),
        ("[server]\ndefault_tenant = \"nobody\"", "server.default_tenant: must be the id of a tenant; there is no tenant nobody"),
        (
            "[server]\ntrusted_proxies = [\"10.0.0.0/33\"]",
            "server.trusted_proxies: must be networks such as \"10.0.0.0/8\" or addresses such as \"192.0.2.1\", found \"10.0.0.0/33\"",
        ),
        ("[auth]", "auth.mode: is missing"),
        ("[auth]\nmode = \"password\"", "auth.mode: must be \"none\", \"keys\", \"jwt\" or \"keys+jwt\""),
        ("[auth]\nmode = \"keys\"", "auth.keys: must have a key in this auth.mode: `quotagraph hash-key` makes one"),
        ("[auth]\nmode = \"jwt\"", "auth.jwt: is missing; it says which tokens count in this auth.mode"),
        (
            "[auth]\nmode = \"none\"\n[auth.jwt]\nissuer = \"i\"\naudience = \"a\"\njwks_file = \"f\"",
            "auth.jwt: is of no use in this auth.mode; write mode = \"jwt\" or \"keys+jwt\"",
        ),
        ("[auth]\nmode = \"jwt\"\n[auth.jwt]\naudience = \"a\"", "auth.jwt.issuer: is missing"),
        ("[auth]\nmode = \"jwt\"\n[auth.jwt]\nissuer = \"\"\naudience = \"a\"", "auth.jwt.issuer: must not be empty"),
        ("[auth]\nmode = \"jwt\"\n[auth.jwt]\nissuer = \"i\"\naudience = \"a\"", "auth.jwt: must have jwks_url or jwks_file"),
        (
            "[auth]\nmode = \"jwt\"\n[auth.jwt]\nissuer = \"i\"\naudience = \"a\"\njwks_url = \"http://idp.example\"",
            "auth.jwt.jwks_url: must be https, or http on loopback: whoever changes the keys on the way lets anybody in",
        ),
        (
            "[auth]\nmode = \"jwt\"\n[auth.jwt]\nissuer = \"i\"\naudience = \"a\"\njwks_url = \"https://u:HUSH@idp.example\"",
            "auth.jwt.jwks_url: must have no user and no password in it; a set of public keys needs none",
        ),
        (
            "[auth]\nmode = \"keys\"\n[[auth.keys]]\nname = \"a\"\nsha256 = \"HUSH\"\ntenants = [\"*\"]\nroles = [\"READ\"]",
            "auth.keys.sha256: must be 64 hexadecimal digits, as `quotagraph hash-key` prints them (key a)",
        ),
        ("[auth]\nmode = \"none\"\n[[auth.keys]]\nname = \"portal\"", "auth.keys.0.sha256: is missing"),
        ("[server]\nlisten = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"", "line 3: duplicate key `listen` in table `server`"),
        ("\"a\\f\" = 1\n\"a\\f\" = 2", "line 2: duplicate key `a\\u{c}` in document root"),
        ("tenants = 5", "tenants: must be a list of tables, each under [[tenants]], found 5"),
        ("[tenants]\nid = \"acme\"", "tenants: must be a list of tables, each under [[tenants]], found a table"),
        ("auth = { mode = \"keys\", keys = {} }", "auth.keys: must be a list of tables, each under [[auth.keys]], found a table"),
        (
            "[auth]\nmode = \"keys\"\n[[auth.keys]]\nname = \"a\"\nsha256 = \"HUSH\"\nroles = \"READ\"",
            "auth.keys.0.roles: must be a list of strings, such as [\"a\", \"b\"], found a string",
        ),
        (
            "[auth]\nmode = \"keys\"\n[[auth.keys]]\nname = \"a\"\nsha256 = \"HUSH\"\nroles = [\"READ\"]\ntenants = \"acme\"",
            "auth.keys.0.tenants: must be a list of ids, such as [\"acme\"], or [\"*\"] for all, found a string",
        ),
        ("[cors]\nallowed_origins = 5", "cors.allowed_origins: must be a list of strings, such as [\"a\", \"b\"], found 5"),
    ];
    for (text, expected) in cases {
        assert_eq!(error_of(&[("quotagraph.toml", text)], &[]), format!("quotagraph.toml: {expected}"));
    }
}

#[test]
fn a_key_that_shows_no_tenant_is_for_the_figures_alone() {
    let with_roles = |roles: &str| {
        format!("[auth]\nmode = \"keys\"\n[[auth.keys]]\nname = \"a\"\nsha256 = \"{}\"\nroles = {roles}", "0".repeat(64))
    };
    assert!(load(&[("quotagraph.toml", &with_roles("[\"METRICS\"]"))], &[]).is_ok());
    for roles in ["[\"READ\"]", "[\"METRICS\", \"READ\"]"] {
        let error = error_of(&[("quotagraph.toml", &with_roles(roles))], &[]);
        assert_eq!(error, "quotagraph.toml: auth.keys.tenants: must name a tenant, or be [\"*\"] for all (key a)");
    }
}

#[test]
fn origins_hosts_and_addresses_that_can_never_be_are_refused() {
    let cases = [
        (
            "[cors]\nallowed_origins = [\"https://portal.example/\"]",
            "cors.allowed_origins: must be origins as browsers send them, such as \"https://portal.example\" or \"http://localhost:3000\", found \"https://portal.example/\"",
        ),
        (
            "[cors]\nallowed_origins = [\"null\"]",
            "cors.allowed_origins: must not have null, which any page can make its origin by a sandboxed frame; serve the page over http or https and name that origin, found \"null\"",
        ),
        (
            "[cors]\nallowed_origins = [\"https://portal.example\", \"https://a.*.example\"]",
            "cors.allowed_origins: must have an asterisk only for the first labels of an http or https host, such as \"https://*.portal.example\", found \"https://a.*.example\"",
        ),
        (
            "[cors]\nallowed_origins = [\"https://portal.example:443\"]",
            "cors.allowed_origins: must leave out the port that is the scheme's own (443 of https, 80 of http), as browsers do, found \"https://portal.example:443\"",
        ),
        (
            "[server]\nhosts = [\"https://quota.example\"]",
            "server.hosts: must be host names such as \"quota.example\", without scheme, port and path, found \"https://quota.example\"",
        ),
        (
            "[server]\nhosts = [\"quota.example:8080\"]",
            "server.hosts: must be host names such as \"quota.example\", without scheme, port and path, found \"quota.example:8080\"",
        ),
        (
            "[metrics]\nlisten = \"9464\"",
            "metrics.listen: must be an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\", found \"9464\"",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(error_of(&[("quotagraph.toml", text)], &[]), format!("quotagraph.toml: {expected}"));
    }
}

#[test]
fn tenants_that_break_a_rule_are_named_by_id() {
    let app = "[tenants.auth]\napp_id = \"a\"\n";
    let cases = [
        (TENANT.to_owned(), "tenant acme: auth: is missing"),
        (
            format!("{TENANT}[tenants.auth]"),
            "tenant acme: auth: must have app_id with app_secret_env or app_secret_file, or else token_env or token_file",
        ),
        (format!("{TENANT}{app}"), "tenant acme: auth: must have app_secret_env or app_secret_file"),
        (
            format!("{TENANT}{app}app_secret_env = \"A\"\napp_secret_file = \"b\""),
            "tenant acme: auth: must have app_secret_env or app_secret_file, not both",
        ),
        (
            format!("{TENANT}{app}token_env = \"A\""),
            "tenant acme: auth: must be an app (app_id, app_secret_…) or a token (token_…), not both",
        ),
        (
            format!("{TENANT}{app}app_secret = \"HUSH\""),
            "tenant acme: auth.app_secret: must not be in the config; put the value into an environment variable and name it in app_secret_env, or into a file and name it in app_secret_file",
        ),
        (
            format!("{TENANT}[tenants.auth]\ntoken = \"HUSH\""),
            "tenant acme: auth.token: must not be in the config; put the value into an environment variable and name it in token_env, or into a file and name it in token_file",
        ),
        (
            format!("{TENANT}{app}app_secret_env = \"ACME_SECRET\""),
            "tenant acme: auth.app_secret_env: the environment variable ACME_SECRET is not set",
        ),
        (
            format!("{TENANT}{app}app_secret_env = \"EMPTY_SECRET\""),
            "tenant acme: auth.app_secret_env: the environment variable EMPTY_SECRET is empty",
        ),
        (format!("{TENANT}{app}app_secret_env = \"EMPTY\""), "tenant acme: auth.app_secret_env: the environment variable is empty"),
        (
            format!("{TENANT}{app}app_secret_env = \"HUSH\""),
            "tenant acme: auth.app_secret_env: must be the name of an environment variable that is set; the secret itself does not belong here",
        ),
        (
            format!("{TENANT}{app}app_secret_file = \"missing\""),
            "tenant acme: auth.app_secret_file: missing cannot be read: No such file or directory (os error 2)",
        ),
        (format!("{TENANT}{app}app_secret_file = \"blank\""), "tenant acme: auth.app_secret_file: blank is empty"),
        (
            format!("{TENANT}{app}app_secret_env = [\"HUSH\"]"),
            "tenant acme: auth.app_secret_env: must be a string in quotes, found a list",
        ),
        (format!("{TENANT}auth = \"HUSH\""), "tenant acme: auth: must be a table, found a string"),
        (
            format!("{TENANT}[tenants.auth]\ntoken_env = \"TWO_LINES\""),
            "tenant acme: auth.token_env: the token must be visible ASCII characters without spaces and line breaks",
        ),
        (
            format!("{TENANT}[tenants.auth]\napp_id = \"a,b\"\napp_secret_env = \"SECRET\""),
            "tenant acme: auth.app_id: must be one or more visible ASCII characters without spaces and commas",
        ),
        (
            TENANT.replace("\"1\"", "1505084218764547200"),
            "tenant acme: user_id: must be a string in quotes, found 1505084218764547200",
        ),
        (TENANT.replace("id = \"acme\"\n", ""), "tenant number 1: id: is missing"),
        (TENANT.replace("https://", "ftp://"), "tenant acme: endpoint: must be an https URL"),
        (
            TENANT.replace("https://", "http://"),
            "tenant acme: endpoint: must be https, since http shows the credential to everybody on the way; allow_http = true under [upstream] permits it",
        ),
        (
            TENANT.replace("k.example", "me:HUSH@k.example"),
            "tenant acme: endpoint: must be scheme, host and port only, without user, password, path, query and fragment",
        ),
        (
            TENANT.replace("k.example", "k.example/koodrive/ose/v1/space/allocation/get"),
            "tenant acme: endpoint: must be scheme, host and port only, without user, password, path, query and fragment",
        ),
        (
            TENANT.replace("https://k.example", "k.example"),
            "tenant acme: endpoint: must be a URL such as \"https://koodrive.example\"",
        ),
        (format!("{TENANT}labels = {{ rank = 1 }}"), "tenant acme: labels.rank: must be a string in quotes, found 1"),
        (
            format!("{TENANT}colour = \"red\""),
            "tenant acme: colour: is not known; known are id, name, endpoint, user_id, labels, auth",
        ),
    ];
    let env = [("SECRET", "s"), ("EMPTY_SECRET", "\n"), ("EMPTY", ""), ("TWO_LINES", "HUSH\nHUSH")];
    for (text, expected) in cases {
        // The cases about one field have no credential; give them one where they are not about that.
        let needs_auth = !expected.contains("auth") && !text.contains("[tenants.auth]");
        let auth = if needs_auth { "\n[tenants.auth]\napp_id = \"a\"\napp_secret_env = \"SECRET\"\n" } else { "" };
        let error = error_of(&[("quotagraph.toml", &format!("{text}{auth}")), ("blank", "\n")], &env);
        assert_eq!(error, format!("quotagraph.toml: {expected}"));
        assert!(!error.contains("HUSH"), "{error}");
    }
}

#[test]
fn variables_are_named_when_they_are_wrong() {
    let cases = [
        ("QUOTAGRAPH_COLLECTOR__INTERVAL", "2days", "must be between 1 s and 1 day, found 2 days"),
        ("QUOTAGRAPH_UPSTREAM__RETRIES", "many", "must be a whole number from 0 to 4294967295, found \"many\""),
        ("QUOTAGRAPH_COLLECTOR__ENABLED", "perhaps", "must be true or false, found \"perhaps\""),
        (
            "QUOTAGRAPH_SERVER__PORT",
            "80",
            "is not known; known are listen, default_tenant, hosts, trusted_proxies, tls, header_timeout, keep_alive, connections, drain_delay, shutdown_timeout",
        ),
        ("QUOTAGRAPH_AUTH__MODE", "token", "must be \"none\", \"keys\", \"jwt\" or \"keys+jwt\""),
        ("QUOTAGRAPH_LOG__FORMAT", "xml", "must be text or json, found \"xml\""),
        (
            "QUOTAGRAPH_SERVER__TRUSTED_PROXIES",
            "10.0.0.0/8, 10.0.0.0/33",
            "must be networks such as \"10.0.0.0/8\" or addresses such as \"192.0.2.1\", found \"10.0.0.0/33\"",
        ),
        (
            "QUOTAGRAPH_SERVER__TRUSTED_PROXIES",
            "[\"10.0.0.0/8\"",
            "must be a list, such as [\"a\", \"b\"], or its texts with commas between them",
        ),
        (
            "QUOTAGRAPH_CORS__ALLOWED_ORIGINS",
            "https://portal.example/",
            "must be origins as browsers send them, such as \"https://portal.example\" or \"http://localhost:3000\", found \"https://portal.example/\"",
        ),
        ("QUOTAGRAPH_SERVER__TLS", "key.pem", "must be a table, such as { key = \"value\" }"),
        ("QUOTAGRAPH_SERVER__TLS__KEYS", "key.pem", "is not known; known are certificate_file, key_file"),
        ("QUOTAGRAPH_SERVER__TLS", "{ key_file = \"key.pem\" }", "server.tls.certificate_file: is missing"),
        (
            "QUOTAGRAPH_AUTH__KEYS",
            "[{\"name\": \"HUSH\"",
            "must be a list, such as [\"a\", \"b\"], or its texts with commas between them",
        ),
        ("DATABASE_URL", "mysql://root:HUSH@h/d", "must start with sqlite: or postgres://"),
        (
            "QUOTAGRAPH_LISTEN",
            "127.0.0.1:80",
            "is not a setting; settings are named QUOTAGRAPH_SECTION__FIELD, and variables for other things need another prefix",
        ),
    ];
    for (name, value, expected) in cases {
        assert_eq!(error_of(&[("quotagraph.toml", "")], &[(name, value)]), format!("{name}: {expected}"));
    }
}

#[test]
fn the_environment_wins_and_texts_that_look_like_numbers_stay_texts() {
    let files = [(
        "quotagraph.toml",
        "[server]\nlisten = \"127.0.0.1:1\"\n[[tenants]]\nid = \"123\"\nendpoint = \"http://127.0.0.1:9\"\nuser_id = \"1\"\n[tenants.auth]\ntoken_env = \"T\"",
    )];
    let env = [
        ("QUOTAGRAPH_SERVER__LISTEN", "0.0.0.0:2"),
        ("QUOTAGRAPH_SERVER__DEFAULT_TENANT", "123"),
        ("QUOTAGRAPH_AUTH__MODE", "none"),
        ("QUOTAGRAPH_COLLECTOR__ENABLED", "false"),
        ("QUOTAGRAPH_CACHE__MAX_TENANTS", "7"),
        ("QUOTAGRAPH_UPSTREAM__LANGUAGE", "5"),
        ("T", "12345"),
    ];
    let (config, tenants) = load(&files, &env).unwrap();
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:2");
    assert_eq!(config.server.default_tenant.unwrap().as_str(), "123");
    assert!(!config.collector.enabled);
    assert_eq!(config.cache.max_tenants, 7);
    assert_eq!(config.upstream.language, "5");
    assert_eq!(tenants[0].tenant.name, "123");
}

#[test]
fn lists_and_tables_can_be_set_by_the_environment_in_several_forms() {
    let networks = ["10.0.0.0/8", "192.0.2.1/32"];
    for list in
        ["10.0.0.0/8,192.0.2.1", " 10.0.0.0/8 , 192.0.2.1, ", "[\"10.0.0.0/8\", \"192.0.2.1\"]", "['10.0.0.0/8',\n'192.0.2.1',]"]
    {
        let files = [("quotagraph.toml", "[server]\ntrusted_proxies = [\"127.0.0.1\"]")];
        let (config, _) = load(&files, &[("QUOTAGRAPH_SERVER__TRUSTED_PROXIES", list)]).unwrap();
        assert_eq!(config.server.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(), networks, "{list}");
    }
    let (config, _) = load(&[("quotagraph.toml", "")], &[("QUOTAGRAPH_CORS__ALLOWED_ORIGINS", "")]).unwrap();
    assert!(config.cors.allowed_origins.is_empty());
    let env = [("QUOTAGRAPH_CORS__ALLOWED_ORIGINS", "https://a.example, http://localhost:3000"), ("QUOTAGRAPH_SERVER__HOSTS", "1")];
    let (config, _) = load(&[("quotagraph.toml", "")], &env).unwrap();
    assert_eq!(config.cors.allowed_origins, ["https://a.example", "http://localhost:3000"]);
    assert_eq!(config.server.hosts, ["1"]);
    for tls in [
        vec![("QUOTAGRAPH_SERVER__TLS", "{ certificate_file = \"c.pem\", key_file = \"k.pem\" }")],
        vec![("QUOTAGRAPH_SERVER__TLS", "{\"certificate_file\": \"c.pem\", \"key_file\": \"k.pem\"}")],
        vec![("QUOTAGRAPH_SERVER__TLS__CERTIFICATE_FILE", "c.pem"), ("QUOTAGRAPH_SERVER__TLS__KEY_FILE", "k.pem")],
    ] {
        let (config, _) = load(&[("quotagraph.toml", "")], &tls).unwrap();
        assert!(config.server.tls.is_some_and(|tls| tls.key_file.ends_with("k.pem")), "{tls:?}");
    }
}

#[test]
fn a_syntax_error_does_not_repeat_the_line_since_a_secret_may_stand_on_it() {
    let error = error_of(&[("quotagraph.toml", "[[tenants]]\nid = \"acme\"\nauth = { app_secret = HUSH }")], &[]);
    assert!(error.starts_with("quotagraph.toml: line 3: "), "{error}");
    assert!(!error.contains("HUSH") && !error.contains('\n'), "{error}");
}

#[test]
fn a_string_without_quotes_is_named_by_its_field() {
    for (line, field) in [("listen = 127.0.0.1:80", "listen"), ("  \"listen\"=0.0.0.0:80 # HUSH", "listen"), ("a.b = HUSH", "a.b")]
    {
        let error = error_of(&[("quotagraph.toml", &format!("[server]\n{line}"))], &[]);
        assert_eq!(error, format!("quotagraph.toml: line 2: {field}: a string must be in quotes"));
    }
    for line in ["listen = \"127", "listen = [1", "listen = 5 5", "HUSH HUSH = x", "a = True", "a = 1.5\na = 1.5"] {
        let error = error_of(&[("quotagraph.toml", &format!("[server]\n{line}"))], &[]);
        assert!(error.starts_with("quotagraph.toml: line ") && !error.contains("quotes") && !error.contains("HUSH"), "{error}");
    }
}

#[test]
fn tenants_of_two_files_are_one_list_with_ids_unique_over_both() {
    let more = |id: &str| {
        format!("[[tenants]]\nid = \"{id}\"\nendpoint = \"https://k.example\"\nuser_id = \"2\"\nauth.token_file = \"token\"")
    };
    let own = format!("tenants_file = \"more.toml\"\n{TENANT}auth.app_id = \"a\"\nauth.app_secret_env = \"S\"");
    let env = [("S", "s")];
    let files = |more: &str| load(&[("quotagraph.toml", &own), ("more.toml", more), ("token", "t\n")], &env);

    let (_, tenants) = files(&more("globex")).unwrap();
    let ids: Vec<&str> = tenants.iter().map(|t| t.tenant.id.as_str()).collect();
    assert_eq!(ids, ["acme", "globex"]);

    let error = files(&more("acme")).unwrap_err();
    assert_eq!(error, "more.toml: tenant acme: id: must be unique; quotagraph.toml has another tenant of this id");
    let error = files("[server]").unwrap_err();
    assert_eq!(error, "more.toml: server: is not known; known are tenants");
    let error = load(&[("quotagraph.toml", &own)], &env).unwrap_err();
    assert_eq!(error, "quotagraph.toml: tenants_file: more.toml cannot be read: No such file or directory (os error 2)");
}

#[test]
fn a_missing_config_file_is_named() {
    let error = config::load(Some(Path::new("no/such/file.toml")), []).unwrap_err();
    assert_eq!(error.to_string(), "no/such/file.toml: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn no_message_repeats_a_long_value_nor_what_is_hidden() {
    let long = "Q".repeat(5000);
    let key = |name: &str| {
        format!(
            "[auth]\nmode = \"keys\"\n[[auth.keys]]\nname = \"{name}\"\nsha256 = \"{}\"\ntenants = [\"zz\"]\nroles = [\"READ\"]\n",
            "a".repeat(64)
        )
    };
    for (text, expected) in [
        (TENANT.replace("\"acme\"", &format!("\"{long}\"")), "Q…: id: "),
        (TENANT.replace("\"acme\"", &format!("\"{long} x\"")), "id: "),
        (TENANT.replace("\"acme\"", "\"a\\u202e\\nb\""), "tenant a\\u{202e}\\nb: id: "),
        (format!("{TENANT}auth = {{ app_id = \"a\", app_secret_env = \"Q_{long}\" }}"), "is not set"),
        (key(&long), "auth.keys.name: must have at most 128 characters"),
        (format!("[server]\nconnections = {}\n", "9".repeat(5000)), "line 2: "),
    ] {
        let sentence = error_of(&[("quotagraph.toml", &text)], &[]);
        assert!(sentence.contains(expected), "{sentence:.600}");
        assert!(!sentence.contains(&long[..201]) && !sentence.contains(&"9".repeat(201)), "{sentence:.600}");
        assert!(!sentence.contains("a string must be in quotes"), "{sentence}");
    }
}
