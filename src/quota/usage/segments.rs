//! The runs of all space types as one sequence of constant sums.

use jiff::Timestamp;

use crate::quota::{Run, TimeRange};

/// A stretch in which neither sum changes. What lies between two segments is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// When it begins, inclusive.
    pub start: Timestamp,
    /// When it ends, exclusive; after `start`.
    pub end: Timestamp,
    /// Allocated in GB, summed over the space types.
    pub allocated_gb: i128,
    /// Total in GB, summed over the space types.
    pub total_gb: i128,
}

impl Segment {
    /// The part of it that lies in a range; `None` when none does.
    #[must_use]
    pub fn within(&self, range: TimeRange) -> Option<Self> {
        let (start, end) = (self.start.max(range.from), self.end.min(range.to));
        (start < end).then_some(Self { start, end, ..*self })
    }

    /// Its length in microseconds.
    #[must_use]
    pub fn micros(&self) -> i64 {
        micros_between(self.start, self.end)
    }
}

/// A type begins or ceases to hold.
struct Change {
    at: Timestamp,
    types: i32,
    allocated_gb: i128,
    total_gb: i128,
}

/// The sums of one tenant over time: in order, never overlapping, as few as can be. `runs` are sorted by space type and then by
/// start; what is missing among them is taken for a gap. Nothing holds after `now`.
#[must_use]
pub fn segments(runs: &[Run], now: Timestamp) -> Vec<Segment> {
    let mut changes = changes(runs, now);
    // A stable sort, which is fast for the sorted sequences of each type.
    changes.sort_by_key(|change| change.at);
    let mut segments: Vec<Segment> = Vec::with_capacity(runs.len());
    let mut sum = Change { at: Timestamp::MIN, types: 0, allocated_gb: 0, total_gb: 0 };
    for change in changes {
        if sum.types > 0 && sum.at < change.at {
            push(&mut segments, Segment { start: sum.at, end: change.at, allocated_gb: sum.allocated_gb, total_gb: sum.total_gb });
        }
        sum.at = change.at;
        sum.types += change.types;
        sum.allocated_gb += change.allocated_gb;
        sum.total_gb += change.total_gb;
    }
    segments
}

/// The share of a range that segments cover; 0 for an empty range.
#[must_use]
pub fn coverage(segments: &[Segment], range: TimeRange) -> f64 {
    let first = segments.partition_point(|segment| segment.end <= range.from);
    let covered = segments[first..].iter().map_while(|segment| segment.within(range)).map(|part| part.micros()).sum();
    share(covered, micros_between(range.from, range.to))
}

fn changes(runs: &[Run], now: Timestamp) -> Vec<Change> {
    let mut changes = Vec::with_capacity(runs.len() * 2);
    for (index, run) in runs.iter().enumerate() {
        let next = runs.get(index + 1).filter(|next| next.space_type == run.space_type);
        let end = run.holds_until(next.map(|next| next.first_at)).min(now);
        if run.first_at < end {
            let (allocated_gb, total_gb) = (i128::from(run.allocated_gb), i128::from(run.total_gb));
            changes.push(Change { at: run.first_at, types: 1, allocated_gb, total_gb });
            changes.push(Change { at: end, types: -1, allocated_gb: -allocated_gb, total_gb: -total_gb });
        }
    }
    changes
}

fn push(segments: &mut Vec<Segment>, new: Segment) {
    match segments.last_mut() {
        Some(last) if last.end == new.start && (last.allocated_gb, last.total_gb) == (new.allocated_gb, new.total_gb) => {
            last.end = new.end;
        }
        _ => segments.push(new),
    }
}

/// From one instant to another, in microseconds; negative when it is the earlier one.
pub(in crate::quota) fn micros_between(start: Timestamp, end: Timestamp) -> i64 {
    end.as_microsecond() - start.as_microsecond()
}

/// A part by its whole, both in microseconds; 0 when the whole is nothing.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53 microseconds, which are 285 years")]
pub(super) fn share(part: i64, whole: i64) -> f64 {
    if whole > 0 { part as f64 / whole as f64 } else { 0.0 }
}
