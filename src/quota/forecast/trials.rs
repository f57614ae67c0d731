//! What the forecasters would have said before, and how far off they were.

use super::stats::{median, real};
use super::trend::{Each, FORECASTERS, Trends, priors};

/// How many days ahead is tried.
pub(super) const AHEAD: [usize; 14] = [1, 2, 3, 5, 7, 10, 14, 21, 28, 42, 56, 84, 119, 168];
/// The weeks that a forecaster knows at least.
const FEWEST_WEEKS: usize = 3;
/// Weeks from which trials start, at most.
const MOST_STARTS: usize = 39;
/// Weeks after which a trial counts half: what a tenant did lately tells more.
const HALF_LIFE: f64 = 13.0;
/// How strongly better forecasters are preferred.
const PREFERENCE: i32 = -8;

/// One trial of all forecasters.
pub(super) struct Trial {
    /// The place in [`AHEAD`].
    pub ahead: usize,
    /// How much it counts: 1 if it started now, half if a quarter of a year ago.
    pub counts: f64,
    /// The truth less what each said.
    pub errors: Each,
}

/// How far off the blend was in one trial.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlendError {
    /// The place in [`AHEAD`].
    pub ahead: usize,
    /// How much the trial counts.
    pub counts: f64,
    /// The error; 0 or more.
    pub size: f64,
}

pub(super) struct Trials(Vec<Trial>);

impl Trials {
    /// Tries the forecasters from the end of each week on, as far as half of the history, and not much further than is to be forecast.
    pub(super) fn of(trends: &Trends, days: usize) -> Self {
        let (known, furthest) = (trends.level.len(), days.max(14).min(trends.level.len() / 2));
        let starts = 1..=(known / 7).saturating_sub(FEWEST_WEEKS).min(MOST_STARTS);
        let mut trials = Vec::with_capacity(starts.end() * AHEAD.len());
        for start in starts {
            let lines = trends.from(start);
            let counts = 0.5_f64.powf(real(start) / HALF_LIFE);
            let last = known - 7 * start - 1;
            let within = AHEAD.iter().enumerate().take_while(|(_, days)| **days <= furthest && last + **days < known);
            for (ahead, days) in within.filter(|(_, days)| trends.observed[last + **days]) {
                let truth = trends.level[last + days];
                trials.push(Trial { ahead, counts, errors: lines.0.map(|line| truth - line.after(*days)) });
            }
        }
        Self(trials)
    }

    /// How much each forecaster counts; together 1. As before any without trials.
    pub(super) fn weights(&self) -> Each {
        let (mut sums, mut counts) = ([[0.0; FORECASTERS]; AHEAD.len()], [0.0; AHEAD.len()]);
        for trial in &self.0 {
            counts[trial.ahead] += trial.counts;
            sums[trial.ahead].iter_mut().zip(trial.errors).for_each(|(sum, error)| *sum += trial.counts * error.abs());
        }
        let (mut scores, mut whole): (Each, f64) = ([0.0; FORECASTERS], 0.0);
        for (sums, count) in sums.iter().zip(counts).filter(|(_, count)| *count > 0.0) {
            // Errors are larger further ahead: only how they compare counts.
            let usual = median(&mut sums.to_vec()).max(1e-9);
            let weight = count.sqrt();
            scores.iter_mut().zip(sums).for_each(|(score, sum)| *score += weight * sum / usual);
            whole += weight;
        }
        // A little more than nothing, so that one that was never off does not silence the others.
        let mut weights = priors();
        weights.iter_mut().zip(scores).for_each(|(weight, score)| *weight *= (score / whole.max(1.0) + 0.02).powi(PREFERENCE));
        let sum: f64 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= sum;
        }
        weights
    }

    /// The errors of the blend, trial by trial.
    pub(super) fn blended<'a>(&'a self, weights: &'a Each) -> impl Iterator<Item = BlendError> + 'a {
        self.0.iter().map(move |trial| {
            let error: f64 = trial.errors.iter().zip(weights).map(|(error, weight)| error * weight).sum();
            BlendError { ahead: trial.ahead, counts: trial.counts, size: error.abs() }
        })
    }
}
