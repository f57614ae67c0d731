//! Changes of tenants are noticed and loaded; a bad version is an error and what was loaded stays with the caller.

use std::path::Path;

use quotagraph::config::{self, Config, TenantsWatch};
use quotagraph::koodrive::Credential;
use secrecy::ExposeSecret;

fn write_tenants(folder: &Path, file: &str, ids: &[&str]) {
    let tenant = |id: &&str| {
        format!("[[tenants]]\nid = \"{id}\"\nendpoint = \"https://k.example\"\nuser_id = \"1\"\nauth.token_file = \"{id}.token\"")
    };
    let tenants: Vec<String> = ids.iter().map(tenant).collect();
    let head = if file == "quotagraph.toml" { "tenants_file = \"more.toml\"\n" } else { "" };
    std::fs::write(folder.join(file), head.to_owned() + &tenants.join("\n")).unwrap();
}

fn start(folder: &Path) -> (Config, TenantsWatch) {
    write_tenants(folder, "quotagraph.toml", &["a"]);
    write_tenants(folder, "more.toml", &["b"]);
    std::fs::write(folder.join("a.token"), "one").unwrap();
    std::fs::write(folder.join("b.token"), "one").unwrap();
    let config = config::load(Some(&folder.join("quotagraph.toml")), []).unwrap();
    let watch = TenantsWatch::new(&config);
    (config, watch)
}

fn tokens(config: &Config) -> Result<Vec<String>, String> {
    let tenants = config::reload_tenants(config, []).map_err(|error| error.to_string())?;
    let token = |credential: &Credential| match credential {
        Credential::Token { token, .. } => token.expose_secret().to_owned(),
        Credential::App { .. } => String::new(),
    };
    Ok(tenants.iter().map(|t| format!("{}={}", t.tenant.id, token(&t.account.credential))).collect())
}

#[test]
fn changes_of_the_config_the_tenants_file_and_the_secrets_are_noticed_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (config, mut watch) = start(folder);
    assert!(!watch.changed());

    std::fs::write(folder.join("b.token"), "second").unwrap();
    assert!(watch.changed());
    assert!(!watch.changed());
    assert_eq!(tokens(&config).unwrap(), ["a=one", "b=second"]);

    std::fs::write(folder.join("c.token"), "new").unwrap();
    write_tenants(folder, "more.toml", &["b", "c"]);
    assert!(watch.changed());
    assert_eq!(tokens(&config).unwrap(), ["a=one", "b=second", "c=new"]);

    std::fs::write(folder.join("c.token"), "newer").unwrap();
    assert!(watch.changed(), "the secret of a tenant that came later");

    write_tenants(folder, "quotagraph.toml", &["a", "d"]);
    assert!(watch.changed());
    assert!(tokens(&config).unwrap_err().contains("tenant d: auth.token_file: "));
    std::fs::write(folder.join("d.token"), "late").unwrap();
    assert!(watch.changed(), "the secret that was missing has come");
    assert_eq!(tokens(&config).unwrap(), ["a=one", "d=late", "b=second", "c=newer"]);
}

#[test]
fn a_broken_file_is_an_error_until_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (config, mut watch) = start(folder);

    std::fs::write(folder.join("more.toml"), "[[tenants]").unwrap();
    assert!(watch.changed());
    assert!(tokens(&config).unwrap_err().contains("more.toml: line 1: "));

    std::fs::write(folder.join("b.token"), "meanwhile").unwrap();
    assert!(watch.changed(), "the files that counted before count on");

    write_tenants(folder, "more.toml", &["b"]);
    assert!(watch.changed());
    assert_eq!(tokens(&config).unwrap(), ["a=one", "b=meanwhile"]);
}

#[cfg(unix)]
#[test]
fn a_swapped_symbolic_link_is_noticed_even_when_length_and_time_are_equal() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (version, token) in [("v1", "one"), ("v2", "two")] {
        std::fs::create_dir(folder.join(version)).unwrap();
        let file = std::fs::File::create(folder.join(version).join("a.token")).unwrap();
        std::fs::write(folder.join(version).join("a.token"), token).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    std::os::unix::fs::symlink("v1", folder.join("data")).unwrap();
    let text = "[[tenants]]\nid = \"a\"\nendpoint = \"https://k.example\"\nuser_id = \"1\"\nauth.token_file = \"data/a.token\"";
    std::fs::write(folder.join("quotagraph.toml"), text).unwrap();
    let config = config::load(Some(&folder.join("quotagraph.toml")), []).unwrap();
    let mut watch = TenantsWatch::new(&config);
    assert_eq!(tokens(&config).unwrap(), ["a=one"]);

    std::os::unix::fs::symlink("v2", folder.join("next")).unwrap();
    std::fs::rename(folder.join("next"), folder.join("data")).unwrap();
    assert!(watch.changed());
    assert_eq!(tokens(&config).unwrap(), ["a=two"]);
}
