//! `[database]`.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::error::Invalid;
use super::{duration, text};

/// Where history is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `sqlite:PATH` or `postgres://user@host/database`. May hold a password, so it is never printed. Default `sqlite:quotagraph.db`.
    #[serde(deserialize_with = "text::secret")]
    pub url: SecretString,
    /// Connections at most; at least 1. Default 10.
    pub max_connections: u32,
    /// How long a query waits for a free connection, and all fields of a request together for the database. Default 5 s.
    #[serde(with = "humantime_serde")]
    pub acquire_timeout: Duration,
    /// Whether to learn of other replicas' records at once, by `LISTEN` on one more connection; else within a second. Postgres only; not
    /// done behind a pooler that shares sessions. Default true.
    pub listen: bool,
    /// How long changes are kept for subscriptions that go on where they ended; at least 1 h. Older ones are derived from the history.
    /// Default 7 days.
    #[serde(with = "humantime_serde")]
    pub changes_kept_for: Duration,
    /// Whether `serve` applies missing migrations before it starts. Default true; when false, `quotagraph migrate` does it.
    pub migrate: bool,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: SecretString::from("sqlite:quotagraph.db"),
            max_connections: 10,
            acquire_timeout: Duration::from_secs(5),
            listen: true,
            changes_kept_for: Duration::from_hours(7 * 24),
            migrate: true,
        }
    }
}

impl Database {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        let schemes = ["sqlite:", "postgres://", "postgresql://"];
        if !schemes.iter().any(|scheme| self.url.expose_secret().starts_with(scheme)) {
            return Err(Invalid::new("database.url", "must start with sqlite: or postgres://"));
        }
        check_parameters(self.url.expose_secret())?;
        check_is_path(self.url.expose_secret())?;
        text::require_within("database.max_connections", self.max_connections, 1..=10_000)?;
        duration::require_positive("database.acquire_timeout", self.acquire_timeout)?;
        if self.changes_kept_for < Duration::from_hours(1) {
            return Err(Invalid::found("database.changes_kept_for", "must be at least 1h", duration::show(self.changes_kept_for)));
        }
        Ok(())
    }
}

/// Refuses a file that is named as a server is, with a user and a password, which would be told as its path.
fn check_is_path(url: &str) -> Result<(), Invalid> {
    let server = url.strip_prefix("sqlite://").and_then(|path| path.split('/').next()).unwrap_or_default();
    match server.split_once('@') {
        Some((user, _)) if user.contains(':') => {
            Err(Invalid::new("database.url", "has a user and a password, and a file has none"))
        }
        _ => Ok(()),
    }
}

/// The parameters that the database's client understands. It logs the others with their values, which may be misspelt passwords.
const POSTGRES_PARAMETERS: &[&str] = &[
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];
const POSTGRES_OTHER_NAMES: &[&str] = &["ssl-ca", "ssl-cert", "ssl-key", "ssl-mode", "ssl-root-cert"];
const SQLITE_PARAMETERS: &[&str] = &["cache", "immutable", "mode", "vfs"];

/// Refuses parameters that are not understood, by their names; values are never repeated.
fn check_parameters(url: &str) -> Result<(), Invalid> {
    let Some((address, query)) = url.split_once('?') else { return Ok(()) };
    let query = query.split('#').next().unwrap_or_default();
    let known = if address.starts_with("sqlite:") { SQLITE_PARAMETERS } else { POSTGRES_PARAMETERS };
    let is_postgres = !address.starts_with("sqlite:");
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let name = url::form_urlencoded::parse(part.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default();
        let is_option = name.strip_prefix("options[").is_some_and(|rest| rest.ends_with(']'));
        let is_known =
            known.contains(&name.as_str()) || (is_postgres && (is_option || POSTGRES_OTHER_NAMES.contains(&name.as_str())));
        if is_known {
            continue;
        }
        let looks_like_name =
            name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        // A password that has a question mark in it looks like parameters, too.
        let what = if part.contains('=') && looks_like_name && !name.is_empty() && !query.contains('@') {
            format!("has the parameter {name}, which is not known")
        } else {
            "has a parameter that is not known; in a user or password a question mark is written %3F".to_owned()
        };
        return Err(Invalid::new("database.url", format!("{what}; known are {}", known.join(", "))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> Option<String> {
        let database = Database { url: SecretString::from(url), ..Database::default() };
        database.validate().err().map(|invalid| format!("{}: {}", invalid.field, invalid.mend))
    }

    #[test]
    fn a_file_with_a_password_is_refused_and_not_repeated() {
        for url in ["sqlite://u:hunter2@h/quota.db", "sqlite://:hunter2@quota.db"] {
            assert_eq!(refusal(url).as_deref(), Some("database.url: has a user and a password, and a file has none"), "{url}");
        }
    }

    #[test]
    fn unknown_parameters_are_refused_by_name_and_no_value_is_repeated() {
        for (url, named) in [
            ("postgres://u@h/d?pasword=hunter2", Some("pasword")),
            ("postgres://u@h/d?sslmode=require&Password=hunter2", Some("Password")),
            ("postgresql://u@h/d?pas%73word=hunter2", None),
            ("postgres://u@h/d?pa%73%73wort=hunter2", Some("passwort")),
            ("sqlite:a.db?pasword=hunter2", Some("pasword")),
            ("sqlite:a.db?mode=rwc&key=hunter2#x", Some("key")),
            ("postgres://u@h/d?hunter2", None),
            ("postgres://u:12?hunter2@h/d", None),
            ("postgres://u:12?hunter2=x@h/d", None),
            ("postgres://u@h/d?=hunter2", None),
            ("postgres://u@h/d?options%5Bx=hunter2", None),
            ("postgres://u@h/d?%68unter2%20%0a=1", None),
        ] {
            if url.contains("pas%73word") {
                assert_eq!(refusal(url), None, "that is password");
                continue;
            }
            let refusal = refusal(url).unwrap_or_else(|| panic!("{url} is taken"));
            assert!(refusal.starts_with("database.url: has ") && !refusal.contains("unter2"), "{url}: {refusal}");
            assert_eq!(named.is_some(), refusal.contains("has the parameter"), "{url}: {refusal}");
            assert!(named.is_none_or(|name| refusal.contains(&format!("parameter {name},"))), "{url}: {refusal}");
        }
        for url in [
            "postgres://u:p@h/d?sslmode=require&host=/run&options[search_path]=x&ssl-ca=a",
            "sqlite:a.db?mode=rwc",
            "sqlite:a.db?",
            "postgres:///d?",
            "sqlite:///home/a:b@c/quota.db",
            "sqlite:a@b:c.db",
        ] {
            assert_eq!(refusal(url), None, "{url}");
        }
    }
}
