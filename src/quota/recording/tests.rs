//! The rule against an oracle that looks at all samples at once.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::subsequence;

use super::{Effect, History};
use crate::quota::{Run, Sample, SpaceAllocation, SpaceTypeAllocation};

const TYPES: [i32; 3] = [0, 1, 2];

fn sample_at(place: i64, values: &[(i32, i64)], interval_s: u32) -> Sample {
    let observed_at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(place * 50);
    let of_type = |&(space_type, allocated_gb): &_| SpaceTypeAllocation { space_type, allocated_gb, total_gb: 10 };
    Sample { allocation: SpaceAllocation::new(observed_at, values.iter().map(of_type).collect()), interval_s }
}

/// Samples on a grid of 50 seconds at intervals whose tolerances are 150 and 225 seconds: gaps are just within and just beyond them.
fn sample() -> impl Strategy<Value = Sample> {
    let values = (subsequence(TYPES.to_vec(), 0..=3), prop::collection::vec(0..2_i64, 3));
    (0..40_i64, values, prop::sample::select(vec![60_u32, 60, 60, 90])).prop_map(|(place, (types, values), interval_s)| {
        sample_at(place, &types.into_iter().zip(values).collect::<Vec<_>>(), interval_s)
    })
}

fn record_all(samples: &[Sample]) -> History {
    let mut history = History::default();
    for sample in samples {
        history.record(sample);
    }
    history
}

/// The canonical runs: maximal stretches of samples, each but the first of which continues the one before it.
fn canonical(samples: &[Sample]) -> Vec<Run> {
    let value_in = |sample: &Sample, space_type| sample.allocation.of_type(space_type).map(|only| only.by_type()[0]);
    let mut runs = Vec::new();
    for space_type in TYPES {
        let continues = |i: usize| {
            i > 0
                && value_in(&samples[i - 1], space_type) == value_in(&samples[i], space_type)
                && samples[i - 1].interval_s == samples[i].interval_s
                && at(&samples[i]).duration_since(at(&samples[i - 1])).as_secs() * 2 <= i64::from(samples[i].interval_s) * 5
        };
        let listing = (0..samples.len()).filter(|i| value_in(&samples[*i], space_type).is_some());
        for first in listing.filter(|i| !continues(*i)) {
            let last = (first + 1..samples.len()).find(|i| !continues(*i)).unwrap_or(samples.len()) - 1;
            let value = value_in(&samples[first], space_type).unwrap();
            let next = samples.get(last + 1).filter(|next| value_in(next, space_type).is_none());
            runs.push(Run {
                space_type,
                first_at: at(&samples[first]),
                last_at: at(&samples[last]),
                interval_s: samples[first].interval_s,
                samples: i64::try_from(last - first + 1).unwrap(),
                allocated_gb: value.allocated_gb,
                total_gb: value.total_gb,
                ended_at: next.map(at),
            });
        }
    }
    runs
}

fn at(sample: &Sample) -> Timestamp {
    sample.allocation.observed_at()
}

proptest! {
    #[test]
    fn samples_in_order_give_the_canonical_runs(samples in prop::collection::vec(sample(), 0..40)) {
        let in_order = samples.into_iter().map(|s| (at(&s), s)).collect::<BTreeMap<_, _>>().into_values().collect::<Vec<_>>();
        let recorded = record_all(&in_order).runs().cloned().collect::<Vec<_>>();
        prop_assert_eq!(recorded, canonical(&in_order));
    }

    #[test]
    fn samples_in_any_order_give_runs_that_are_sorted_and_apart(samples in prop::collection::vec(sample(), 0..40)) {
        let history = record_all(&samples);
        let runs = history.runs().collect::<Vec<_>>();
        for run in &runs {
            prop_assert!(run.first_at <= run.last_at && run.samples >= 1);
            prop_assert!(run.ended_at.is_none_or(|ended| ended > run.last_at));
        }
        for pair in runs.windows(2).filter(|pair| pair[0].space_type == pair[1].space_type) {
            prop_assert!(pair[0].ended_at.unwrap_or(pair[0].last_at) < pair[1].first_at, "{:?}", pair);
        }
        prop_assert!(runs.is_sorted_by_key(|run| (run.space_type, run.first_at)));
    }

    #[test]
    fn a_type_that_the_newest_sample_does_not_list_has_ended_whenever_its_samples_came(samples in prop::collection::vec(sample(), 0..40)) {
        let history = record_all(&samples);
        let runs = history.runs().collect::<Vec<_>>();
        let newest = runs.iter().map(|run| run.ended_at.unwrap_or(run.last_at)).max();
        for last in runs.chunk_by(|a, b| a.space_type == b.space_type).filter_map(|runs| runs.last()) {
            prop_assert!(last.ended_at.is_some() || Some(last.last_at) == newest, "{:?} {:?}", last, newest);
        }
    }

    /// Samples that list all types but one, none of which repeats the one before it: each of them leaves its trace in the runs.
    #[test]
    fn samples_that_leave_traces_give_the_canonical_runs_in_any_order(
        samples in prop::collection::btree_map(0..40_i64, 0..3_usize, 1..30).prop_flat_map(|samples| {
            Just(samples.into_iter().collect::<Vec<_>>()).prop_shuffle()
        }),
    ) {
        let make = |(place, missing): &(i64, usize)| {
            let values: Vec<_> = TYPES.into_iter().filter(|space_type| usize::try_from(*space_type) != Ok(*missing))
                .map(|space_type| (space_type, place % 2)).collect();
            sample_at(*place, &values, 60 + u32::try_from(*place).unwrap())
        };
        let in_order: BTreeSet<_> = samples.iter().collect();
        let expected = canonical(&in_order.into_iter().map(make).collect::<Vec<_>>());
        prop_assert_eq!(record_all(&samples.iter().map(make).collect::<Vec<_>>()).runs().cloned().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_sample_that_was_recorded_changes_nothing_more(samples in prop::collection::vec(sample(), 1..40)) {
        let mut history = History::default();
        for sample in &samples {
            let first = history.record(sample);
            let after_first = history.clone();
            let second = history.record(sample);
            prop_assert_eq!(&history, &after_first);
            let expected = if first == Effect::Conflict { Effect::Conflict } else { Effect::Unchanged };
            prop_assert_eq!(second, expected);
        }
    }

    #[test]
    fn what_was_recorded_is_never_taken_back(samples in prop::collection::vec(sample(), 1..40)) {
        let mut history = History::default();
        for sample in &samples {
            let before = history.clone();
            history.record(sample);
            for run in before.runs() {
                let keeps = |now: &Run| now.value() == run.value() && now.first_at <= run.first_at && now.last_at >= run.last_at;
                prop_assert!(history.runs().any(keeps), "{:?} was lost to {:?}", run, sample);
            }
        }
    }

    #[test]
    fn equal_samples_in_any_order_give_the_canonical_bounds(
        places in prop::collection::vec(0..60_i64, 1..40).prop_map(|places| places.into_iter().collect::<BTreeSet<_>>())
            .prop_flat_map(|places| Just(places.into_iter().collect::<Vec<_>>()).prop_shuffle()),
    ) {
        let equal = |place: &i64| sample_at(*place, &[(0, 1), (2, 7)], 60);
        let recorded = record_all(&places.iter().map(equal).collect::<Vec<_>>());
        let in_order = places.iter().collect::<BTreeSet<_>>().into_iter().map(equal).collect::<Vec<_>>();
        let expected = canonical(&in_order);
        // A late sample inside a run is not counted, as it cannot be told from one that was recorded before.
        let uncounted = |run: &Run| Run { samples: 0, ..run.clone() };
        prop_assert_eq!(recorded.runs().map(uncounted).collect::<Vec<_>>(), expected.iter().map(uncounted).collect::<Vec<_>>());
        prop_assert!(recorded.runs().zip(&expected).all(|(run, canonical)| run.samples <= canonical.samples));
    }
}
