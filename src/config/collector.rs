//! `[collector]`.

use std::time::Duration;

use serde::Deserialize;

use super::error::Invalid;
use super::{duration, text};

/// How often tenants are asked and their answers recorded.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Collector {
    /// Whether this process collects. Default true.
    pub enabled: bool,
    /// How often each tenant is asked: 1 s to 1 day, in whole seconds. Default 5 min.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// Tenants asked at the same time; at least 1. Default 32.
    pub concurrency: usize,
}

impl Default for Collector {
    fn default() -> Self {
        Self { enabled: true, interval: Duration::from_mins(5), concurrency: 32 }
    }
}

impl Collector {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        let field = "collector.interval";
        duration::require_within(field, self.interval, Duration::from_secs(1)..=Duration::from_hours(24))?;
        if self.interval.subsec_nanos() != 0 {
            return Err(Invalid::found(field, "must be whole seconds", duration::show(self.interval)));
        }
        text::require_within("collector.concurrency", self.concurrency, 1..=100_000)
    }
}
