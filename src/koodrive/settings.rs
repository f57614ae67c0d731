//! How the upstream is called.

use std::path::PathBuf;
use std::time::Duration;

use crate::proxy::Proxies;

/// How the upstream is called. The defaults suit the real KooDrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long one request may take, connection and body included.
    pub attempt_timeout: Duration,
    /// How long a call may take with all its attempts and all its waiting.
    pub total_timeout: Duration,
    /// How often a failed request is repeated at most, where its verdict allows that.
    pub retries: u32,
    /// The wait before the first repetition; each further one waits twice as long, up to [`Self::backoff_max`]. Shortened at random
    /// by up to a half.
    pub backoff_base: Duration,
    /// The longest wait between repetitions that the upstream did not ask for.
    pub backoff_max: Duration,
    /// Requests per second to one endpoint host; at least 1.
    pub requests_per_second: u32,
    /// Requests at the same time to one endpoint host; at least 1.
    pub concurrency: u32,
    /// The `language` header: the language of the upstream's messages, which reach our log only.
    pub language: String,
    /// The proxies by which requests leave.
    pub proxies: Proxies,
    /// A PEM file with certificates of authorities to be trusted beside the machine's own.
    pub ca_file: Option<PathBuf>,
    /// After how many unreachable verdicts in a row an account is left alone; at least 1.
    pub breaker_failures: u32,
    /// For how long it is left alone; then one request tries again.
    pub breaker_open_for: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            attempt_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(12),
            retries: 2,
            backoff_base: Duration::from_millis(200),
            backoff_max: Duration::from_secs(2),
            requests_per_second: 50,
            concurrency: 64,
            language: "en-US".to_owned(),
            proxies: Proxies::default(),
            ca_file: None,
            breaker_failures: 5,
            breaker_open_for: Duration::from_secs(5),
        }
    }
}
