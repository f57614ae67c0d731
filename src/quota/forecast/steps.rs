//! Sudden shifts of the level.

use super::stats::{differences, median, real, spread};

/// Days that are compared on either side of a step, and at least between two steps.
const SIDE: usize = 7;
/// Days to either side within which a step is placed.
const NEAR: usize = 3;
/// How many times larger than usual a shift must be.
const UNUSUAL: f64 = 4.5;

/// A shift of the level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    /// The first day after it.
    pub day: usize,
    /// By how much the level rose, apart from what it usually does.
    pub by: f64,
}

/// The steps in a history without weekly pattern.
///
/// A day is the first after a step when the median of the week from it on and that of the week before differ by far more than they do
/// at most days. In a history that always goes by steps, none is unusual: they are its trend.
pub(super) fn steps(values: &[f64]) -> Vec<Step> {
    if values.len() < 3 * SIDE {
        return Vec::new();
    }
    let mut buffer = [0.0; SIDE];
    let mut level = |week: &[f64]| {
        let buffer = &mut buffer[..week.len()];
        buffer.copy_from_slice(week);
        median(buffer)
    };
    let days = SIDE..values.len();
    let shifts: Vec<f64> =
        days.map(|day| level(&values[day..(day + SIDE).min(values.len())]) - level(&values[day - SIDE..day])).collect();
    let usual = median(&mut shifts.clone());
    let whole_weeks = &shifts[..=values.len() - 2 * SIDE];
    let limit = UNUSUAL * spread(whole_weeks).max(0.5 * spread(&differences(values, 1))).max(1e-9);
    // Where fewer days than a week follow, which may be the last one only, their median is less sure.
    let missing = |place: usize| (place + 1).saturating_sub(whole_weeks.len());
    let mut candidates: Vec<usize> =
        (0..shifts.len()).filter(|place| (shifts[*place] - usual).abs() > limit * (1.0 + 0.15 * real(missing(*place)))).collect();
    candidates.sort_by(|a, b| (shifts[*b] - usual).abs().total_cmp(&(shifts[*a] - usual).abs()));
    let mut found: Vec<(usize, Step)> = Vec::new();
    for place in candidates {
        if found.iter().all(|(other, _)| other.abs_diff(place) > SIDE) {
            let by = shifts[place] - usual;
            found.push((place, Step { day: sharpest(values, place + SIDE, by), by }));
        }
    }
    found.into_iter().map(|(_, step)| step).collect()
}

/// The day near another one at which the values jump most in the direction of a step.
fn sharpest(values: &[f64], day: usize, by: f64) -> usize {
    let jump = |day: usize| (values[day] - values[day - 1]) * by.signum();
    let near = day - NEAR..(day + NEAR + 1).min(values.len());
    near.max_by(|a, b| jump(*a).total_cmp(&jump(*b))).unwrap_or(day)
}
