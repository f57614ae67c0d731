//! Instants as people and programs write them: RFC 3339.

use jiff::Timestamp;
use jiff::civil::{Date, date};

const EPOCH: Date = date(1970, 1, 1);

/// Reads an instant.
///
/// Every RFC 3339 date-time is one: `T` and `Z` in either case, a blank in place of `T` (section 5.6), any number of digits of a
/// fraction, any offset from `-23:59` to `+23:59`, and `-00:00`. What is finer than a nanosecond is cut, towards the past. A leap second counts
/// as the second before it. Whoever means forever writes the end of the year 9999, which with its offset may lie beyond the
/// instants that can be counted with: it is the last of them then. Other forms of ISO 8601 that name one instant are taken, too.
///
/// `None` when it is no instant.
#[must_use]
pub fn parse_instant(text: &str) -> Option<Timestamp> {
    rfc3339(text.as_bytes()).or_else(|| text.parse().ok())
}

fn rfc3339(text: &[u8]) -> Option<Timestamp> {
    let (date_and_time, rest) = text.split_at_checked(19)?;
    let [y, m, d] = [0..4, 5..7, 8..10].map(|place| number(&date_and_time[place]));
    let [hour, minute, second] = [11..13, 14..16, 17..19].map(|place| number(&date_and_time[place]));
    let marks = [4, 7, 10, 13, 16].map(|place| date_and_time[place]);
    if !matches!(marks, [b'-', b'-', b'T' | b't' | b' ', b':', b':']) {
        return None;
    }
    let date = Date::new(i16::try_from(y?).ok()?, i8::try_from(m?).ok()?, i8::try_from(d?).ok()?).ok()?;
    let (hour, minute, second) = (at_most(23, hour)?, at_most(59, minute)?, at_most(60, second)?.min(59));

    let (nanos, offset) = match rest.strip_prefix(b".") {
        Some(rest) => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (fraction, offset) = rest.split_at(digits);
            (nanoseconds(fraction)?, offset)
        }
        None => (0, rest),
    };
    let ahead = match offset {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), hours @ .., b':', tens, ones] if hours.len() == 2 => {
            let seconds = at_most(23, number(hours))? * 3600 + at_most(59, number(&[*tens, *ones]))? * 60;
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    let seconds = date.duration_since(EPOCH).as_secs() + hour * 3600 + minute * 60 + second - ahead;
    // Only the seconds can be out of range; then it is the nearest instant that is not.
    Some(Timestamp::new(seconds, nanos).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX }))
}

/// The number that these few digits are.
fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

fn at_most(limit: i64, number: Option<i64>) -> Option<i64> {
    number.filter(|number| *number <= limit)
}

/// The whole nanoseconds of a fraction of a second.
fn nanoseconds(fraction: &[u8]) -> Option<i32> {
    if fraction.is_empty() {
        return None;
    }
    let digit = |place: usize| i32::from(fraction.get(place).map_or(0, |byte| byte - b'0'));
    Some((0..9).fold(0, |nanos, place| nanos * 10 + digit(place)))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::parse_instant;

    /// Days from 1970 to a day of the Gregorian calendar, counted year by year and month by month.
    fn days(year: i64, month: i64, day: i64) -> i64 {
        let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let before = |year: i64| {
            let past = year - 1;
            past * 365 + past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400)
        };
        let of_months = [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let of_month = usize::try_from(month - 1).unwrap();
        before(year) - before(1970) + of_months[..of_month].iter().sum::<i64>() + day - 1
    }

    proptest! {
        #[test]
        fn every_instant_of_rfc_3339_is_read(
            (year, month, day) in (1_i64..=9999, 1_i64..=12, 1_i64..=28),
            (hour, minute, second) in (0_i64..24, 0_i64..60, 0_i64..=60),
            fraction in "(\\.[0-9]{1,30})?",
            separator in "[Tt ]",
            (sign, offset_hour, offset_minute) in (prop_oneof![Just('+'), Just('-')], 0_i64..24, 0_i64..60),
            zulu in prop_oneof![Just(None), Just(Some('Z')), Just(Some('z'))],
        ) {
            let offset = zulu.map_or_else(|| format!("{sign}{offset_hour:02}:{offset_minute:02}"), String::from);
            let text = format!("{year:04}-{month:02}-{day:02}{separator}{hour:02}:{minute:02}:{second:02}{fraction}{offset}");
            let ahead = if zulu.is_some() { 0 } else { (offset_hour * 60 + offset_minute) * if sign == '+' { 60 } else { -60 } };
            let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second.min(59) - ahead;
            let nanos: i128 = format!("{:0<9.9}", fraction.trim_start_matches('.')).parse().unwrap();
            let expected = i128::from(seconds) * 1_000_000_000 + nanos;
            let expected = expected.clamp(Timestamp::MIN.as_nanosecond(), Timestamp::MAX.as_nanosecond());
            prop_assert_eq!(parse_instant(&text).map(Timestamp::as_nanosecond), Some(expected), "{}", text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9TtZz:.+ -]{0,40}|\\PC{0,30}") {
            let _ = parse_instant(&text);
        }
    }

    #[test]
    fn the_edges_and_the_odd_forms_are_read() {
        for (text, expected) in [
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
            ("1990-12-31T15:59:60-08:00", "1990-12-31T23:59:59Z"),
            ("2026-03-01t00:00:00z", "2026-03-01T00:00:00Z"),
            ("2026-03-01 00:00:00-00:00", "2026-03-01T00:00:00Z"),
            ("2026-03-01T00:00:00+23:59", "2026-02-28T00:01:00Z"),
            ("2026-03-01T00:00:00-23:59", "2026-03-01T23:59:00Z"),
            ("2026-03-01T00:00:00.0000000009Z", "2026-03-01T00:00:00Z"),
            ("2026-03-01T00:00:00.123456789999Z", "2026-03-01T00:00:00.123456789Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("0001-01-01T00:00:00+23:59", "0000-12-31T00:01:00Z"),
            ("2024-02-29T12:00:00Z", "2024-02-29T12:00:00Z"),
            ("2026-03-01T00:00Z", "2026-03-01T00:00:00Z"),
        ] {
            assert_eq!(parse_instant(text), Some(expected.parse().unwrap()), "{text}");
        }
        for text in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:60.9-23:59", "9999-12-30T22:00:01Z"] {
            assert_eq!(parse_instant(text), Some(Timestamp::MAX), "{text}");
        }
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "now",
            "2026-03-01",
            "2026-03-01T00:00:00",
            "2026-03-01T00:00:00.Z",
            "2026-02-30T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T00:60:00Z",
            "2026-03-01T00:00:61Z",
            "2026-03-01T00:00:00+00:60",
            "2026-03-01T00:00:00Z ",
            " 2026-03-01T00:00:00Z",
            "２０２６-03-01T00:00:00Z",
        ] {
            assert_eq!(parse_instant(text), None, "{text:?}");
        }
    }
}
