//! A time zone as a sequence of stretches in which the local clock runs evenly.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::lines::Lines;

/// A stretch without a change of the clock. All times are in seconds since 1970; local ones are those that the clock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// When it begins, inclusive; `None` when it always was.
    start: Option<i64>,
    /// When it ends, exclusive; `None` when it never does.
    end: Option<i64>,
    /// What the clock is ahead of UTC.
    offset: i64,
    /// What it was ahead just before the stretch.
    offset_before: i64,
}

impl Stretch {
    /// The stretch that holds an instant.
    pub(super) fn containing(tz: &TimeZone, at: i64) -> Self {
        let offset = |at: Timestamp| i64::from(tz.to_offset(at).seconds());
        let second = SignedDuration::from_secs(1);
        let at = instant(at);
        let opening = tz.preceding(at.saturating_add(second).unwrap_or(Timestamp::MAX)).next().map(|t| t.timestamp());
        let closing = tz.following(at).next().map(|t| t.timestamp()).filter(|t| *t > at);
        Self {
            start: opening.map(Timestamp::as_second),
            end: closing.map(Timestamp::as_second),
            offset: offset(at),
            offset_before: offset(opening.map_or(at, |t| t.saturating_sub(second).unwrap_or(Timestamp::MIN))),
        }
    }

    /// The last instant at or before `at` at which a bucket begins; becomes the stretch that holds it. `at` lies in this stretch.
    pub(super) fn last_boundary(&mut self, tz: &TimeZone, lines: Lines, mut at: i64) -> i64 {
        loop {
            let line = lines.at_or_before(at + self.offset);
            let Some(start) = self.start else { return line.saturating_sub(self.offset) };
            if line >= self.first_local(start, lines) {
                return line - self.offset;
            }
            if self.skips_a_line(start, lines) {
                return start;
            }
            at = start - 1;
            *self = Self::containing(tz, at);
        }
    }

    /// The first instant after `at` at which a bucket begins; becomes the stretch that holds it. `at` lies in this stretch.
    pub(super) fn next_boundary(&mut self, tz: &TimeZone, lines: Lines, at: i64) -> i64 {
        let mut local = at + self.offset;
        loop {
            let boundary = lines.after(local).saturating_sub(self.offset);
            let Some(end) = self.end.filter(|end| *end <= boundary) else { return boundary };
            *self = Self::containing(tz, end);
            if self.skips_a_line(end, lines) {
                return end;
            }
            local = self.first_local(end, lines) - 1;
        }
    }

    /// The earliest local time whose line counts. When the clock was set back, the times that it shows again do not, unless the
    /// lines are close enough to repeat.
    fn first_local(&self, start: i64, lines: Lines) -> i64 {
        let shift = self.offset_before - self.offset;
        start + if shift > 0 && !lines.repeat_after(shift) { self.offset_before } else { self.offset }
    }

    /// Whether the clock was set forward over a line.
    fn skips_a_line(&self, start: i64, lines: Lines) -> bool {
        self.offset > self.offset_before && lines.at_or_before(start + self.offset - 1) >= start + self.offset_before
    }
}

/// The instant so many seconds after 1970 began, or the edge of time.
pub(super) fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}
