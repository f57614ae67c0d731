//! The weekly pattern.

use super::stats::{median, real, spread};

/// Days to each side of the mean that a day is compared with: a whole week in all.
const SIDE: usize = 3;
/// The pattern may change over the year; it is that of the last 16 weeks.
const DAYS: usize = 112;

/// What each day of the week has more than the week around it, counted by the place in the history modulo 7. Adds up to 0.
///
/// The median over the weeks, so that steps and odd days do not matter. As far as the pattern may be noise it is flattened, entirely when
/// it is no larger than noise alone would make it.
pub(super) fn season(values: &[f64], observed: &[bool]) -> [f64; 7] {
    let first = values.len().saturating_sub(DAYS + SIDE).max(SIDE);
    let mut excess: [Vec<f64>; 7] = Default::default();
    for (day, week) in values.windows(2 * SIDE + 1).enumerate().map(|(start, week)| (start + SIDE, week)).skip(first - SIDE) {
        if observed[day] {
            excess[day % 7].push(week[SIDE] - week.iter().sum::<f64>() / 7.0);
        }
    }
    if excess.iter().any(|days| days.len() < 2) {
        return [0.0; 7];
    }
    // The variance of a median is pi / 2 times that of the mean.
    let noise: f64 = excess.iter().map(|days| std::f64::consts::FRAC_PI_2 * spread(days).powi(2) / real(days.len())).sum();
    let mut pattern = excess.map(|mut days| median(&mut days));
    let mean = pattern.iter().sum::<f64>() / 7.0;
    let size: f64 = pattern.iter().map(|day| (day - mean).powi(2)).sum();
    let kept = if size > noise { 1.0 - noise / size } else { 0.0 };
    for day in &mut pattern {
        *day = (*day - mean) * kept;
    }
    pattern
}
