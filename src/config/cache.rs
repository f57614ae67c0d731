//! `[cache]`.

use std::time::Duration;

use serde::Deserialize;

use super::error::Invalid;
use super::{duration, text};

/// How long answers of the upstream serve.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Up to this age an answer is served as it is. A little over the collector's interval, so that lists cause no calls of their
    /// own. Default 6 min.
    #[serde(with = "humantime_serde")]
    pub fresh_for: Duration,
    /// Up to this age an answer is served at once and refreshed in the background; older ones are awaited. At least `fresh_for`. Default 24 h.
    #[serde(with = "humantime_serde")]
    pub stale_for: Duration,
    /// Tenants kept in memory at most; at least 1. Default 100,000.
    pub max_tenants: u64,
    /// Bytes of finished answers, as they are and encoded, kept for repeated queries; 0 keeps none. Default 67,108,864 (64 MiB).
    pub answer_bytes: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            fresh_for: Duration::from_mins(6),
            stale_for: Duration::from_hours(24),
            max_tenants: 100_000,
            answer_bytes: 64 << 20,
        }
    }
}

impl Cache {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        if self.stale_for < self.fresh_for {
            let rule = format!("must be at least cache.fresh_for, which is {}", duration::show(self.fresh_for));
            return Err(Invalid::found("cache.stale_for", rule, duration::show(self.stale_for)));
        }
        text::require_within("cache.max_tenants", self.max_tenants, 1..=100_000_000)
    }
}
