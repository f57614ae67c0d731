//! One value a day out of a sequence of segments.

use jiff::{SignedDuration, Timestamp};

use crate::quota::fleet::millis;
use crate::quota::usage::Segment;

/// Days of history that a forecast looks at: 53 weeks.
pub const MAX_DAYS: usize = 371;

const HOUR_MILLIS: i64 = 3_600_000;

/// The instants that the values of so many days are taken at, newest first: `now` itself, and the beginning of its hour (of UTC) on each of
/// the days before.
///
/// Of its hour, so that what was the past a minute ago still is: what was made of a tenant's days holds until the next hour, or until the tenant
/// changes.
pub fn marks(now: Timestamp, days: usize) -> impl Iterator<Item = Timestamp> + Clone {
    let hour = hour_of(now);
    let ago = move |days: i64| hour.saturating_sub(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MIN);
    std::iter::once(now).chain((1..).map(ago)).take(days)
}

/// The beginning of the hour of an instant, in UTC.
#[must_use]
pub fn hour_of(now: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(millis(now).div_euclid(HOUR_MILLIS) * HOUR_MILLIS).unwrap_or(now)
}

/// What was allocated at the [`marks`] of the last [`MAX_DAYS`] days, in GB, the newest last: the last known value since the mark before; `None`
/// when nothing was observed since. None of the segments ends after `now`.
///
/// Values at an instant rather than means of days, since a threshold is reached at an instant, and a shift of the level stays sharp. Days
/// counted back from now rather than from midnight, so that the newest value is the start of the forecast.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a forecast is an estimate")]
pub fn daily_values(segments: &[Segment], now: Timestamp) -> Vec<Option<f64>> {
    let mut left = segments;
    let mut newest_first = Vec::with_capacity(MAX_DAYS);
    let marks = marks(now, MAX_DAYS + 1);
    for (end, start) in marks.clone().zip(marks.skip(1)) {
        while let [rest @ .., last] = left
            && last.start >= end
        {
            left = rest;
        }
        newest_first.push(left.last().filter(|last| last.end > start).map(|last| last.allocated_gb as f64));
    }
    newest_first.reverse();
    newest_first
}
