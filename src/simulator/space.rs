//! How one space type of a simulated tenant develops.

use super::noise::Noise;
use crate::quota::SpaceTypeAllocation;

pub(super) const DAY_S: i64 = 86_400;
/// The day from which growth is counted: 2025-01-01.
const GROWTH_START_DAY: i64 = 20_089;
/// How much of the weekly swing each day has, from Monday.
const WEEK: [f64; 7] = [0.2, 0.5, 0.8, 1.0, 0.7, 0.3, 0.25];

/// One space type of a tenant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Space {
    pub space_type: i32,
    /// What was allocated at the beginning of 2025, in GB.
    pub base_gb: f64,
    /// Growth in a year, as a share of the base: 0.2 for a fifth.
    pub growth: f64,
    /// How the total is set.
    pub total: Total,
    /// Days between clean-ups, and the share of the space that gathers in between.
    pub cleanup: (i64, f64),
    /// Whether the type is there only two months out of three.
    pub comes_and_goes: bool,
}

/// How the total of a space follows what is allocated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Total {
    /// Resized every so many days to what will be needed until the next time, with this share to spare.
    Resized {
        /// Days between resizes.
        every_days: i64,
        /// The share to spare: 0.3 for three tenths.
        spare: f64,
    },
    /// Resized every so many days to what will be needed until the next time, with hardly anything to spare: soon full at any time.
    Tight {
        /// Days between resizes.
        every_days: i64,
    },
    /// Never resized, in GB, and allocated almost up to it.
    NearlyFull(i64),
}

impl Space {
    /// Whether the type is listed at a second of the epoch.
    pub(super) fn is_there(&self, second: i64, noise: Noise) -> bool {
        let day = second.div_euclid(DAY_S);
        !self.comes_and_goes || (day + noise.below(90, [3, self.space_type.into(), 0])).rem_euclid(90) < 60
    }

    /// Its value as of a second of the epoch.
    pub(super) fn value(&self, second: i64, noise: Noise) -> SpaceTypeAllocation {
        let space_type = self.space_type;
        let day = second.div_euclid(DAY_S);
        let hour = as_f64(second.rem_euclid(DAY_S)) / 3600.0;
        let (period, gathered) = self.cleanup;
        let since_cleanup = (day + noise.below(period, [4, space_type.into(), 0])).rem_euclid(period);
        let swing = gathered * (as_f64(since_cleanup) / as_f64(period) - 0.5)
            + 0.015 * WEEK[weekday(day)]
            + 0.0004 * hour
            + 0.004 * noise.unit([5, space_type.into(), second]);
        match self.total {
            Total::NearlyFull(total_gb) => {
                let share = (0.968 + 0.6 * swing).clamp(0.9, 0.998);
                SpaceTypeAllocation { space_type, allocated_gb: round(as_f64(total_gb) * share), total_gb }
            }
            Total::Resized { every_days, spare } => {
                let needed = self.needed(day, every_days, noise) * (1.0 + spare);
                let step = resize_step(needed);
                let total_gb = round((needed / step).ceil() * step);
                SpaceTypeAllocation { space_type, allocated_gb: round(self.trend(day) * (1.0 + swing)), total_gb }
            }
            Total::Tight { every_days } => {
                let total_gb = round(self.needed(day, every_days, noise) * 1.06);
                SpaceTypeAllocation { space_type, allocated_gb: round(self.trend(day) * (1.0 + swing)), total_gb }
            }
        }
    }

    /// The trend on the day of the next resize.
    fn needed(&self, day: i64, every_days: i64, noise: Noise) -> f64 {
        let since_resize = (day + noise.below(every_days, [6, self.space_type.into(), 0])).rem_euclid(every_days);
        self.trend(day - since_resize + every_days)
    }

    fn trend(&self, day: i64) -> f64 {
        self.base_gb * (1.0 + self.growth * as_f64(day - GROWTH_START_DAY) / 365.25).max(0.3)
    }
}

/// Totals are bought in round portions, an eighth or so of the whole.
fn resize_step(gb: f64) -> f64 {
    (gb / 8.0).max(1.0).log2().floor().exp2()
}

/// 0 for Monday. Day 0 of the epoch was a Thursday.
pub(super) fn weekday(day: i64) -> usize {
    usize::try_from((day + 3).rem_euclid(7)).unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "days, seconds and made-up sizes are far below 2^53")]
fn as_f64(number: i64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, reason = "made-up sizes are far below 2^53")]
fn round(gb: f64) -> i64 {
    gb.round().max(0.0) as i64
}
