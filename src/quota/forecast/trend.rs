//! The plain forecasters: a level and a slope each.

use super::history::History;
use super::season::season;
use super::stats::{median, real};
use super::steps::steps;

/// How quickly levels follow the values: the share of the way to each new one.
const FOLLOWING: [f64; 3] = [1.0, 0.5, 0.2];
/// Days before which what a level was does not matter any more.
const MEMORY: usize = 60;
/// How much each slope counts before any trial. Those that take steps for a trend must prove themselves: a single step shall not.
const PRIORS: [f64; SLOPES] = [1.0, 1.0, 1.0, 1.0, 0.2, 0.2, 0.2];
/// How many slopes there are.
const SLOPES: usize = 7;
/// How many forecasters there are: each level with each slope.
pub(super) const FORECASTERS: usize = FOLLOWING.len() * SLOPES;

/// One figure for each forecaster.
pub(super) type Each = [f64; FORECASTERS];

/// A history without its weekly pattern, and what its trends are made from.
pub(super) struct Trends {
    season: [f64; 7],
    /// The days without the weekly pattern.
    pub(super) level: Vec<f64>,
    /// The same without the steps; equal to it after the last one.
    pub(super) smooth: Vec<f64>,
    /// Which days were observed.
    pub(super) observed: Vec<bool>,
    /// The weeks of `level`, newest first.
    weeks: Vec<f64>,
    /// The weeks of `smooth`, newest first.
    smooth_weeks: Vec<f64>,
}

/// A straight line from the last day on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// On the last day.
    at_origin: f64,
    /// By the day.
    pub(super) slope: f64,
}

impl Line {
    /// Its value so many days later.
    pub(super) fn after(self, days: usize) -> f64 {
        self.at_origin + self.slope * real(days)
    }
}

/// The lines of all forecasters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines(pub(super) [Line; FORECASTERS]);

impl Lines {
    /// One line of them, as they are weighted. The weights add up to 1.
    pub(super) fn blended(&self, weights: &Each) -> Line {
        let blend = |of: fn(&Line) -> f64| self.0.iter().zip(weights).map(|(line, weight)| of(line) * weight).sum();
        Line { at_origin: blend(|line| line.at_origin), slope: blend(|line| line.slope) }
    }
}

impl Trends {
    /// The trends of a history of at least a week.
    pub(super) fn of(history: &History) -> Self {
        let season = season(&history.values, &history.observed);
        let level: Vec<f64> = history.values.iter().enumerate().map(|(day, value)| value - season[day % 7]).collect();
        let mut smooth = level.clone();
        for step in steps(&level) {
            smooth[..step.day].iter_mut().for_each(|value| *value += step.by);
        }
        let (weeks, smooth_weeks) = (weekly(&level), weekly(&smooth));
        Self { season, level, smooth, observed: history.observed.clone(), weeks, smooth_weeks }
    }

    /// What the weekly pattern adds so many days after the last one.
    pub(super) fn season_after(&self, days: usize) -> f64 {
        self.season[(self.level.len() - 1 + days) % 7]
    }

    /// What the forecasters say when they do not know the last `weeks`, of which there are fewer than in the history.
    pub(super) fn from(&self, weeks: usize) -> Lines {
        let (plain, smooth) = (&self.weeks[weeks..], &self.smooth_weeks[weeks..]);
        let slopes: [f64; SLOPES] = [
            0.0,
            // Steps apart: lately, for a quarter, for a year.
            theil_sen(smooth, 5),
            theil_sen(smooth, 13),
            theil_sen(smooth, 53),
            // Steps included, for where they are the trend.
            mean_slope(plain, 13),
            mean_slope(plain, 53),
            theil_sen(plain, 26),
        ];
        let days = self.level.len() - 7 * weeks;
        // What follows the days slowly must not lag behind a step.
        let (days, raised) = (&self.smooth[..days], self.smooth[days - 1] - self.level[days - 1]);
        let mut lines = [Line { at_origin: 0.0, slope: 0.0 }; FORECASTERS];
        for (following, lines) in FOLLOWING.into_iter().zip(lines.chunks_exact_mut(SLOPES)) {
            let level = followed(days, following) - raised;
            for (line, slope) in lines.iter_mut().zip(slopes) {
                // What follows a straight line lags behind it by so many days.
                let lag = (1.0 - following) / following;
                *line = Line { at_origin: level + slope * lag, slope };
            }
        }
        Lines(lines)
    }
}

/// How much each forecaster counts before any trial.
pub(super) fn priors() -> Each {
    std::array::from_fn(|forecaster| PRIORS[forecaster % SLOPES])
}

/// The level at the end of the days, smoothed exponentially.
fn followed(days: &[f64], following: f64) -> f64 {
    let lately = &days[days.len().saturating_sub(MEMORY)..];
    lately.iter().copied().reduce(|level, value| level + following * (value - level)).unwrap_or(0.0)
}

/// The mean of each week without its greatest and its least day; newest first. Days that do not fill a week at the start are left out.
fn weekly(days: &[f64]) -> Vec<f64> {
    let trimmed = |week: &[f64]| {
        let (least, greatest) =
            week.iter().fold((f64::MAX, f64::MIN), |(least, greatest), day| (least.min(*day), greatest.max(*day)));
        (week.iter().sum::<f64>() - least - greatest) / 5.0
    };
    days.rchunks_exact(7).map(trimmed).collect()
}

/// The slope per day by the first and the last of some weeks.
fn mean_slope(weeks: &[f64], at_most: usize) -> f64 {
    match &weeks[..at_most.min(weeks.len())] {
        [newest, .., oldest] => (newest - oldest) / (7.0 * real(at_most.min(weeks.len()) - 1)),
        _ => 0.0,
    }
}

/// The slope per day by Theil and Sen: the median over all pairs of some weeks.
fn theil_sen(weeks: &[f64], at_most: usize) -> f64 {
    let weeks = &weeks[..at_most.min(weeks.len())];
    let mut slopes = Vec::with_capacity(weeks.len() * weeks.len() / 2);
    for (place, newer) in weeks.iter().enumerate() {
        slopes.extend(weeks[place + 1..].iter().zip(1..).map(|(older, apart)| (newer - older) / (7.0 * real(apart))));
    }
    median(&mut slopes)
}
