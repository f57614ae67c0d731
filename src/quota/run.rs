//! Runs: equal consecutive samples, kept as one.

use jiff::{SignedDuration, Timestamp};

use super::SpaceTypeAllocation;

/// A stretch of equal consecutive samples of one space type.
///
/// The rule of validity, on which everything that is computed from runs rests: a value holds from its sample until the next
/// sample, or for 2.5 of the run's intervals at most. Outside of that there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub space_type: i32,
    /// The first sample's instant.
    pub first_at: Timestamp,
    /// The last sample's instant; equal to `first_at` for a single sample.
    pub last_at: Timestamp,
    /// The sampling interval in seconds; at least 1.
    pub interval_s: u32,
    /// How many samples; at least 1.
    pub samples: i64,
    pub allocated_gb: i64,
    pub total_gb: i64,
    /// The instant of the first sample after the run that no longer lists the type.
    pub ended_at: Option<Timestamp>,
}

impl Run {
    /// How long a value may hold without a new sample: 2.5 intervals.
    #[must_use]
    pub fn tolerance(interval_s: u32) -> SignedDuration {
        SignedDuration::from_millis(i64::from(interval_s) * 2500)
    }

    /// Until when the last sample holds (exclusive), if no other one comes.
    #[must_use]
    pub fn holds_until_next(&self) -> Timestamp {
        self.last_at.saturating_add(Self::tolerance(self.interval_s)).unwrap_or(Timestamp::MAX)
    }

    /// Until when the value holds (exclusive), if the next run of the type starts at `next_first_at`.
    #[must_use]
    pub fn holds_until(&self, next_first_at: Option<Timestamp>) -> Timestamp {
        let tolerated = self.holds_until_next();
        [Some(tolerated), self.ended_at, next_first_at].into_iter().flatten().min().unwrap_or(tolerated)
    }

    /// The value of the run.
    #[must_use]
    pub fn value(&self) -> SpaceTypeAllocation {
        SpaceTypeAllocation { space_type: self.space_type, allocated_gb: self.allocated_gb, total_gb: self.total_gb }
    }
}

/// A stretch of time: `from` inclusive, `to` exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// Start, inclusive.
    pub from: Timestamp,
    /// End, exclusive; not before `from`.
    pub to: Timestamp,
}
