//! What is allocated of what there is, at one instant.

use jiff::{Timestamp, TimestampRound, Unit};

/// Space types in one answer at most. KooDrive has a handful; what lists more is broken or hostile, and would cost each of our parts as much.
pub const MAX_SPACE_TYPES: usize = 64;

/// Different space types that a tenant's history takes in at most, over all of its time. Each of them costs every later recording of the tenant a
/// look-up, also when it is long gone.
pub const MAX_SPACE_TYPES_EVER: usize = 256;

/// The allocation of one space type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpaceTypeAllocation {
    /// The upstream's number of the space type. Unknown numbers are kept.
    pub space_type: i32,
    /// Allocated, in GB as the upstream counts; never negative.
    pub allocated_gb: i64,
    /// Total, in GB as the upstream counts; never negative. May be less than allocated.
    pub total_gb: i64,
}

/// One whole answer of the upstream: every space type at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceAllocation {
    observed_at: Timestamp,
    by_type: Vec<SpaceTypeAllocation>,
}

impl SpaceAllocation {
    /// An answer observed at an instant, which is cut to whole milliseconds so that every store and every format gives back the
    /// same one. The types are sorted; each occurs once.
    #[must_use]
    pub fn new(observed_at: Timestamp, mut by_type: Vec<SpaceTypeAllocation>) -> Self {
        by_type.sort_unstable();
        debug_assert!(by_type.windows(2).all(|w| w[0].space_type < w[1].space_type), "a space type twice");
        Self { observed_at: whole_millis(observed_at), by_type }
    }

    /// When the upstream said so.
    #[must_use]
    pub fn observed_at(&self) -> Timestamp {
        self.observed_at
    }

    /// The types, sorted by their number.
    #[must_use]
    pub fn by_type(&self) -> &[SpaceTypeAllocation] {
        &self.by_type
    }

    /// The same answer with one type only; `None` when it does not list that type.
    #[must_use]
    pub fn of_type(&self, space_type: i32) -> Option<Self> {
        let found = self.by_type.iter().find(|t| t.space_type == space_type)?;
        Some(Self { observed_at: self.observed_at, by_type: vec![*found] })
    }

    /// Allocated in GB, summed over the types. Wider than 64 bits, because the sum of 64-bit values is.
    #[must_use]
    pub fn allocated_gb(&self) -> i128 {
        self.by_type.iter().map(|t| i128::from(t.allocated_gb)).sum()
    }

    /// Total in GB, summed over the types.
    #[must_use]
    pub fn total_gb(&self) -> i128 {
        self.by_type.iter().map(|t| i128::from(t.total_gb)).sum()
    }

    /// Allocated by total, 0.5 for half; `None` when total is 0.
    #[must_use]
    pub fn utilization(&self) -> Option<f64> {
        utilization(self.allocated_gb(), self.total_gb())
    }
}

/// Allocated by total, 0.5 for half; `None` when total is 0.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a ratio; the rounding is below one part in 2^52")]
pub fn utilization(allocated_gb: i128, total_gb: i128) -> Option<f64> {
    (total_gb != 0).then(|| allocated_gb as f64 / total_gb as f64)
}

/// What is recorded: an answer, and how long until the next one was meant to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The answer.
    pub allocation: SpaceAllocation,
    /// The sampling interval in force, in seconds; at least 1.
    pub interval_s: u32,
}

fn whole_millis(at: Timestamp) -> Timestamp {
    at.round(TimestampRound::new().smallest(Unit::Millisecond).mode(jiff::RoundMode::Floor))
        .expect("an instant in jiff's range has a millisecond before it")
}
