//! `[retention]`.

use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::error::Invalid;

const DAY: Duration = Duration::from_hours(24);
const HOUR: Duration = Duration::from_hours(1);
/// Longer ones overflow sums with instants sooner or later.
const LONGEST: Duration = Duration::from_hours(24 * 366 * 100);

/// What becomes of old history. Without settings everything is kept as it was recorded.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// History that is older is removed; at least 1 day. Default: none is.
    #[serde(with = "humantime_serde::option")]
    pub keep_for: Option<Duration>,
    /// History that is older is thinned; at least 1 day, and less than `keep_for`. Default: none is.
    #[serde(with = "humantime_serde::option")]
    pub thin_after: Option<Duration>,
    /// To which buckets it is thinned: 1 h or 1 day. Default 1 day.
    #[serde(with = "humantime_serde")]
    pub thin_to: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep_for: None, thin_after: None, thin_to: DAY }
    }
}

impl Retention {
    /// Whether it is thinned to hours.
    #[must_use]
    pub fn thins_to_hours(&self) -> bool {
        self.thin_to == HOUR
    }

    pub(super) fn validate(&self) -> Result<(), Invalid> {
        for (field, value) in [("retention.keep_for", self.keep_for), ("retention.thin_after", self.thin_after)] {
            if let Some(value) = value {
                duration::require_within(field, value, DAY..=LONGEST)?;
            }
        }
        if let (Some(keep_for), Some(thin_after)) = (self.keep_for, self.thin_after)
            && thin_after >= keep_for
        {
            let mend = format!("must be less than retention.keep_for ({})", duration::show(keep_for));
            return Err(Invalid::found("retention.thin_after", mend, duration::show(thin_after)));
        }
        if self.thin_to != HOUR && self.thin_to != DAY {
            return Err(Invalid::found("retention.thin_to", "must be \"1h\" or \"1d\"", duration::show(self.thin_to)));
        }
        Ok(())
    }
}
