//! Growth: what changed from one end of a stretch to the other, and what of it filled the space and what resized it.

#[cfg(test)]
mod tests;

use super::usage::{Segment, micros_between};
use super::{TimeRange, utilization};

/// What changed over a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// The stretch that is compared: as asked, or from the first observation in it when there is none before.
    pub range: TimeRange,
    /// By how much allocated grew, in GB; negative when it shrank.
    pub allocated_change_gb: i128,
    /// By how much total grew, in GB; negative when it shrank.
    pub total_change_gb: i128,
    /// By how much utilization grew; `None` when total is 0 at one of the ends.
    pub utilization: Option<UtilizationChange>,
}

/// A change of utilization and its two causes, which add up to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UtilizationChange {
    /// The whole change; 0.1 when utilization went from 0.5 to 0.6.
    pub whole: f64,
    /// What allocating and releasing did.
    pub by_allocation: f64,
    /// What resizing did: a larger total is a negative part.
    pub by_capacity: f64,
}

impl Growth {
    /// The change of allocated in GB per day of 24 hours.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the API gives doubles")]
    pub fn per_day_gb(&self) -> f64 {
        const DAY_MICROS: f64 = 86_400_000_000.0;
        self.allocated_change_gb as f64 * (DAY_MICROS / micros_between(self.range.from, self.range.to) as f64)
    }
}

/// The growth over a stretch, by the segments of a tenant, of which none ends after the stretch.
///
/// The value at an end is the one that was known then: what holds at the instant, or else the last that held before it. Without any
/// before the stretch, growth is told from the first observation in it. `None` when nothing was observed in the stretch: what was
/// known before it says nothing about it.
#[must_use]
pub fn growth(segments: &[Segment], stretch: TimeRange) -> Option<Growth> {
    let newest = &segments[..segments.partition_point(|segment| segment.start < stretch.to)];
    let end = newest.last().filter(|end| end.end > stretch.from)?;
    let known = newest.partition_point(|segment| segment.start <= stretch.from);
    let (from, start) = match known.checked_sub(1) {
        Some(last) => (stretch.from, &newest[last]),
        None => (newest[0].start, &newest[0]),
    };
    Some(Growth {
        range: TimeRange { from, to: stretch.to },
        allocated_change_gb: end.allocated_gb - start.allocated_gb,
        total_change_gb: end.total_gb - start.total_gb,
        utilization: utilization_change((start.allocated_gb, start.total_gb), (end.allocated_gb, end.total_gb)),
    })
}

/// Splits the change between two states, allocated and total each, by the value of Shapley: each cause counts with the mean of what it
/// does when it comes first and when it comes second. No order is preferred, and nothing is left over.
#[expect(clippy::cast_precision_loss, reason = "the API gives doubles")]
fn utilization_change(start: (i128, i128), end: (i128, i128)) -> Option<UtilizationChange> {
    let whole = utilization(end.0, end.1)? - utilization(start.0, start.1)?;
    let by_allocation = if start.1 == end.1 {
        whole
    } else {
        let allocated = (end.0 - start.0) as f64;
        // 0.0 + makes a zero out of a negative zero.
        0.0 + f64::midpoint(allocated / start.1 as f64, allocated / end.1 as f64)
    };
    Some(UtilizationChange { whole, by_allocation, by_capacity: whole - by_allocation })
}
