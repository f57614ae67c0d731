//! `[upstream]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::error::Invalid;
use super::proxy::ProxySetting;
use super::{duration, text};

/// How the upstream is called. Rates and concurrency count per endpoint host.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Upstream {
    /// How long connecting may take, TLS included. Default 2 s.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long one attempt may take, to the last byte. Default 5 s.
    #[serde(with = "humantime_serde")]
    pub attempt_timeout: Duration,
    /// How long all attempts and the waits between them may take; at least `attempt_timeout`. Default 12 s.
    #[serde(with = "humantime_serde")]
    pub total_timeout: Duration,
    /// Attempts after the first one, where the answer allows another: 0 to 10. Default 2.
    pub retries: u32,
    /// Requests per second and host; at least 1. Default 50.
    pub requests_per_second: u32,
    /// Requests in flight per host; at least 1. Default 64.
    pub concurrency: usize,
    /// The language of the upstream's messages, as its header `language` takes it. Default `en-US`.
    pub language: String,
    /// A PEM file of certificate authorities to trust besides the system's; relative to the folder of the config file. Default: none.
    pub ca_file: Option<PathBuf>,
    /// The proxy by which requests leave, or `none`. Default: that of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`), which is not
    /// used for loopback.
    pub proxy: ProxySetting,
    /// Whether endpoints may be plain `http` on other hosts than loopback. Default false.
    pub allow_http: bool,
    /// Failures in a row after which a tenant is not asked for a while; at least 1. Default 5.
    pub breaker_failures: u32,
    /// How long it is not asked. Default 5 s.
    #[serde(with = "humantime_serde")]
    pub breaker_open_for: Duration,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            attempt_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(12),
            retries: 2,
            requests_per_second: 50,
            concurrency: 64,
            language: "en-US".to_owned(),
            ca_file: None,
            proxy: ProxySetting::Environment,
            allow_http: false,
            breaker_failures: 5,
            breaker_open_for: Duration::from_secs(5),
        }
    }
}

impl Upstream {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        duration::require_positive("upstream.connect_timeout", self.connect_timeout)?;
        duration::require_positive("upstream.attempt_timeout", self.attempt_timeout)?;
        if self.total_timeout < self.attempt_timeout {
            let rule = format!("must be at least upstream.attempt_timeout, which is {}", duration::show(self.attempt_timeout));
            return Err(Invalid::found("upstream.total_timeout", rule, duration::show(self.total_timeout)));
        }
        text::require_within("upstream.retries", self.retries, 0..=10)?;
        text::require_within("upstream.requests_per_second", self.requests_per_second, 1..=1_000_000)?;
        text::require_within("upstream.concurrency", self.concurrency, 1..=100_000)?;
        text::require_visible_ascii("upstream.language", &self.language)?;
        text::require_within("upstream.breaker_failures", self.breaker_failures, 1..=1_000_000)?;
        duration::require_positive("upstream.breaker_open_for", self.breaker_open_for)
    }
}
