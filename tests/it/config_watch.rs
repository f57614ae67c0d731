//! Changes of tenants are noticed and loaded; a bad version is an error and what was loaded stays with the caller.

use std::path::Path;

use quotagraph::config::{self, Watch};
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

fn start(folder: &Path) -> Watch {
    write_tenants(folder, "quotagraph.toml", &["a"]);
    write_tenants(folder, "more.toml", &["b"]);
    std::fs::write(folder.join("a.token"), "one").unwrap();
    std::fs::write(folder.join("b.token"), "one").unwrap();
    let config = config::load(Some(&folder.join("quotagraph.toml")), []).unwrap();
    Watch::new(&config)
}

/// Whether a change was noticed, once it is at rest.
fn has_changed(watch: &mut Watch) -> bool {
    let secrets = watch.has_changed_secrets();
    let first = watch.has_changed();
    assert!(!first, "what is changing may be half written");
    watch.has_changed() || secrets
}

/// The tenants and their tokens, as they are read anew.
fn tokens(watch: &mut Watch) -> Result<Vec<String>, String> {
    let version = watch.read(true, []).map_err(|error| error.to_string())?;
    let tenants = version.tenants.unwrap().map_err(|error| error.to_string())?;
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
    let mut watch = start(folder);
    assert!(!has_changed(&mut watch));

    std::fs::write(folder.join("b.token"), "second").unwrap();
    assert!(has_changed(&mut watch));
    assert!(!has_changed(&mut watch));
    assert_eq!(tokens(&mut watch).unwrap(), ["a=one", "b=second"]);

    std::fs::write(folder.join("c.token"), "new").unwrap();
    write_tenants(folder, "more.toml", &["b", "c"]);
    assert!(has_changed(&mut watch));
    assert_eq!(tokens(&mut watch).unwrap(), ["a=one", "b=second", "c=new"]);

    std::fs::write(folder.join("c.token"), "newer").unwrap();
    assert!(has_changed(&mut watch), "the secret of a tenant that came later");

    write_tenants(folder, "quotagraph.toml", &["a", "d"]);
    assert!(has_changed(&mut watch));
    assert!(tokens(&mut watch).unwrap_err().contains("tenant d: auth.token_file: "));
    std::fs::write(folder.join("d.token"), "late").unwrap();
    assert!(has_changed(&mut watch), "the secret that was missing has come");
    assert_eq!(tokens(&mut watch).unwrap(), ["a=one", "d=late", "b=second", "c=newer"]);
}

#[test]
fn a_broken_file_is_an_error_until_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut watch = start(folder);

    std::fs::write(folder.join("more.toml"), "[[tenants]").unwrap();
    assert!(has_changed(&mut watch));
    assert!(tokens(&mut watch).unwrap_err().contains("more.toml: line 1: "));

    std::fs::write(folder.join("b.token"), "meanwhile").unwrap();
    assert!(has_changed(&mut watch), "the files that counted before count on");

    write_tenants(folder, "more.toml", &["b"]);
    assert!(has_changed(&mut watch));
    assert_eq!(tokens(&mut watch).unwrap(), ["a=one", "b=meanwhile"]);
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
    let mut watch = Watch::new(&config);
    assert_eq!(tokens(&mut watch).unwrap(), ["a=one"]);

    std::os::unix::fs::symlink("v2", folder.join("next")).unwrap();
    std::fs::rename(folder.join("next"), folder.join("data")).unwrap();
    assert!(has_changed(&mut watch));
    assert_eq!(tokens(&mut watch).unwrap(), ["a=two"]);
}

#[test]
fn a_version_of_the_same_length_and_age_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut watch = start(folder);
    let file = folder.join("quotagraph.toml");
    let modified = std::fs::metadata(&file).unwrap().modified().unwrap();
    let text = std::fs::read_to_string(&file).unwrap().replace("user_id = \"1\"", "user_id = \"2\"");
    std::fs::write(folder.join("next"), text).unwrap();
    std::fs::File::options().write(true).open(folder.join("next")).unwrap().set_modified(modified).unwrap();
    std::fs::rename(folder.join("next"), &file).unwrap();
    assert!(has_changed(&mut watch));
    // In place, too.
    std::fs::write(folder.join("a.token"), "two").unwrap();
    let modified = std::fs::metadata(folder.join("b.token")).unwrap().modified().unwrap();
    std::fs::File::options().write(true).open(folder.join("a.token")).unwrap().set_modified(modified).unwrap();
    assert!(has_changed(&mut watch));
    assert_eq!(tokens(&mut watch).unwrap(), ["a=two", "b=one"]);
}

#[test]
fn what_is_still_being_written_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut watch = start(folder);
    for part in ["tenants_file = \"more.toml\"\n", "tenants_file = \"more.toml\"\n[[tenants]]"] {
        std::fs::write(folder.join("quotagraph.toml"), part).unwrap();
        assert!(!watch.has_changed());
    }
    write_tenants(folder, "quotagraph.toml", &["a"]);
    assert!(!watch.has_changed());
    assert!(watch.has_changed());
    assert!(!watch.has_changed());
}

#[test]
fn tenants_are_read_when_something_of_them_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut watch = start(folder);
    let auth = "\n[auth]\nmode = \"keys\"\n";
    let text = std::fs::read_to_string(folder.join("quotagraph.toml")).unwrap();
    std::fs::write(folder.join("quotagraph.toml"), format!("{text}{auth}")).unwrap();
    assert!(has_changed(&mut watch));
    let version = watch.read(false, []).unwrap();
    assert!(version.auth.is_some() && version.tenants.is_none());
    write_tenants(folder, "more.toml", &["b", "c"]);
    assert!(has_changed(&mut watch));
    assert!(watch.read(false, []).unwrap().tenants.unwrap().unwrap_err().to_string().contains("tenant c: auth.token_file: "));
    // They are tried again until they are right.
    assert!(watch.read(false, []).unwrap().tenants.unwrap().is_err());
    std::fs::write(folder.join("c.token"), "new").unwrap();
    assert!(watch.has_changed_secrets());
    assert_eq!(watch.read(true, []).unwrap().tenants.unwrap().unwrap().len(), 3);
    // Also as long as they are not in force: what was refused together with them may be mended.
    assert_eq!(watch.read(false, []).unwrap().tenants.unwrap().unwrap().len(), 3);
    watch.tenants_are_in_force();
    assert!(watch.read(false, []).unwrap().tenants.is_none());
}
