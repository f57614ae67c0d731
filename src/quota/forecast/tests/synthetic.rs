//! Series whose truth is known: a trend, a weekly season, steps and noise, in whole GB as the upstream counts.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// What a series is made of. Each has a trend of its own, of -0.1 to 0.4 % of its level a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// White noise.
    Trend,
    /// Also a weekly season.
    Season,
    /// White noise and up to four steps a year, also in the time to be forecast.
    Steps,
    /// A weekly season, steps and noise.
    All,
    /// A weekly season and noise that lasts for days.
    LastingNoise,
    /// A level that drifts at random.
    Drift,
    /// Nothing but steps, one every 2 to 30 days, which are the trend; no noise.
    OnlySteps,
    /// A weekly season, noise, and another trend from some day on.
    Bend,
}

pub(super) const KINDS: [Kind; 8] =
    [Kind::Trend, Kind::Season, Kind::Steps, Kind::All, Kind::LastingNoise, Kind::Drift, Kind::OnlySteps, Kind::Bend];

/// A series, cut in two.
pub(super) struct Series {
    pub known: Vec<f64>,
    /// What comes after.
    pub truth: Vec<f64>,
}

/// Standard normal, by Box and Muller.
fn normal(random: &mut StdRng) -> f64 {
    let (radius, angle): (f64, f64) =
        (random.random_range(f64::MIN_POSITIVE..1.0), random.random_range(0.0..std::f64::consts::TAU));
    (-2.0 * radius.ln()).sqrt() * angle.cos()
}

/// Series number `seed` of a kind: so many known days, and so many after them.
pub(super) fn series(kind: Kind, seed: u64, known: std::ops::Range<usize>, truth: usize) -> Series {
    let random = &mut StdRng::seed_from_u64(seed);
    let known = random.random_range(known);
    let base = random.random_range(500.0..20_000.0);
    let mut slope = base * random.random_range(-0.001..0.004);
    let later_slope = base * random.random_range(-0.001..0.004);
    let bend = known * random.random_range(30..90) / 100;
    let seasonal = matches!(kind, Kind::Season | Kind::All | Kind::LastingNoise | Kind::Bend);
    let amplitude = if seasonal { base * random.random_range(0.005..0.04) } else { 0.0 };
    let week: [f64; 7] = std::array::from_fn(|day| amplitude * (if day >= 5 { -1.0 } else { 0.4 } + 0.3 * normal(random)));
    let noise = match kind {
        Kind::Drift | Kind::OnlySteps => 0.0,
        _ => base * random.random_range(0.001..0.015),
    };
    let lasting = if kind == Kind::LastingNoise { 0.7 } else { 0.0 };
    let drift = if kind == Kind::Drift { base * random.random_range(0.001..0.006) } else { 0.0 };
    let steps = if matches!(kind, Kind::Steps | Kind::All) { random.random_range(0.0..4.0) / 365.0 } else { 0.0 };
    let jumps = random.random_range(0.03..0.5);
    let (mut level, mut disturbance) = (base, 0.0);
    let mut days: Vec<f64> = (0..known + truth)
        .map(|day| {
            if kind == Kind::Bend && day == bend {
                slope = later_slope;
            }
            level += match kind {
                Kind::OnlySteps if random.random_bool(jumps) => slope / jumps * random.random_range(0.2..1.8),
                Kind::OnlySteps => 0.0,
                _ => slope,
            };
            level += drift * normal(random);
            if random.random_bool(steps) {
                level += base * random.random_range(0.03..0.2) * if random.random_bool(0.6) { 1.0 } else { -1.0 };
            }
            disturbance = lasting * disturbance + noise * normal(random);
            (level + week[day % 7] + disturbance).round().max(0.0)
        })
        .collect();
    let truth = days.split_off(known);
    Series { known: days, truth }
}
