//! Spans of time as the API takes them: ISO 8601 durations of any length and mixture.

use std::fmt;
use std::str::FromStr;

use jiff::fmt::temporal::SpanParser;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

/// A span of time of zero or more, such as `PT90S`, `P1D` or `P1M`. Years, months, weeks and days follow the calendar in UTC, where
/// a day has 24 hours.
#[derive(Clone, Copy, Debug)]
pub struct Period(Span);

/// Why a text is no [`Period`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPeriod {
    /// Not in the form of ISO 8601, or longer than 20,000 years.
    #[error("not an ISO 8601 duration, such as PT5M, PT1H, P1D, P1W, P1M or P1Y")]
    Unreadable,
    /// Less than zero.
    #[error("a duration must not be negative")]
    Negative,
}

impl Period {
    /// The instant that lies this long before another; the earliest instant there is when it would lie before that.
    #[must_use]
    pub fn before(self, at: Timestamp) -> Timestamp {
        at.to_zoned_datetime(TimeZone::UTC).checked_sub(self.0).map_or(Timestamp::MIN, |earlier| earlier.timestamp())
    }

    /// The instant that lies this long after another; the latest instant there is when it would lie after that.
    #[must_use]
    pub fn after(self, at: Timestamp) -> Timestamp {
        at.to_zoned_datetime(TimeZone::UTC).checked_add(self.0).map_or(Timestamp::MAX, |later| later.timestamp())
    }

    /// How long the period is when it ends at the given instant: `P1M` has 28 to 31 days. For the age of what is known at `at`.
    #[must_use]
    pub fn length_before(self, at: Timestamp) -> SignedDuration {
        at.duration_since(self.before(at))
    }

    pub(super) fn span(self) -> Span {
        self.0
    }
}

impl FromStr for Period {
    type Err = InvalidPeriod;

    fn from_str(text: &str) -> Result<Self, InvalidPeriod> {
        let span = SpanParser::new().parse_span(text).map_err(|_| InvalidPeriod::Unreadable)?;
        if span.is_negative() { Err(InvalidPeriod::Negative) } else { Ok(Self(span)) }
    }
}

/// ISO 8601 again, unit by unit as it was given.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{InvalidPeriod, Period};

    fn period(text: &str) -> Period {
        text.parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn fixed_units_have_their_length_and_months_follow_the_calendar() {
        let now = at("2026-03-31T12:00:00Z");
        let secs = |text| period(text).length_before(now).as_secs();
        assert_eq!(secs("PT90S"), 90);
        assert_eq!(secs("P1D"), 86_400);
        assert_eq!(secs("P1WT1H"), 7 * 86_400 + 3600);
        assert_eq!(secs("PT0S"), 0);
        assert_eq!(period("PT0.25S").length_before(now), SignedDuration::from_millis(250));
        assert_eq!(period("P1M").before(now), at("2026-02-28T12:00:00Z"));
        assert_eq!(period("P1Y").after(now), at("2027-03-31T12:00:00Z"));
    }

    #[test]
    fn what_lies_outside_of_time_is_cut_to_its_edge() {
        assert_eq!(period("P19998Y").before(at("2026-01-01T00:00:00Z")), Timestamp::MIN);
        assert_eq!(period("P19998Y").after(at("2026-01-01T00:00:00Z")), Timestamp::MAX);
    }

    #[test]
    fn text_goes_in_in_either_case_and_comes_out_in_capitals() {
        for (given, shown) in [("p1d", "P1D"), ("pt15m", "PT15M"), ("P1Y2M", "P1Y2M"), ("PT24H", "PT24H"), ("P0D", "PT0S")] {
            assert_eq!(period(given).to_string(), shown);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "P", "PT", "1d", "1 hour", "P1X", "P1D ", "5m", "P1.5D", "P99999999999999999999Y"] {
            assert_eq!(text.parse::<Period>().err(), Some(InvalidPeriod::Unreadable), "{text:?}");
        }
        assert_eq!("-P1D".parse::<Period>().err(), Some(InvalidPeriod::Negative));
    }
}
