//! What forecasts are worth, on series whose truth is known.

use super::super::stats::{median, real};
use super::super::{Expected, forecast};
use super::synthetic::{KINDS, Series, series};

const SERIES_OF_A_KIND: u64 = 40;

fn forecast_of(known: &[f64], days: usize, confidence: f64) -> Vec<Expected> {
    let daily: Vec<_> = known.iter().copied().map(Some).collect();
    forecast(&daily, 1.0, days, confidence).unwrap().days
}

/// The straight line through the last 30 days, by least squares: what a forecast must be better than.
fn straight_line(known: &[f64], days: usize) -> Vec<f64> {
    let last = &known[known.len() - 30..];
    let mean = last.iter().sum::<f64>() / 30.0;
    let around = |day: usize| real(day) - 14.5;
    let slope = last.iter().enumerate().map(|(day, value)| around(day) * (value - mean)).sum::<f64>()
        / (0..30).map(|day| around(day).powi(2)).sum::<f64>();
    (30..30 + days).map(|day| (mean + slope * around(day)).max(0.0)).collect()
}

/// Mean error in percent of the mean value.
fn error(truth: &[f64], line: impl Iterator<Item = f64>) -> f64 {
    100.0 * truth.iter().zip(line).map(|(truth, line)| (truth - line).abs()).sum::<f64>() / truth.iter().sum::<f64>()
}

#[derive(Default)]
struct Score {
    errors: Vec<f64>,
    line_errors: Vec<f64>,
    held: usize,
    days: usize,
}

impl Score {
    fn of(all: impl Iterator<Item = Series>, confidence: f64) -> Self {
        let mut score = Self::default();
        for Series { known, truth } in all {
            let found = forecast_of(&known, truth.len(), confidence);
            score.errors.push(error(&truth, found.iter().map(|day| day.line)));
            score.line_errors.push(error(&truth, straight_line(&known, truth.len()).into_iter()));
            score.held += found.iter().zip(&truth).filter(|(day, truth)| (day.lower..=day.upper).contains(truth)).count();
            score.days += truth.len();
        }
        score
    }

    fn join(&mut self, other: &Self) {
        self.errors.extend(&other.errors);
        self.line_errors.extend(&other.line_errors);
        self.held += other.held;
        self.days += other.days;
    }

    fn share_held(&self) -> f64 {
        real(self.held) / real(self.days)
    }

    fn error(&self) -> f64 {
        median(&mut self.errors.clone())
    }

    fn line_error(&self) -> f64 {
        median(&mut self.line_errors.clone())
    }

    #[expect(clippy::print_stdout, reason = "the figures are what the test is for")]
    fn print(&self, what: &str) {
        println!(
            "{what:>22}: the 80 % band holds {:4.1} % of the truth; median error {:5.3} %, of the straight line {:5.3} %",
            100.0 * self.share_held(),
            self.error(),
            self.line_error()
        );
    }
}

/// A band of 80 % holds 70 to 90 % of the truth, and the line is better than that through the last 30 days.
fn assert_worth(days: usize) {
    let mut whole = Score::default();
    for kind in KINDS {
        let all = (0..SERIES_OF_A_KIND).map(|seed| series(kind, 1000 * seed + days as u64, 90..366, days));
        let score = Score::of(all, 0.8);
        score.print(&format!("{kind:?}, {days} days"));
        assert!((0.6..=0.98).contains(&score.share_held()), "{kind:?}, {days} days");
        assert!(score.error() < 1.1 * score.line_error(), "{kind:?}, {days} days");
        whole.join(&score);
    }
    whole.print(&format!("all, {days} days"));
    assert!((0.7..=0.9).contains(&whole.share_held()));
    assert!(whole.error() < whole.line_error());
}

#[test]
fn a_month_ahead_the_band_of_80_percent_holds_70_to_90_percent_and_the_line_beats_that_of_the_last_30_days() {
    assert_worth(30);
}

#[test]
fn a_quarter_ahead_the_band_of_80_percent_holds_70_to_90_percent_and_the_line_beats_that_of_the_last_30_days() {
    assert_worth(90);
}

#[test]
fn half_a_year_ahead_the_band_of_80_percent_holds_70_to_90_percent_and_the_line_beats_that_of_the_last_30_days() {
    assert_worth(180);
}

#[test]
fn bands_of_other_confidences_hold_about_their_share() {
    for (confidence, held) in [(0.5, 0.4..=0.6), (0.9, 0.82..=0.96), (0.95, 0.87..=0.99)] {
        let all = KINDS.into_iter().flat_map(|kind| (0..20).map(move |seed| series(kind, 77 + seed, 90..366, 60)));
        let found = Score::of(all, confidence).share_held();
        assert!(held.contains(&found), "{confidence}: {found}");
    }
}

#[test]
fn bands_of_short_histories_hold_about_their_share() {
    let all = KINDS.into_iter().flat_map(|kind| (0..40).map(move |seed| series(kind, 99 + seed, 28..60, 60)));
    let found = Score::of(all, 0.8).share_held();
    assert!((0.7..=0.9).contains(&found), "{found}");
}
