//! Histories made up at random, the same in every run.

use jiff::{SignedDuration, Timestamp};
use quotagraph::quota::recording::History;
use quotagraph::quota::{Run, Sample, SpaceAllocation, SpaceTypeAllocation};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// A source of chance.
pub fn chance(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Samples from an instant on: values change, types come and go, and there are gaps and two intervals.
pub fn random_samples(chance: &mut StdRng, from: Timestamp, count: usize) -> Vec<Sample> {
    let mut at = from;
    let mut interval_s = 300;
    let mut values = [(0, 100, 1000), (1, 7, 10), (5, 0, 0)].map(|(space_type, allocated_gb, total_gb)| SpaceTypeAllocation {
        space_type,
        allocated_gb,
        total_gb,
    });
    let mut listed = [true, chance.random_bool(0.5), chance.random_bool(0.3)];
    let sample = |_| {
        if chance.random_bool(0.2) {
            let value = &mut values[chance.random_range(0..3)];
            value.allocated_gb = chance.random_range(0..5000);
            value.total_gb = if chance.random_bool(0.1) { 0 } else { chance.random_range(0..9000) };
        }
        if chance.random_bool(0.1) {
            let which = chance.random_range(0..3);
            listed[which] = !listed[which];
        }
        if chance.random_bool(0.05) {
            interval_s = if interval_s == 300 { 3600 } else { 300 };
        }
        let pace = if chance.random_bool(0.05) { chance.random_range(3..40) } else { 1 };
        at += SignedDuration::from_millis(i64::from(interval_s) * 1000 * pace + chance.random_range(0..900));
        let by_type = values.iter().zip(listed).filter(|(_, listed)| *listed).map(|(value, _)| *value).collect();
        Sample { allocation: SpaceAllocation::new(at, by_type), interval_s }
    };
    (0..count).map(sample).collect()
}

/// The runs that samples make.
pub fn runs_of(samples: &[Sample]) -> Vec<Run> {
    let mut history = History::default();
    for sample in samples {
        history.record(sample);
    }
    history.runs().cloned().collect()
}
