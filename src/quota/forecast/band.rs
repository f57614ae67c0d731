//! How wide the band is.

use distrs::Normal;

use super::stats::{differences, real, spread, variance};
use super::trend::{Each, Trends};
use super::trials::{AHEAD, BlendError, Trials};

/// How much the guess weighs against the trials, in trials.
const GUESS: f64 = 0.5;
/// How much the normal distribution weighs against the errors of the trials, in errors.
const NORMAL: f64 = 8.0;
/// The variance of rounding to whole GB.
const ROUNDING: f64 = 1.0 / 12.0;

/// Half the width of the band for each of the coming days: how far the blend is usually off so many days ahead, times the factor that
/// would have held the share of its errors that the confidence asks for. Never narrower than the day before.
pub(super) fn half_widths(trends: &Trends, trials: &Trials, weights: &Each, days: usize, confidence: f64) -> Vec<f64> {
    let errors: Vec<BlendError> = trials.blended(weights).collect();
    let usual = usual_errors(&Guess::of(trends, weights), &errors, days);
    let mut ratios: Vec<_> = errors.iter().map(|error| (error.size / usual[AHEAD[error.ahead] - 1], error.counts)).collect();
    let factor = factor(&mut ratios, confidence);
    usual[..days].iter().map(|usual| factor * usual).collect()
}

/// The ratio that the confidence's share of errors stays below; of few errors mostly that of normal ones. Ratios come with how much each
/// counts.
fn factor(ratios: &mut [(f64, f64)], confidence: f64) -> f64 {
    ratios.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let normal = Normal::ppf(f64::midpoint(1.0, confidence), 0.0, 1.0);
    let all: f64 = ratios.iter().map(|(_, counts)| counts).sum();
    let below = ratios.iter().scan(0.0, |sum, (ratio, counts)| {
        *sum += counts;
        Some((*ratio, *sum))
    });
    let seen = below.into_iter().find(|(_, sum)| *sum >= confidence * all).map_or(normal, |(ratio, _)| ratio);
    (seen * all + normal * NORMAL) / (all + NORMAL)
}

/// What can be told of the errors without trials. A short history has few of them.
struct Guess {
    /// The variance of what differs from day to day without lasting.
    noise: f64,
    /// The variance by which the level drifts in a day.
    drift: f64,
    /// The variance of the slope: how much the forecasters disagree.
    slope: f64,
}

impl Guess {
    fn of(trends: &Trends, weights: &Each) -> Self {
        let daily = differences(&trends.smooth, 1);
        // From one day to the next noise counts twice and drift once, from one week to the next noise twice and drift seven times.
        let drift = (variance(&differences(&trends.smooth, 7)) - variance(&daily)) / 6.0;
        let lines = trends.from(0);
        let mean = lines.blended(weights).slope;
        let slope = lines.0.iter().zip(weights).map(|(line, weight)| weight * (line.slope - mean).powi(2)).sum();
        Self { noise: (spread(&daily).powi(2) / 2.0).max(ROUNDING), drift: drift.max(0.0), slope }
    }

    fn variance(&self, ahead: f64) -> f64 {
        2.0 * self.noise + self.drift * ahead + self.slope * ahead * ahead
    }
}

/// The usual error, as a standard deviation, for each of the coming days and as far as the trials go. Between the days that are tried it is
/// interpolated; beyond them it grows in proportion to the days, as the error of a slope does.
fn usual_errors(guess: &Guess, errors: &[BlendError], days: usize) -> Vec<f64> {
    let mut squares = [(0.0, 0.0); AHEAD.len()];
    for error in errors {
        let (sum, count) = &mut squares[error.ahead];
        *sum += error.counts * error.size.powi(2);
        *count += error.counts;
    }
    let tried = AHEAD.map(real).into_iter().zip(squares).filter(|(_, (_, count))| *count > 0.0);
    let known: Vec<(f64, f64)> = tried
        .map(|(ahead, (square, count))| {
            // Trials of a long stretch start a week apart and share most of it: they are worth fewer.
            let worth = count / (1.0 + ahead / 14.0);
            (ahead, (square / count * worth + guess.variance(ahead) * GUESS) / (worth + GUESS))
        })
        .collect();
    let variance = |ahead: f64| match known.partition_point(|(tried, _)| *tried <= ahead) {
        0 => known.first().map_or_else(|| guess.variance(ahead), |(_, variance)| *variance),
        place if place == known.len() => known[place - 1].1 * (ahead / known[place - 1].0).powi(2),
        place => {
            let ((before, less), (after, more)) = (known[place - 1], known[place]);
            less + (more - less) * (ahead - before) / (after - before)
        }
    };
    let furthest = errors.iter().map(|error| AHEAD[error.ahead]).max().unwrap_or(0).max(days);
    let mut widest = guess.noise;
    let usual = (1..=furthest).map(|ahead| {
        widest = widest.max(variance(real(ahead)));
        widest.sqrt()
    });
    usual.collect()
}
