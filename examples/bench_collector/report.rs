//! Medians, and figures next to their targets.

/// What a figure has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    AtLeast(f64),
    Below(f64),
    None,
}

/// Prints the median of a figure's repetitions with their range and the target, and says whether the median meets it.
pub(crate) fn print(what: &str, unit: &str, decimals: usize, repetitions: &[f64], target: Target) -> bool {
    let mut sorted = repetitions.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else { return false };
    let median = median(&sorted);
    let (wanted, met) = match target {
        Target::AtLeast(bound) => (format!("target: at least {bound:.decimals$}"), median >= bound),
        Target::Below(bound) => (format!("target: below {bound:.decimals$}"), median < bound),
        Target::None => (String::new(), true),
    };
    let verdict = if met { "" } else { "  MISSED" };
    let range = format!("({least:.decimals$} to {most:.decimals$})");
    println!("  {what:<52} {median:>9.decimals$} {unit:<10} {range:<20} {wanted}{verdict}");
    met
}

pub(crate) fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[middle - 1], sorted[middle]) } else { sorted[middle] }
}
