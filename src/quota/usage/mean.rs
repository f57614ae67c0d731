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
