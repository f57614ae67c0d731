//! Usage over time: what a tenant's runs say about each bucket of a stretch.
//!
//! In two steps that others can reuse: [`segments()`] makes the runs of all space types one sequence of constant sums, and
//! [`aggregate()`] condenses such a sequence to one point for each bucket.
//!
//! A tenant's sum at an instant is over the types whose runs hold at it, and it has one as soon as one does. All types are sampled
//! together, so a gap hits all of them, and a type that ended just stops to contribute.

mod aggregate;
mod mean;
mod segments;
#[cfg(test)]
pub(super) mod tests;

use jiff::Timestamp;

use super::{Run, TimeRange};

pub use aggregate::aggregate;
pub(super) use mean::exact_mean;
pub(super) use segments::micros_between;
pub use segments::{Segment, coverage, segments};

/// What a bucket without observations says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fill {
    /// Nothing.
    #[default]
    None,
    /// The last value before it, unless it has not begun yet.
    Last,
}

/// Usage over a stretch of time.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageSeries {
    /// One point for each bucket.
    pub points: Vec<UsagePoint>,
    /// The share of the asked stretch, as far as it has passed, that observations cover; 0 to 1, and 0 when none of it has.
    pub coverage: f64,
}

/// One bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct UsagePoint {
    /// When it begins, inclusive.
    pub start: Timestamp,
    /// When it ends, exclusive; maybe in the future.
    pub end: Timestamp,
    /// Whether it is over.
    pub complete: bool,
    /// The share of the bucket, as far as it has passed, that observations cover; 0 to 1, and 0 when none of it has.
    pub coverage: f64,
    /// Allocated, in GB.
    pub allocated: Option<Measure>,
    /// Total, in GB.
    pub total: Option<Measure>,
    /// Allocated by total, over the time in which total is not 0.
    pub utilization: Option<Measure>,
}

/// What a quantity did in a bucket, over the time that observations cover.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// The mean, weighted by time.
    pub average: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The earliest.
    pub first: f64,
    /// The latest.
    pub last: f64,
}

impl Measure {
    /// A quantity that did not change.
    #[must_use]
    pub fn constant(value: f64) -> Self {
        Self { average: value, min: value, max: value, first: value, last: value }
    }
}

/// The usage of one tenant. `runs` are sorted by space type and then by start, as the store gives them for
/// [`stretch_of`](super::calendar::stretch_of) the buckets; `buckets` are those of `range`, in order. Nothing is known after `now`.
#[must_use]
pub fn series(runs: &[Run], buckets: &[TimeRange], range: TimeRange, now: Timestamp, fill: Fill) -> UsageSeries {
    let segments = segments(runs, now);
    UsageSeries {
        points: aggregate(&segments, buckets.iter().copied(), now, fill).collect(),
        coverage: coverage(&segments, TimeRange { from: range.from, to: range.to.min(now) }),
    }
}
