//! When each tenant is asked.

use jiff::{SignedDuration, Timestamp};

/// The golden ratio's fractional part in units of 2^-64: its multiples fill a circle evenly, however many there are.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The first slot of a tenant after `after`. Slots are one interval apart, counted from the Unix epoch, and shifted by a share of
/// the interval that the tenant's ordinal gives: so tenants are spread evenly over the interval however many there are, a tenant's
/// slots stay when others come or go, and slots that were missed are skipped.
#[must_use]
pub fn next_slot(after: Timestamp, interval_s: u32, ordinal: i64) -> Timestamp {
    let micros = i128::from(interval_s) * 1_000_000;
    let share = u128::from(ordinal.cast_unsigned().wrapping_mul(GOLDEN));
    let shift = i128::try_from((share * micros.unsigned_abs()) >> 64).unwrap_or(0);
    let next = (i128::from(after.as_microsecond()) - shift).div_euclid(micros) + 1;
    let at = i64::try_from(next * micros + shift).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(at)
        .unwrap_or_else(|_| after.saturating_add(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_thousand_tenants_are_spread_evenly_over_the_interval() {
        let now: Timestamp = "2026-03-01T12:34:56Z".parse().unwrap();
        let mut slots: Vec<_> = (1..=1000).map(|ordinal| next_slot(now, 300, ordinal).duration_since(now).as_micros()).collect();
        slots.sort_unstable();
        let gaps = slots.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(slots[0] > 0 && slots[999] <= 300_000_000);
        assert!(gaps.max().unwrap() < 900_000, "evenly spread ones would be 300 ms apart");
    }

    proptest! {
        #[test]
        fn slots_are_one_interval_apart_and_missed_ones_are_skipped(
            at in 0_i64..4_000_000_000_000_000, interval_s in 1_u32..=86_400, ordinal in 0_i64..1_000_000, late in 0_i64..1_000_000_000_000,
        ) {
            let at = Timestamp::from_microsecond(at).unwrap();
            let interval = SignedDuration::from_secs(i64::from(interval_s));
            let first = next_slot(at, interval_s, ordinal);
            prop_assert!(first > at && first <= at + interval);
            prop_assert_eq!(next_slot(first, interval_s, ordinal), first + interval);
            let later = at + SignedDuration::from_micros(late);
            let next = next_slot(later, interval_s, ordinal);
            prop_assert!(next > later && next <= later + interval);
            prop_assert_eq!(next.duration_since(first).as_micros() % interval.as_micros(), 0);
        }
    }
}
