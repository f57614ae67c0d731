//! The lengths that calendar buckets can have.

use std::fmt;
use std::str::FromStr;

use super::period::{InvalidPeriod, Period};

const SECONDS_PER_DAY: i64 = 86_400;
/// Of the Gregorian calendar on average: 365.2425 / 12 days.
const SECONDS_PER_MONTH: i64 = 2_629_746;

/// The length of calendar buckets: so many months, so many days, or a part of a day. Read from and shown as an ISO 8601 duration.
///
/// Equal lengths are equal and have one canonical text: `PT60M` is `PT1H`, `PT24H` is `P1D`, `P7D` is `P1W`, `P12M` is `P1Y`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interval(Length);

/// What an interval counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Length {
    /// Calendar months; at least 1.
    Months(i64),
    /// Calendar days; at least 1.
    Days(i64),
    /// Seconds; a proper divisor of the 86,400 of a day.
    Seconds(i64),
}

/// Why a text is no [`Interval`]. The sentences are for whoever gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInterval {
    /// Not in the form of ISO 8601.
    #[error("not an ISO 8601 duration; an interval is one such as PT15M, PT1H, P1D, P1W, P1M or P1Y")]
    Unreadable,
    #[error("an interval must be longer than zero")]
    Zero,
    /// Less than zero.
    #[error("an interval must not be negative")]
    Negative,
    /// With a decimal fraction.
    #[error("an interval has whole numbers only: PT30M rather than PT0.5H")]
    Fractional,
    /// Of more than one kind.
    #[error(
        "an interval is of one kind: years and months (P1M, P1Y), weeks and days (P1D, P1W), or hours, minutes and seconds (PT1H); not a mixture"
    )]
    Mixed,
    /// Hours, minutes and seconds that do not fit into a day evenly.
    #[error(
        "an interval of hours, minutes and seconds must divide 24 hours evenly, as PT5M, PT10M, PT15M, PT20M, PT30M, PT1H, PT2H, PT3H, PT4H, \
         PT6H, PT8H and PT12H do; for whole days there are P1D, P2D and so on"
    )]
    Uneven,
}

impl Interval {
    pub(super) fn length(self) -> Length {
        self.0
    }

    /// How many seconds it has on average, without clock changes.
    pub(super) fn nominal_seconds(self) -> i64 {
        match self.0 {
            Length::Months(months) => months * SECONDS_PER_MONTH,
            Length::Days(days) => days * SECONDS_PER_DAY,
            Length::Seconds(seconds) => seconds,
        }
    }
}

impl TryFrom<Period> for Interval {
    type Error = InvalidInterval;

    fn try_from(period: Period) -> Result<Self, InvalidInterval> {
        let span = period.span();
        let months = i64::from(span.get_years()) * 12 + i64::from(span.get_months());
        let days = i64::from(span.get_weeks()) * 7 + i64::from(span.get_days());
        let seconds = i64::from(span.get_hours()) * 3600 + span.get_minutes() * 60 + span.get_seconds();
        if (span.get_milliseconds(), span.get_microseconds(), span.get_nanoseconds()) != (0, 0, 0) {
            return Err(InvalidInterval::Fractional);
        }
        match (months, days, seconds) {
            (0, 0, 0) => Err(InvalidInterval::Zero),
            (_, 0, 0) => Ok(Self(Length::Months(months))),
            (0, _, 0) => Ok(Self(Length::Days(days))),
            (0, 0, SECONDS_PER_DAY) => Ok(Self(Length::Days(1))),
            (0, 0, _) if SECONDS_PER_DAY % seconds == 0 => Ok(Self(Length::Seconds(seconds))),
            (0, 0, _) => Err(InvalidInterval::Uneven),
            _ => Err(InvalidInterval::Mixed),
        }
    }
}

impl FromStr for Interval {
    type Err = InvalidInterval;

    fn from_str(text: &str) -> Result<Self, InvalidInterval> {
        let period = text.parse::<Period>().map_err(|refused| match refused {
            InvalidPeriod::Negative => InvalidInterval::Negative,
            InvalidPeriod::Unreadable => InvalidInterval::Unreadable,
        })?;
        // `PT1.5H` is a whole number of seconds, yet not written as one.
        if text.contains(['.', ',']) { Err(InvalidInterval::Fractional) } else { Self::try_from(period) }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Length::Months(months) if months % 12 == 0 => write!(f, "P{}Y", months / 12),
            Length::Months(months) => write!(f, "P{months}M"),
            Length::Days(days) if days % 7 == 0 => write!(f, "P{}W", days / 7),
            Length::Days(days) => write!(f, "P{days}D"),
            Length::Seconds(seconds) => {
                f.write_str("PT")?;
                for (count, unit) in [(seconds / 3600, 'H'), (seconds / 60 % 60, 'M'), (seconds % 60, 'S')] {
                    if count != 0 {
                        write!(f, "{count}{unit}")?;
                    }
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Interval, InvalidInterval};

    #[test]
    fn equal_lengths_have_one_text() {
        for (given, shown) in [
            ("PT15M", "PT15M"),
            ("pt1h", "PT1H"),
            ("PT60M", "PT1H"),
            ("PT3600S", "PT1H"),
            ("PT90M", "PT1H30M"),
            ("PT1M30S", "PT1M30S"),
            ("PT6H", "PT6H"),
            ("P1D", "P1D"),
            ("PT24H", "P1D"),
            ("P1DT0H", "P1D"),
            ("P7D", "P1W"),
            ("P1W", "P1W"),
            ("P1W2D", "P9D"),
            ("P1M", "P1M"),
            ("P3M", "P3M"),
            ("P12M", "P1Y"),
            ("P1Y6M", "P18M"),
            ("p1y", "P1Y"),
        ] {
            let interval: Interval = given.parse().unwrap();
            assert_eq!(interval.to_string(), shown);
            assert_eq!(shown.parse(), Ok(interval));
        }
    }

    #[test]
    fn what_is_no_interval_is_refused_for_its_reason() {
        for (text, reason) in [
            ("", InvalidInterval::Unreadable),
            ("1 day", InvalidInterval::Unreadable),
            ("P0.5D", InvalidInterval::Unreadable),
            ("PT0S", InvalidInterval::Zero),
            ("P0M", InvalidInterval::Zero),
            ("-P1D", InvalidInterval::Negative),
            ("PT1.5H", InvalidInterval::Fractional),
            ("PT0,5S", InvalidInterval::Fractional),
            ("P1M1D", InvalidInterval::Mixed),
            ("P1Y1W", InvalidInterval::Mixed),
            ("P1DT12H", InvalidInterval::Mixed),
            ("PT7H", InvalidInterval::Uneven),
            ("PT11M", InvalidInterval::Uneven),
            ("PT36H", InvalidInterval::Uneven),
            ("PT48H", InvalidInterval::Uneven),
        ] {
            assert_eq!(text.parse::<Interval>(), Err(reason), "{text:?}");
        }
    }
}
