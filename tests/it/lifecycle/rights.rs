//! Who may call, changed in the config while `serve` runs.

use std::time::{Duration, Instant};

use quotagraph::access::KeyDigest;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::support::app::{Database, tenant};
use crate::support::issuer::{ISSUER, SigningKey, set_of};
use crate::support::outage::Flow;
use crate::support::process::{patiently, until};
use crate::support::site::{Service, Site};

fn api_key(name: &str) -> String {
    let sha256 = KeyDigest::of(&format!("key of {name}"));
    format!("[[auth.keys]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\ntenants = [\"*\"]\nroles = [\"READ\"]\n")
}

/// A site whose config has these settings, an `[auth]` section and a tenant.
async fn site(settings: &str, auth: &str) -> Site {
    let site = Site::new("", &[tenant("acme", 1, 10)]).await;
    write(&site, settings, auth);
    site
}

fn write(site: &Site, settings: &str, auth: &str) {
    let head = "server.listen = \"127.0.0.1:0\"\ncollector.enabled = false\n";
    site.write("quotagraph.toml", &format!("{head}{settings}\n{auth}\n{}", site.tables(&[tenant("acme", 1, 10)])));
}

fn keys(names: &[&str]) -> String {
    let keys: String = names.iter().map(|name| api_key(name)).collect();
    format!("[auth]\nmode = \"keys\"\n{keys}")
}

async fn status(service: &Service, header: (&str, &str)) -> u16 {
    let body = json!({ "query": "{ tenant { id } }" }).to_string();
    let request = service.client.post(format!("{}/graphql", service.base)).header(CONTENT_TYPE, "application/json").body(body);
    patiently("an answer", request.header(header.0, header.1).send()).await.unwrap().status().as_u16()
}

async fn status_of(service: &Service, name: &str) -> u16 {
    status(service, ("X-Api-Key", &format!("key of {name}"))).await
}

#[tokio::test]
async fn a_key_that_is_removed_from_the_config_does_not_count_a_second_later() {
    let site = site("", &keys(&["gone", "stays"])).await;
    let service = site.serve().await;
    assert_eq!((status_of(&service, "gone").await, status_of(&service, "stays").await), (200, 200));
    write(&site, "", &keys(&["stays", "new"]));
    let written = Instant::now();
    while status_of(&service, "gone").await != 401 {
        assert!(written.elapsed() < Duration::from_secs(1), "the key counts still");
    }
    assert_eq!((status_of(&service, "stays").await, status_of(&service, "new").await), (200, 200));
    let finished = service.terminate().await;
    assert!(finished.stderr.contains("who may call was replaced keys=2 tokens=false"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("after a restart"), "{}", finished.stderr);
}

#[tokio::test]
async fn a_bad_version_of_who_may_call_is_refused_with_what_to_mend_and_the_old_one_stays() {
    let site = site("", &keys(&["k"])).await;
    let mut service = site.serve().await;
    let open = "restart it if that is meant";
    for (auth, mend) in [
        (keys(&["k"]).replace("READ", "RULE"), "auth.keys.roles: must be of READ, REFRESH, EXPORT, METRICS and ADMIN (key k)"),
        (keys(&["k"]).replace("mode = \"keys\"", "mode = \"key\""), "auth.mode: must be "),
        (keys(&["k"]).replace("roles", "rolls"), "auth.keys.0.rolls: is not known"),
        ("[auth]\nmode = \"jwt\"".to_owned(), "auth.jwt: is missing"),
        ("[auth]\nmode = \"none\"".to_owned(), open),
        (String::new(), open),
        ("[auth".to_owned(), "line "),
    ] {
        let before = service.process.stderr.text().len();
        write(&site, "", &auth);
        let refused = |text: &str| {
            let line = |line: &&str| line.contains("who may call was not replaced; the former rules stay in force");
            text.get(before..).and_then(|text| text.lines().find(line)).map(str::to_owned)
        };
        let text = service.process.stderr.until("a refusal", |text| refused(text).is_some()).await;
        let line = refused(&text).unwrap();
        assert!(line.contains("ERROR") && line.contains(mend), "{line}");
        assert_eq!((status_of(&service, "k").await, status_of(&service, "other").await), (200, 401));
    }
    write(&site, "", &keys(&["other"]));
    service.process.stderr.line("who may call was replaced").await;
    assert_eq!((status_of(&service, "k").await, status_of(&service, "other").await), (401, 200));
    assert_eq!(service.terminate().await.code, Some(0));
}

#[tokio::test]
async fn who_may_call_does_not_wait_for_the_database() {
    let (database, way) = Database::cuttable().await;
    let url = format!("database.url = \"{}\"\ndatabase.acquire_timeout = \"30s\"", database.url());
    let site = site(&url, &keys(&["gone", "stays"])).await;
    let mut service = site.serve().await;
    assert_eq!((status_of(&service, "gone").await, status_of(&service, "stays").await), (200, 200));
    way.set_flow(Flow::Hanging);
    // Of another tenant the database is to be told, which takes as long as it is away.
    let head = format!("server.listen = \"127.0.0.1:0\"\ncollector.enabled = false\n{url}\n");
    let tables = site.tables(&[tenant("acme", 1, 10), tenant("aurora-foods", 1, 10)]);
    site.write("quotagraph.toml", &format!("{head}{}{tables}", keys(&["gone", "stays"])));
    service.process.stderr.line("the tenants were replaced tenants=2").await;
    site.write("quotagraph.toml", &format!("{head}{}{tables}", keys(&["stays"])));
    let written = Instant::now();
    while status_of(&service, "gone").await != 401 {
        assert!(written.elapsed() < Duration::from_secs(1), "the key counts still");
    }
    assert_eq!(status_of(&service, "stays").await, 200);
    way.set_flow(Flow::Free);
    drop(service);
}

#[tokio::test]
async fn who_may_call_and_the_tenants_of_one_version_are_taken_over_together_or_not_at_all() {
    let site = site("", &keys(&["gone", "stays"])).await;
    let mut service = site.serve().await;
    let head = "server.listen = \"127.0.0.1:0\"\ncollector.enabled = false\n";
    let both = site.tables(&[tenant("acme", 1, 10), tenant("aurora-foods", 1, 10)]);
    site.write("quotagraph.toml", &format!("{head}{}{both}", keys(&["gone"]).replace("READ", "READX")));
    let line = service.process.stderr.line("who may call was not replaced").await;
    assert!(line.contains("the tenants were not replaced") && line.contains("READ, REFRESH"), "{line}");
    assert!(!service.process.stderr.text().contains("the tenants were replaced"));
    // Where the tenants are wrong, what is taken away is in force all the same, and nothing else.
    let broken = both.replace("acme.secret", "no such file");
    site.write("quotagraph.toml", &format!("{head}{}{broken}", keys(&["stays", "new"])));
    service.process.stderr.line("only what is taken away is in force").await;
    assert_eq!((status_of(&service, "gone").await, status_of(&service, "stays").await), (401, 200));
    assert_eq!(status_of(&service, "new").await, 401);
    site.write("quotagraph.toml", &format!("{head}{}{both}", keys(&["stays", "new"])));
    service.process.stderr.line("the tenants were replaced tenants=2").await;
    assert_eq!((status_of(&service, "stays").await, status_of(&service, "new").await), (200, 200));
    assert_eq!(service.terminate().await.code, Some(0));
}

#[tokio::test]
async fn a_key_for_a_tenant_that_is_not_there_is_warned_of_at_the_start_and_at_a_reload() {
    let named = |id: &str| keys(&["k"]).replace("[\"*\"]", &format!("[\"acme\", \"{id}\"]"));
    let site = site("", &named("acem")).await;
    let mut service = site.serve().await;
    for id in ["acem", "northwind"] {
        write(&site, "", &named(id));
        let line = service.process.stderr.line(&format!("key=k tenant={id}")).await;
        assert!(line.contains("WARN") && line.contains("an API key names a tenant that the config does not have"), "{line}");
    }
    let finished = service.terminate().await;
    assert!(!finished.stderr.contains("tenant=acme"), "{}", finished.stderr);
}

#[tokio::test]
async fn what_follows_from_having_auth_at_all_is_said_to_need_a_restart() {
    let site = site("", "").await;
    let mut service = site.serve().await;
    write(&site, "", &keys(&["k"]));
    let line = service.process.stderr.line("[auth] is in force, but the service began without it").await;
    assert!(line.contains("WARN") && line.contains("(server.hosts)") && line.contains("limits.requests_per_second"), "{line}");
    assert_eq!((status_of(&service, "k").await, status_of(&service, "other").await), (200, 401));
    write(&site, "", &keys(&["k", "other"]));
    service.process.stderr.line("who may call was replaced keys=2").await;
    let finished = service.terminate().await;
    assert_eq!(finished.stderr.matches("the service began without it").count(), 1, "{}", finished.stderr);
}

#[tokio::test]
async fn a_hang_up_reads_who_may_call_again() {
    let site = site("", &keys(&["k"])).await;
    let mut service = site.serve().await;
    service.process.signal("HUP");
    service.process.stderr.line("who may call is as it was").await;
    service.process.stderr.line("the tenants were replaced").await;
    write(&site, "", &keys(&[]));
    service.process.signal("HUP");
    service.process.stderr.line("no API key is left").await;
    assert_eq!(status_of(&service, "k").await, 401);
    assert_eq!(service.terminate().await.code, Some(0));
}

#[tokio::test]
async fn other_settings_that_have_changed_are_named_once_without_their_values() {
    let auth = keys(&["k"]);
    let site = site("limits.tokens = 4000\ndatabase.url = \"sqlite:one.db\"\nserver.shutdown_timeout = \"10s\"", &auth).await;
    let mut command = site.command(&["serve"]);
    command.env("QUOTAGRAPH_LIMITS__BATCH", "7");
    let mut service = Service::start(command).await;
    // The environment wins, another word for the same time is no change, and a default that is written down is none.
    let same = "limits.tokens = 4000\nlimits.batch = 3\ncache.stale_for = \"1day\"\ndatabase.url = \"sqlite:one.db\"\nserver.shutdown_timeout = \"10000ms\"";
    write(&site, same, &keys(&["k", "first"]));
    service.process.stderr.line("keys=2").await;
    write(&site, "limits.tokens = 3000\nlimits.depth = 9\ndatabase.url = \"sqlite:secret-name.db\"", &keys(&["k"]));
    let line = service.process.stderr.line("take effect only after a restart").await;
    assert!(line.contains("WARN") && line.contains("settings=\"database.url, limits.depth, limits.tokens\""), "{line}");
    service.process.stderr.line("keys=1").await;
    // The same once more says nothing, something else does.
    write(&site, "limits.tokens = 3000\nlimits.depth = 9\ndatabase.url = \"sqlite:secret-name.db\"", &keys(&["k", "l", "m"]));
    service.process.stderr.line("keys=3").await;
    write(&site, "limits.tokens = 1", &keys(&["k", "l", "m"]));
    let line = service.process.stderr.line("the service would not start with the config as it is now").await;
    assert!(line.contains("limits.tokens: must be between 10 and"), "{line}");
    let finished = service.terminate().await;
    assert_eq!(finished.stderr.matches("take effect only after a restart").count(), 2, "{}", finished.stderr);
    assert!(!finished.stderr.contains("secret-name"), "{}", finished.stderr);
}

fn jwt(site: &Site) -> String {
    let file = site.path().join("jwks.json");
    format!(
        "[auth]\nmode = \"jwt\"\n[auth.jwt]\njwks_file = \"{}\"\nissuer = \"{ISSUER}\"\naudience = \"quotagraph\"\n",
        file.display()
    )
}

#[expect(clippy::disallowed_methods, reason = "the process has the system's clock")]
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": "quotagraph", "sub": "alice", "exp": now() + 600, "tenants": "acme other", "roles": "openid READ" })
}

#[tokio::test]
async fn keys_of_an_issuer_that_are_taken_out_of_their_file_do_not_count_a_second_later() {
    let (withdrawn, kept) = (SigningKey::ed25519("withdrawn"), SigningKey::p256("kept"));
    let site = Site::new("", &[tenant("acme", 1, 10)]).await;
    site.write("jwks.json", &set_of(&[&withdrawn, &kept]));
    write(&site, "", &jwt(&site));
    let service = site.serve().await;
    let by = async |key: &SigningKey| status(&service, (AUTHORIZATION.as_str(), &format!("Bearer {}", key.token(&claims())))).await;
    let token = format!("Bearer {}", withdrawn.token(&claims()));
    assert_eq!((status(&service, ("Authorization", &token)).await, by(&kept).await), (200, 200));
    site.write("jwks.json", &set_of(&[&kept]));
    let written = Instant::now();
    while status(&service, ("Authorization", &token)).await != 401 {
        assert!(written.elapsed() < Duration::from_millis(1500), "the token counts still");
    }
    assert_eq!(by(&kept).await, 200);
    // A file that is no set for a moment changes nothing.
    site.write("jwks.json", "{");
    site.write("jwks.json", "{\"keys\":[]}");
    let written = Instant::now();
    while by(&kept).await != 401 {
        assert!(written.elapsed() < Duration::from_millis(1500), "the token counts still");
    }
    assert_eq!(service.terminate().await.code, Some(0));
}

#[tokio::test]
async fn a_file_of_keys_that_comes_after_the_config_that_names_it_is_taken_over_with_it() {
    let site = site("", &keys(&["k"])).await;
    let mut service = site.serve().await;
    assert_eq!(status_of(&service, "k").await, 200);
    let key = SigningKey::ed25519("late");
    write(&site, "", &jwt(&site));
    let line = service.process.stderr.line("who may call was not replaced").await;
    assert!(line.contains("jwks.json"), "{line}");
    site.write("jwks.json", &set_of(&[&key]));
    service.process.stderr.line("who may call was replaced keys=0 tokens=true").await;
    let by_token = status(&service, (AUTHORIZATION.as_str(), &format!("Bearer {}", key.token(&claims())))).await;
    assert_eq!((status_of(&service, "k").await, by_token), (401, 200));
    assert_eq!(service.terminate().await.code, Some(0));
}

#[tokio::test]
async fn the_audit_log_names_the_true_reason_and_what_a_token_lacks() {
    let (key, other) = (SigningKey::ed25519("k"), SigningKey::ed25519("k"));
    let site = Site::new("", &[tenant("acme", 1, 10)]).await;
    site.write("jwks.json", &set_of(&[&key, &SigningKey::p256("k")]));
    write(&site, "", &format!("{}roles_claim = \"realm_access.roles\"\n", jwt(&site)));
    let mut service = site.serve().await;
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        claims
    };
    let bearer = |token: String| format!("Bearer {token}");
    let cases = [
        (bearer(other.token(&claims())), "the token's signature is not that of the issuer's key"),
        (bearer(SigningKey::ed25519("unknown").token(&claims())), "the issuer has no such key, or none of that algorithm"),
        (bearer(key.token(&with("exp", json!(now() - 100)))), "the token has expired"),
        (bearer(key.token(&with("nbf", json!(now() + 100)))), "the token is not valid yet"),
        (bearer(key.token(&with("aud", json!("other")))), "the token is for another audience"),
        (bearer(key.token(&with("iss", json!("https://other.example")))), "the token is of another issuer"),
        (bearer(key.token(&with("iss", json!([ISSUER])))), "the token's iss is not a text"),
        (bearer(key.token(&with("aud", json!(5)))), "the token's aud is not a text, or a list of texts"),
        (bearer(key.token(&with("exp", json!("soon")))), "the token's exp is not a number of seconds since 1970"),
        (bearer(key.token(&with("sub", json!(7)))), "the token's sub is missing or no name for a log"),
        (bearer(key.token_with(&json!({ "alg": "HS256", "kid": "k" }), &claims())), "the token's algorithm is not"),
        (bearer("a.b.c".to_owned()), "the token is malformed"),
        ("Basic YTpi".to_owned(), "Authorization has another scheme than Bearer and ApiKey"),
        (key.token(&claims()), "Authorization has no scheme"),
        ("Bearer".to_owned(), "Authorization has nothing after its scheme"),
        ("ApiKey k".to_owned(), "credentials were sent of a kind that auth.mode does not accept"),
    ];
    for (authorization, reason) in cases {
        let before = service.process.stderr.text().len();
        assert_eq!(status(&service, ("Authorization", &authorization)).await, 401, "{reason}");
        let text = service.process.stderr.until(reason, |text| text[before..].contains(reason)).await;
        let line = text[before..].lines().find(|line| line.contains(reason)).unwrap().to_owned();
        assert!(line.contains("outcome=\"UNAUTHENTICATED\"") && line.contains("request refused"), "{line}");
    }
    // What a good token does not give is told once, however often it comes.
    let lacking = bearer(key.token(&with("tenants", json!([]))));
    for _ in 0..5 {
        assert_eq!(status(&service, ("Authorization", &lacking)).await, 200);
    }
    let expected = "the token gives no tenant and no role; looked for ids of tenants that are watched, or \"*\" alone, in the claim that \
                    auth.jwt.tenants_claim names, and for READ, REFRESH, EXPORT, METRICS or ADMIN in the claim that auth.jwt.roles_claim names";
    service.process.stderr.line(expected).await;
    let finished = service.terminate().await;
    assert_eq!(finished.stderr.matches("the token gives no ").count(), 1, "{}", finished.stderr);
    for part in [
        "roles_claim=\"realm_access.roles\" roles_found=\"no such claim\"",
        "tenants_claim=\"tenants\" tenants_found=\"no text\"",
        "principal=alice by=\"token\"",
    ] {
        assert!(finished.stderr.contains(part), "{part}: {}", finished.stderr);
    }
}

/// Waits until a key counts or no longer counts, with what the log says on the way.
async fn until_status(service: &Service, name: &str, status: u16) {
    let what = format!("{name} with {status}");
    until(&what, async || status_of(service, name).await == status).await;
}

#[tokio::test]
async fn a_mistake_that_is_taken_back_leaves_everything_as_it_was() {
    let site = site("", &keys(&["one", "other"])).await;
    let service = site.serve().await;
    // A key goes with tenants that cannot be had, then with tenants that are malformed; each time all comes back.
    for broken in [site.tables(&[tenant("acme", 1, 10)]).replace("acme.secret", "no such file"), "[[tenants]]\nid = 7\n".to_owned()]
    {
        let head = "server.listen = \"127.0.0.1:0\"\ncollector.enabled = false\n";
        site.write("quotagraph.toml", &format!("{head}{}{broken}", keys(&["one"])));
        until_status(&service, "other", 401).await;
        assert_eq!(status_of(&service, "one").await, 200);
        write(&site, "", &keys(&["one", "other"]));
        until_status(&service, "other", 200).await;
    }
    assert_eq!(service.terminate().await.code, Some(0));
}

#[tokio::test]
async fn tenants_that_were_refused_together_with_who_may_call_are_taken_over_once_that_is_mended() {
    let both = [tenant("acme", 1, 10), tenant("aurora-foods", 1, 10)];
    let site = Site::new("", &both).await;
    let head = "server.listen = \"127.0.0.1:0\"\ncollector.enabled = false\n";
    let write = |auth: &str, tables: &str| site.write("quotagraph.toml", &format!("{head}{auth}{tables}"));
    write(&keys(&["one"]), &site.tables(&both));
    let mut service = site.serve().await;
    let seen = async |service: &Service| {
        let url = format!("{}/graphql?query=%7Btenants%7Bnodes%7Bid%7D%7D%7D", service.base);
        let request = service.client.get(url).header("X-Api-Key", "key of one");
        patiently("an answer", request.send()).await.unwrap().text().await.unwrap()
    };
    assert!(seen(&service).await.contains("aurora-foods"));
    // Whoever comes would be let in, which is refused, and with it the tenants of the same version.
    write("", &site.tables(&both[..1]));
    service.process.stderr.line("the tenants were not replaced").await;
    assert!(seen(&service).await.contains("aurora-foods"));
    write(&keys(&["one"]), &site.tables(&both[..1]));
    until("the new tenants", async || !seen(&service).await.contains("aurora-foods")).await;
    assert_eq!(service.terminate().await.code, Some(0));
}

#[tokio::test]
async fn a_secret_that_is_replaced_after_a_mistake_was_taken_back_is_noticed() {
    let site = site("", &keys(&["one"])).await;
    let mut service = site.serve().await;
    let head = "server.listen = \"127.0.0.1:0\"\ncollector.enabled = false\n";
    let tables = site.tables(&[tenant("acme", 1, 10)]);
    let broken = tables.replace("app_secret_file = \"acme.secret\"", "app_secret_env = \"NOT_THERE\"");
    site.write("quotagraph.toml", &format!("{head}{}{broken}", keys(&["one"])));
    service.process.stderr.line("the tenants were not replaced").await;
    site.write("quotagraph.toml", &format!("{head}{}{tables}", keys(&["one"])));
    service.process.stderr.line("the tenants were replaced tenants=1").await;
    site.write("acme.secret", "another one\n");
    service.process.stderr.line("the tenants were replaced tenants=1").await;
    assert_eq!(service.terminate().await.code, Some(0));
}
