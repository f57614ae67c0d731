//! `quotagraph.example.toml` tells the truth: every field stands in it, with its default.

use std::path::Path;

use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Value};
use quotagraph::config::{self, Config, ProxySetting};
use quotagraph::proxy::Proxies;
use secrecy::ExposeSecret;

const EXAMPLE: &str = include_str!("../../quotagraph.example.toml");

fn load(text: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("quotagraph.toml");
    std::fs::write(&file, text).unwrap();
    std::fs::write(folder.path().join("tenants.toml"), "").unwrap();
    config::load(Some(&file), []).unwrap()
}

/// Settings are commented out by a `#` without a blank after it; prose has one.
fn uncommented() -> String {
    let setting = |line: &str| line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' ')).map(str::to_owned);
    EXAMPLE.lines().map(|line| setting(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

fn assert_default(mut config: Config) {
    config.file = None;
    assert_eq!(format!("{config:#?}"), format!("{:#?}", Config::default()));
    assert_eq!(config.database.url.expose_secret(), Config::default().database.url.expose_secret());
}

#[test]
fn the_example_as_it_stands_changes_nothing() {
    assert_default(load(EXAMPLE));
}

#[test]
fn every_commented_setting_shows_the_default_or_a_working_example() {
    let mut config = load(&uncommented());
    assert_eq!(config.server.default_tenant.take().unwrap().as_str(), "acme");
    assert_eq!(config.server.connections.take(), Some(10_000));
    assert!(config.server.tls.take().unwrap().key_file.ends_with("key.pem"));
    let auth = config.auth.take().unwrap();
    assert_eq!(auth.api_keys().map(|keys| keys.len()), Some(1));
    assert_eq!(auth.token_settings(&Proxies::default()).unwrap().issuer, "https://idp.example");
    assert!(config.limits.requests_per_second.take().is_some());
    assert!(config.graphql.trusted_documents_file.take().is_some());
    assert!(config.retention.keep_for.take() > config.retention.thin_after.take());
    assert!(config.upstream.ca_file.take().is_some());
    assert!(matches!(std::mem::take(&mut config.upstream.proxy), ProxySetting::Through(_)));
    assert!(config.metrics.listen.take().is_some());
    assert!(config.tenants_file.take().is_some());

    let tenants = config::load_tenants(&config, [("ACME_APP_SECRET".to_owned(), "s".to_owned())]).unwrap();
    assert_eq!(tenants[0].tenant.name, "Acme Ltd");

    config.tenants.clear();
    assert_default(config);
}

#[test]
fn every_field_of_every_section_stands_in_the_example() {
    let text = uncommented();
    for section in
        ["server", "database", "collector", "retention", "cache", "upstream", "limits", "graphql", "cors", "metrics", "log"]
    {
        let header = format!("[{section}]\n");
        let body = text.split_once(&header).unwrap().1.split("\n[").next().unwrap();
        for field in known_fields(section) {
            assert!(body.lines().any(|line| line.starts_with(&format!("{field} = "))), "{section}.{field}");
        }
    }
}

#[test]
fn every_field_of_every_section_can_be_set_by_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("quotagraph.toml");
    std::fs::write(folder.path().join("tenants.toml"), "").unwrap();
    let load = |text: &str, env: Vec<(String, String)>| {
        std::fs::write(&file, text).unwrap();
        let config = config::load(Some(&file), env).unwrap();
        format!("{config:#?}")
    };
    let tenants = format!("[[tenants]]\n{}", uncommented().split_once("[[tenants]]\n").unwrap().1);
    let table: Dict = Toml::from_str(&uncommented()).unwrap();
    let mut whole = Vec::new();
    for (section, value) in &table {
        match value.as_dict() {
            Some(fields) => whole.extend(fields.iter().map(|(field, value)| (format!("{section}__{field}"), text_of(value)))),
            None if section != "tenants" => whole.push((section.clone(), text_of(value))),
            None => {}
        }
    }
    assert!(whole.len() > 60, "{whole:?}");
    let mut by_parts = whole.clone();
    by_parts.retain(|(name, _)| name != "auth__jwt" && name != "server__tls");
    for (section, field) in [("auth", "jwt"), ("server", "tls")] {
        let fields = table[section].as_dict().unwrap()[field].as_dict().unwrap();
        by_parts.extend(fields.iter().map(|(name, value)| (format!("{section}__{field}__{name}"), text_of(value))));
    }
    let by_file = load(&uncommented(), Vec::new());
    for settings in [whole, by_parts] {
        let env = settings.into_iter().map(|(name, value)| (format!("QUOTAGRAPH_{}", name.to_ascii_uppercase()), value)).collect();
        assert_eq!(load(&tenants, env), by_file);
    }
}

/// A value as somebody writes it into a variable.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| serde_json::to_string(value).unwrap(), str::to_owned)
}

/// The fields that a section has, as the error about an unknown one lists them.
fn known_fields(section: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("quotagraph.toml");
    std::fs::write(&file, format!("[{section}]\nnot_a_field = 1")).unwrap();
    let error = config::load(Some(&file), []).unwrap_err().to_string();
    error.split_once("known are ").unwrap().1.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_config_of_the_compose_file_and_its_secrets_fit_together() {
    let config = config::load(Some(Path::new("deploy/compose/quotagraph.toml")), []).unwrap();
    let secrets = include_str!("../../deploy/compose/secrets.env").lines().filter_map(|line| line.split_once('='));
    let env = secrets.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(config::load_tenants(&config, env).unwrap().len(), 4);
}
