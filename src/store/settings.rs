//! How to reach a database.

use std::time::Duration;

/// How to reach a database.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `postgres://…` or `sqlite:PATH`. May hold a password; never printed.
    pub url: secrecy::SecretString,
    /// Connections at most; at least 1. A `SQLite` file has one more, which writes.
    pub max_connections: u32,
    /// How long a caller waits for a connection.
    pub acquire_timeout: Duration,
    /// Whether to listen for what other replicas record (`LISTEN`), which takes one more connection. Postgres only.
    pub listen: bool,
}
