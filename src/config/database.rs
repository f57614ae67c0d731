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
        text::require_within("database.max_connections", self.max_connections, 1..=10_000)?;
        duration::require_positive("database.acquire_timeout", self.acquire_timeout)?;
        if self.changes_kept_for < Duration::from_hours(1) {
            return Err(Invalid::found("database.changes_kept_for", "must be at least 1h", duration::show(self.changes_kept_for)));
        }
        Ok(())
    }
}
