mod clock_changes;
mod examples;
pub(in crate::quota) mod oracle;
mod properties;

use jiff::Timestamp;
use proptest::prelude::*;

use crate::quota::recording::History;
use crate::quota::{Run, Sample, SpaceAllocation, SpaceTypeAllocation};

/// 2026-03-28T00:00Z: the day before Berlin sets its clocks forward.
pub(in crate::quota) const BASE_MS: i64 = 1_774_656_000_000;

fn at_ms(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

/// What a history makes of samples: steps in percent of the interval, the types listed, and one value for each type.
fn recorded_runs() -> impl Strategy<Value = Vec<Run>> {
    let step = prop_oneof![6 => Just(100_i64), 2 => 1..250_i64, 1 => 250..5000_i64];
    let values = prop::array::uniform3((0..4_i64, 0..4_i64));
    let listed = prop_oneof![4 => Just(0b111_u8), 2 => Just(0b011_u8), 1 => 0..8_u8];
    let changes = prop::bool::weighted(0.4);
    let sample = (step, listed, values, changes);
    (prop::sample::select(vec![60_u32, 300, 3600, 40_000]), prop::collection::vec(sample, 0..60)).prop_map(
        |(interval_s, samples)| {
            let mut history = History::default();
            let (mut ms, mut kept) = (BASE_MS, [(1, 2); 3]);
            for (step, listed, values, changes) in samples {
                ms += step * i64::from(interval_s) * 10;
                kept = if changes { values } else { kept };
                let by_type = (0..3_u8)
                    .filter(|index| listed & (1 << index) != 0)
                    .map(|index| {
                        let (allocated_gb, total_gb) = kept[usize::from(index)];
                        SpaceTypeAllocation { space_type: i32::from(index) - 1, allocated_gb, total_gb }
                    })
                    .collect();
                history.record(&Sample { allocation: SpaceAllocation::new(at_ms(ms), by_type), interval_s });
            }
            history.runs().cloned().collect()
        },
    )
}

/// Whatever a store may hold: every type has its own instants and intervals, and values go to the extreme.
fn raw_runs() -> impl Strategy<Value = Vec<Run>> {
    let value = prop_oneof![0..5_i64, 0..=i64::MAX, Just(i64::MAX)];
    let length = prop_oneof![Just(0_i64), 0..400_000_000_i64];
    let run = (1..200_000_000_i64, length, 1..100_000_u32, value.clone(), value, prop::option::weighted(0.3, 0.0..1.0));
    prop::collection::vec(prop::collection::vec(run, 0..12), 0..4).prop_map(|types| {
        let mut runs = Vec::new();
        for (space_type, parts) in (0_i32..).zip(types) {
            let mut ms = BASE_MS;
            for (distance, length, interval_s, allocated_gb, total_gb, ended) in parts {
                let first = ms;
                ms += length + distance;
                #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "any place will do")]
                let ended_at = ended.map(|share| at_ms(first + length + 1 + (share * (distance - 1) as f64) as i64));
                let (first_at, last_at) = (at_ms(first), at_ms(first + length));
                runs.push(Run { space_type, first_at, last_at, interval_s, samples: 1, allocated_gb, total_gb, ended_at });
            }
        }
        runs
    })
}

pub(in crate::quota) fn any_runs() -> impl Strategy<Value = Vec<Run>> {
    prop_oneof![recorded_runs(), raw_runs()]
}
