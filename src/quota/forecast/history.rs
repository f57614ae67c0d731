//! The history that a forecast is made from.

use super::daily::MAX_DAYS;
use super::stats::real;

/// The fewest days from the first observed one to the newest.
const FEWEST_DAYS: usize = 28;
/// The longest that the newest observed day may be ago.
const STALE_AFTER_DAYS: usize = 7;

/// Why there is no forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// Observations span less than 28 days, or there are none.
    TooLittleHistory,
    /// More than half of the days, of all or of the last 28, are without observation, or all of the last 7.
    TooManyGaps,
    /// The newest total is 0: there is nothing to fill.
    NoCapacity,
}

impl Unavailable {
    /// The reason as the API names it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLittleHistory => "TOO_LITTLE_HISTORY",
            Self::TooManyGaps => "TOO_MANY_GAPS",
            Self::NoCapacity => "NO_CAPACITY",
        }
    }
}

/// A history from its first to its last observed day, gaps filled evenly.
pub(super) struct History {
    pub values: Vec<f64>,
    pub observed: Vec<bool>,
    /// How many days ago the last observed day is.
    pub age: usize,
}

impl History {
    pub fn of(daily: &[Option<f64>]) -> Result<Self, Unavailable> {
        let daily = &daily[daily.len().saturating_sub(MAX_DAYS)..];
        let is_observed = |day: &Option<f64>| day.is_some();
        let first = daily.iter().position(is_observed).ok_or(Unavailable::TooLittleHistory)?;
        let last = daily.iter().rposition(is_observed).unwrap_or(first);
        let age = daily.len() - 1 - last;
        let daily = &daily[first..=last];
        let mut values: Vec<f64> = Vec::with_capacity(daily.len());
        for (day, value) in daily.iter().enumerate() {
            let Some(value) = *value else { continue };
            if let Some(before) = values.last().copied() {
                let steps = day + 1 - values.len();
                let filled = (1..steps).map(|step| before + (value - before) * real(step) / real(steps));
                values.extend(filled);
            }
            values.push(value);
        }
        Ok(Self { values, observed: daily.iter().map(is_observed).collect(), age })
    }

    /// Whether it carries a forecast.
    pub fn require_enough(&self) -> Result<(), Unavailable> {
        if self.values.len() < FEWEST_DAYS {
            return Err(Unavailable::TooLittleHistory);
        }
        let half = |days: &[bool]| 2 * days.iter().filter(|observed| **observed).count() >= days.len();
        let lately = &self.observed[self.observed.len() - FEWEST_DAYS..];
        if self.age >= STALE_AFTER_DAYS || !half(&self.observed) || !half(lately) {
            return Err(Unavailable::TooManyGaps);
        }
        Ok(())
    }
}
