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
    /// How long a query waits for a free connection. Default 5 s.
    #[serde(with = "humantime_serde")]
    pub acquire_timeout: Duration,
    /// Whether `serve` applies missing migrations before it starts. Default true; when false, `quotagraph migrate` does it.
    pub migrate: bool,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: SecretString::from("sqlite:quotagraph.db"),
            max_connections: 10,
            acquire_timeout: Duration::from_secs(5),
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
        duration::require_positive("database.acquire_timeout", self.acquire_timeout)
    }
}
