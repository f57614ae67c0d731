//! Time cut into buckets that follow the calendar and the clock of a time zone.
//!
//! A bucket begins where the local clock reaches one of the lines of its interval: midnight for `P1D`, Monday's for
//! `P1W`, the first's of every third month for `P3M`, a multiple of an hour since midnight for `PT1H`. Where the clock is set
//! forward over lines, the instant of the change stands for them. Where it is set back and shows a line twice, intervals of hours
//! and less count it twice if they are no longer than the shift, all others count the first time only. So `PT1H` has 25 buckets
//! on a day of 25 hours, and `PT6H` has 4.

mod lines;
mod offset;
#[cfg(test)]
pub(super) mod tests;
mod zone;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::lines::Lines;
use self::offset::{Stretch, instant};
use super::{Interval, TimeRange};

pub use zone::{UnknownTimeZone, time_zone};

/// More buckets were asked for than are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "at most {limit} points are given, and intervals of {interval} make about {estimate}; take a longer interval or a shorter stretch"
)]
pub struct TooManyBuckets {
    /// How many are allowed.
    pub limit: usize,
    /// The interval asked for.
    pub interval: Interval,
    /// Roughly how many there are.
    pub estimate: u64,
}

/// All buckets that intersect the range, whole and in order. The first begins at or before `from`, the last ends at or after `to`,
/// each begins where the one before it ends, and none is empty. An empty range has none. Lazy: costs nothing until it is read.
#[must_use]
pub fn buckets(range: TimeRange, interval: Interval, tz: &TimeZone) -> Buckets<'_> {
    let lines = Lines::of(interval);
    let from = floor_seconds(range.from);
    let mut stretch = Stretch::containing(tz, from);
    let boundary = if range.from < range.to { stretch.last_boundary(tz, lines, from) } else { i64::MAX };
    let start = boundary.max(floor_seconds(Timestamp::MIN));
    Buckets { tz, lines, stretch, start, to: ceil_seconds(range.to) }
}

/// The same, collected, if there are no more than `limit`. What it costs is bound by the limit, not by the range.
///
/// # Errors
/// [`TooManyBuckets`] when there are more.
pub fn buckets_within(range: TimeRange, interval: Interval, tz: &TimeZone, limit: usize) -> Result<Vec<TimeRange>, TooManyBuckets> {
    let estimate = estimate_count(range, interval);
    let refused = TooManyBuckets { limit, interval, estimate: estimate.max(limit as u64 + 1) };
    // Clock changes and the unequal lengths of months make far less of a difference than this margin.
    if estimate > limit as u64 + limit as u64 / 8 + 16 {
        return Err(refused);
    }
    let found: Vec<_> = buckets(range, interval, tz).take(limit.saturating_add(1)).collect();
    if found.len() > limit { Err(refused) } else { Ok(found) }
}

/// How many buckets of the interval's usual length the range has room for, rounded up: what [`buckets`] gives, give or take those at the
/// ends, clock changes and the unequal lengths of months. Costs nothing.
#[must_use]
pub fn estimate_count(range: TimeRange, interval: Interval) -> u64 {
    let seconds = ceil_seconds(range.to).saturating_sub(floor_seconds(range.from)).max(0);
    seconds.unsigned_abs().div_ceil(interval.nominal_seconds().unsigned_abs())
}

/// The stretch from the start of the first bucket to the end of the last. Runs must be read for all of it, not only for the range
/// that was asked for.
#[must_use]
pub fn stretch_of(buckets: &[TimeRange]) -> Option<TimeRange> {
    Some(TimeRange { from: buckets.first()?.from, to: buckets.last()?.to })
}

/// The iterator that [`buckets`] gives.
#[derive(Clone, Debug)]
pub struct Buckets<'tz> {
    tz: &'tz TimeZone,
    lines: Lines,
    /// Holds `start`.
    stretch: Stretch,
    /// Where the next bucket begins, in seconds since 1970.
    start: i64,
    to: i64,
}

impl Iterator for Buckets<'_> {
    type Item = TimeRange;

    fn next(&mut self) -> Option<TimeRange> {
        if self.start >= self.to {
            return None;
        }
        let start = self.start;
        self.start = self.stretch.next_boundary(self.tz, self.lines, start);
        Some(TimeRange { from: instant(start), to: instant(self.start) })
    }
}

impl std::iter::FusedIterator for Buckets<'_> {}

fn floor_seconds(at: Timestamp) -> i64 {
    at.as_second() - i64::from(at.subsec_nanosecond() < 0)
}

fn ceil_seconds(at: Timestamp) -> i64 {
    at.as_second() + i64::from(at.subsec_nanosecond() > 0)
}
