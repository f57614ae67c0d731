//! Robust figures of samples.

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts of days are far below 2^53")]
pub(super) fn real(count: usize) -> f64 {
    count as f64
}

/// The median; 0 of nothing. Leaves the values in another order.
pub(super) fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() {
        return 0.0;
    }
    let odd = values.len() % 2 == 1;
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if odd { *upper } else { f64::midpoint(below.iter().copied().fold(f64::NEG_INFINITY, f64::max), *upper) }
}

/// The spread around the median, by the median of the absolute deviations, scaled to the standard deviation of normal values.
pub(super) fn spread(values: &[f64]) -> f64 {
    let middle = median(&mut values.to_vec());
    let mut deviations: Vec<_> = values.iter().map(|value| (value - middle).abs()).collect();
    1.4826 * median(&mut deviations)
}

/// The variance; 0 of nothing.
pub(super) fn variance(values: &[f64]) -> f64 {
    let count = real(values.len().max(1));
    let mean = values.iter().sum::<f64>() / count;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count
}

/// By how much values differ from those so many places before.
pub(super) fn differences(values: &[f64], places: usize) -> Vec<f64> {
    values.windows(places + 1).map(|window| window[places] - window[0]).collect()
}
