//! Means that are weighted by time.

/// The mean of integers, exact until the one rounding at its end.
///
/// A sum of products in 128 bits would do for most: 2^63 GB over a century of microseconds take 115 bits, which leaves room for
/// some thousand space types. Keeping the upper and the lower 64 bits of the values apart leaves room for anything: times add up to
/// less than 2^60 microseconds, since there are no more in the calendar, so the lower sum stays below 2^124.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ExactMean {
    high: i128,
    low: i128,
    micros: i64,
}

impl ExactMean {
    /// Adds a value of zero or more that held for so many microseconds; more than 0.
    pub(super) fn add(&mut self, value: i128, micros: i64) {
        self.high += (value >> 64) * i128::from(micros);
        self.low += (value & i128::from(u64::MAX)) * i128::from(micros);
        self.micros += micros;
    }

    /// The double nearest to the mean. Something has been added.
    pub(super) fn value(self) -> f64 {
        let micros = i128::from(self.micros);
        // The mean is whole + rest / micros, with 0 <= rest < micros.
        let lower = (self.high.rem_euclid(micros) << 64) + self.low;
        let whole = (self.high.div_euclid(micros) << 64) + lower.div_euclid(micros);
        to_nearest(whole, lower.rem_euclid(micros), micros)
    }
}

/// The double nearest to `sum / by`. The sum is not negative, `by` is more than 0 and less than 2^60.
pub(in crate::quota) fn exact_mean(sum: i128, by: i64) -> f64 {
    let by = i128::from(by);
    to_nearest(sum.div_euclid(by).max(0), sum.rem_euclid(by), by)
}

/// The double nearest to `whole + rest / by`, with `0 <= whole` and `0 <= rest < by < 2^60`.
#[expect(clippy::cast_precision_loss, reason = "this is the rounding")]
fn to_nearest(whole: i128, rest: i128, by: i128) -> f64 {
    if rest == 0 {
        return whole as f64;
    }
    // Scaled by a power of two to an integer of more bits than a double keeps. Whether anything is left below that integer goes into
    // its lowest bit, so that no half is mistaken for a tie.
    let shift = if whole == 0 { rest.leading_zeros() - 2 } else { whole.leading_zeros().saturating_sub(65) };
    let scaled = (whole << shift) + (rest << shift) / by;
    let inexact = (rest << shift) % by != 0;
    (scaled | i128::from(inexact)) as f64 / (1_u128 << shift) as f64
}

/// The mean of doubles; the sum is compensated, so that many small parts add up as well as few (Neumaier's variant of Kahan's).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CompensatedMean {
    sum: f64,
    compensation: f64,
    micros: i64,
}

impl CompensatedMean {
    /// Adds a value that held for so many microseconds; more than 0.
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 microseconds, which are 285 years")]
    pub(super) fn add(&mut self, value: f64, micros: i64) {
        let term = value * micros as f64;
        let sum = self.sum + term;
        self.compensation += if self.sum.abs() >= term.abs() { (self.sum - sum) + term } else { (term - sum) + self.sum };
        self.sum = sum;
        self.micros += micros;
    }

    /// The mean. Something has been added.
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 microseconds, which are 285 years")]
    pub(super) fn value(self) -> f64 {
        (self.sum + self.compensation) / self.micros as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CompensatedMean, ExactMean};

    fn mean(values: &[(i128, i64)]) -> f64 {
        let mut mean = ExactMean::default();
        for (value, micros) in values {
            mean.add(*value, *micros);
        }
        mean.value()
    }

    /// A double as a multiple of 2^-64.
    #[expect(clippy::cast_possible_truncation, reason = "only doubles that are one, and not too large")]
    fn scaled(value: f64) -> i128 {
        (value * 18_446_744_073_709_551_616.0) as i128
    }

    #[test]
    fn the_widest_values_over_the_longest_times_are_exact() {
        let (value, all_time) = (i128::from(i64::MAX) << 31, 631_107_230_000_000_000);
        assert_eq!(mean(&[(value, all_time)]).to_bits(), 2_f64.powi(94).to_bits());
        assert_eq!(mean(&[(value, all_time / 2), (0, all_time / 2)]).to_bits(), 2_f64.powi(93).to_bits());
    }

    #[test]
    fn a_half_above_an_odd_last_bit_is_told_from_one_that_is_a_little_more() {
        // Between 2^53 and 2^54 doubles are 2 apart: 2^53 + 1 is a tie and goes to the even one below, a little more goes up.
        let tie = (1_i128 << 53) + 1;
        assert_eq!(mean(&[(tie, 1_000_000_000_000)]).to_bits(), 9_007_199_254_740_992_f64.to_bits());
        assert_eq!(mean(&[(tie, 999_999_999_999), (tie + 1, 1)]).to_bits(), 9_007_199_254_740_994_f64.to_bits());
    }

    #[test]
    fn a_small_part_of_one_is_the_nearest_double() {
        assert_eq!(mean(&[(1, 1), (0, 86_399_999_999)]).to_bits(), (1.0 / 86_400_000_000_f64).to_bits());
    }

    proptest! {
        #[test]
        fn no_double_is_nearer_to_the_mean(values in prop::collection::vec((0..1_i128 << 19, 1..1_i64 << 35), 1..20)) {
            let micros: i128 = values.iter().map(|(_, micros)| i128::from(*micros)).sum();
            let sum: i128 = values.iter().map(|(value, micros)| value * i128::from(*micros)).sum();
            let found = mean(&values);
            prop_assume!(found > 0.001);
            let distance = |candidate: f64| ((sum << 64) - scaled(candidate) * micros).abs();
            prop_assert!(distance(found) <= distance(found.next_up()) && distance(found) <= distance(found.next_down()));
        }

        #[test]
        fn many_small_parts_add_up_as_well_as_few(value in 0.0..1.0, parts in 1..5000_i64) {
            let mut mean = CompensatedMean::default();
            (0..parts).for_each(|_| mean.add(value, 900_000_000));
            prop_assert!((mean.value() - value).abs() <= f64::EPSILON * value);
        }
    }
}
