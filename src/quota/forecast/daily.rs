//! One value a day out of a sequence of segments.

use jiff::{SignedDuration, Timestamp};

use crate::quota::usage::Segment;

/// Days of history that a forecast looks at: 53 weeks.
pub const MAX_DAYS: usize = 371;

/// What was allocated at the time of day of `now` on each of the last [`MAX_DAYS`] days, in GB, the newest last and taken at `now` itself:
/// the last known value of the 24 hours before; `None` when nothing was observed in them. None of the segments ends after `now`.
///
/// Values at an instant rather than means of days, since a threshold is reached at an instant, and a shift of the level stays sharp. Days
/// counted back from now rather than from midnight, so that the newest value is the start of the forecast.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a forecast is an estimate")]
pub fn daily_values(segments: &[Segment], now: Timestamp) -> Vec<Option<f64>> {
    let mut left = segments;
    let mut newest_first = Vec::with_capacity(MAX_DAYS);
    let mut end = now;
    for _ in 0..MAX_DAYS {
        while let [rest @ .., last] = left
            && last.start >= end
        {
            left = rest;
        }
        let start = end.saturating_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN);
        newest_first.push(left.last().filter(|last| last.end > start).map(|last| last.allocated_gb as f64));
        end = start;
    }
    newest_first.reverse();
    newest_first
}
