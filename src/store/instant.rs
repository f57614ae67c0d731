//! Instants as the databases keep them: whole milliseconds, so that both give back the same one.

use jiff::Timestamp;

pub(super) use crate::quota::fleet::millis;

const NANOS: i128 = 1_000_000;

/// The milliseconds since 1970 at or after an instant. For bounds: `kept >= bound` holds for a kept instant if and only if it holds
/// for the bound cut like this.
pub(super) fn millis_at_or_after(bound: Timestamp) -> i64 {
    narrow(-(-bound.as_nanosecond()).div_euclid(NANOS))
}

/// The instant cut to whole milliseconds, towards the past.
pub(super) fn cut(at: Timestamp) -> Timestamp {
    from_millis(millis(at)).unwrap_or(Timestamp::MIN)
}

/// The instant raised to whole milliseconds, towards the future.
pub(super) fn raised(bound: Timestamp) -> Timestamp {
    from_millis(millis_at_or_after(bound)).unwrap_or(Timestamp::MAX)
}

/// The microseconds since 1970 at or before an instant.
pub(super) fn micros(at: Timestamp) -> i64 {
    narrow(at.as_nanosecond().div_euclid(1000))
}

/// The instant so many microseconds after 1970.
pub(super) fn from_micros(micros: i64) -> Result<Timestamp, jiff::Error> {
    Timestamp::from_microsecond(micros)
}

/// The instant so many milliseconds after 1970.
pub(super) fn from_millis(millis: i64) -> Result<Timestamp, jiff::Error> {
    Timestamp::from_millisecond(millis)
}

fn narrow(millis: i128) -> i64 {
    i64::try_from(millis).unwrap_or(if millis < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::{cut, millis, millis_at_or_after, raised};
    use jiff::Timestamp;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_instant_lies_between_its_cut_and_its_raise(nanos in -300_000_000_000_000_000_000_i128..250_000_000_000_000_000_000) {
            let at = Timestamp::from_nanosecond(nanos).unwrap();
            prop_assert!(cut(at) <= at && at <= raised(at));
            let whole = nanos.rem_euclid(1_000_000) == 0;
            prop_assert_eq!(millis_at_or_after(at) - millis(at), i64::from(!whole));
        }
    }

    #[test]
    fn the_ends_of_time_are_kept() {
        assert!(cut(Timestamp::MIN) <= raised(Timestamp::MIN));
        assert_eq!(raised(Timestamp::MAX), Timestamp::MAX);
    }
}
