//! Where buckets begin as the local clock shows it.
//!
//! A local time is counted in seconds since 1970-01-01T00:00 of the same clock, as if its days had 24 hours each.

use jiff::ToSpan;
use jiff::civil::Date;

use crate::quota::Interval;
use crate::quota::interval::Length;

const DAY: i64 = 86_400;
const EPOCH: Date = Date::constant(1970, 1, 1);
const FIRST_MONDAY: i64 = -3 * DAY;

/// The local times at which buckets begin.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lines {
    /// Every so many seconds.
    Every {
        /// The distance.
        step: i64,
        /// One of the lines.
        origin: i64,
        /// Whether they divide days, rather than being made of days.
        within_days: bool,
    },
    /// Every so many months, counted from January of year 0.
    EveryMonths(i64),
}

impl Lines {
    /// The lines of an interval: days are counted from 1970-01-01, weeks from the Monday before it, seconds from midnight.
    pub(super) fn of(interval: Interval) -> Self {
        match interval.length() {
            Length::Months(months) => Self::EveryMonths(months),
            Length::Days(days) if days % 7 == 0 => Self::Every { step: days * DAY, origin: FIRST_MONDAY, within_days: false },
            Length::Days(days) => Self::Every { step: days * DAY, origin: 0, within_days: false },
            Length::Seconds(step) => Self::Every { step, origin: 0, within_days: true },
        }
    }

    /// Whether a line that the clock shows twice, because it is set back by `shift` seconds, counts both times.
    pub(super) fn repeat_after(self, shift: i64) -> bool {
        matches!(self, Self::Every { step, within_days: true, .. } if step <= shift)
    }

    /// The last line at or before a local time; `i64::MIN` before the first of all.
    pub(super) fn at_or_before(self, local: i64) -> i64 {
        match self {
            Self::Every { step, origin, .. } => local - (local - origin).rem_euclid(step),
            Self::EveryMonths(step) => {
                let month = month_of(local);
                start_of_month(month - month.rem_euclid(step)).unwrap_or(i64::MIN)
            }
        }
    }

    /// The first line after a local time; `i64::MAX` after the last of all.
    pub(super) fn after(self, local: i64) -> i64 {
        match self {
            Self::Every { step, origin, .. } => local - (local - origin).rem_euclid(step) + step,
            Self::EveryMonths(step) => {
                let month = month_of(local);
                start_of_month(month - month.rem_euclid(step) + step).unwrap_or(i64::MAX)
            }
        }
    }
}

/// The month of a local time, counted from January of year 0. Times beyond the calendar are in its first or last month.
fn month_of(local: i64) -> i64 {
    let edge = if local < 0 { Date::MIN } else { Date::MAX };
    let date = EPOCH.checked_add(local.div_euclid(DAY).days()).unwrap_or(edge);
    i64::from(date.year()) * 12 + i64::from(date.month()) - 1
}

/// The local time at which a month begins; `None` beyond the calendar.
fn start_of_month(month: i64) -> Option<i64> {
    let year = i16::try_from(month.div_euclid(12)).ok()?;
    let month = i8::try_from(month.rem_euclid(12) + 1).ok()?;
    let date = Date::new(year, month, 1).ok()?;
    Some(date.duration_since(EPOCH).as_secs())
}
