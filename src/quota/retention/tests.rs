use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::{Grain, day_start, forget, thin};
use crate::quota::calendar::buckets_within;
use crate::quota::recording::History;
use crate::quota::usage::{Fill, UsagePoint, series};
use crate::quota::{Run, Sample, SpaceAllocation, SpaceTypeAllocation, TimeRange};

const DAY_S: i64 = 86_400;

fn at(seconds: i64) -> Timestamp {
    "2025-03-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

/// Samples over three days: dense enough for groups, with gaps, ends, resizes and changes of the interval.
fn histories() -> impl Strategy<Value = Vec<Run>> {
    let types = subsequence(vec![0, 1], 1..=2);
    let values = prop::collection::vec((0..4000_i64, select(vec![5000_i64, 5000, 5000, 5000, 6000, 0])), 2);
    let interval = select(vec![300_u32, 300, 300, 300, 300, 900]);
    let sample = (0..864_i64, 0..300_i64, prop::bool::weighted(0.97), types, values, interval).prop_map(
        |(place, off, both, types, values, interval_s)| {
            let types = if both { vec![0, 1] } else { types };
            let of_type = |(space_type, (allocated_gb, total_gb)): (i32, (i64, i64))| SpaceTypeAllocation {
                space_type,
                allocated_gb,
                total_gb,
            };
            let values = types.into_iter().zip(values).map(of_type).collect();
            Sample { allocation: SpaceAllocation::new(at(place * 300 + off % 7 * 43), values), interval_s }
        },
    );
    prop::collection::vec(sample, 1..400).prop_map(|mut samples| {
        samples.sort_by_key(|sample| sample.allocation.observed_at());
        let mut history = History::default();
        for sample in &samples {
            history.record(sample);
        }
        history.runs().cloned().collect()
    })
}

/// What the API says of each bucket.
fn points(runs: &[Run], interval: &str, range: TimeRange, fill: Fill) -> Vec<UsagePoint> {
    let buckets = buckets_within(range, interval.parse().unwrap(), &TimeZone::UTC, 1000).unwrap();
    series(runs, &buckets, range, at(10 * DAY_S), fill).points
}

/// The averages and the coverage of each bucket are equal to rounding.
fn assert_same(before: &[UsagePoint], after: &[UsagePoint]) -> Result<(), TestCaseError> {
    for (before, after) in before.iter().zip(after) {
        prop_assert_eq!(before.coverage.to_bits(), after.coverage.to_bits());
        prop_assert_eq!(before.allocated.map(|m| m.average), after.allocated.map(|m| m.average));
        prop_assert_eq!(before.total, after.total);
        prop_assert_eq!(before.utilization.is_some(), after.utilization.is_some());
        if let (Some(before), Some(after)) = (before.utilization, after.utilization) {
            prop_assert!((before.average - after.average).abs() < 1e-12, "{before:?} {after:?}");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn thinning_keeps_averages_and_coverage_and_is_done_once(
        runs in histories(), (grain, interval) in select(vec![(Grain::Hour, "PT1H"), (Grain::Day, "P1D")]), days in 1..4_i64,
    ) {
        let (from, to) = (at(0), at(days * DAY_S));
        let thinned = thin(&runs, grain, from, to);
        let all = TimeRange { from: at(0), to: at(5 * DAY_S) };
        for of_type in [0, 1] {
            let only = |runs: &[Run]| runs.iter().filter(|run| run.space_type == of_type).cloned().collect::<Vec<_>>();
            assert_same(&points(&only(&runs), interval, all, Fill::Last), &points(&only(&thinned), interval, all, Fill::Last))?;
        }
        assert_same(&points(&runs, interval, all, Fill::None), &points(&thinned, interval, all, Fill::None))?;
        prop_assert_eq!(&thin(&thinned, grain, from, to), &thinned);
        let count = |runs: &[Run]| runs.iter().map(|run| run.samples).sum::<i64>();
        prop_assert_eq!(count(&runs), count(&thinned));
        prop_assert_eq!(runs.iter().filter(|run| run.first_at >= to).collect::<Vec<_>>(), thinned.iter().filter(|run| run.first_at >= to).collect::<Vec<_>>());
        for pair in thinned.windows(2).filter(|pair| pair[0].space_type == pair[1].space_type) {
            prop_assert!(pair[0].first_at <= pair[0].last_at && pair[0].last_at < pair[1].first_at, "{pair:?}");
            prop_assert!(pair[0].ended_at.is_none_or(|ended| ended > pair[0].last_at && ended <= pair[1].first_at), "{pair:?}");
        }
        // Thinned in parts, it is the same.
        let parts = (0..days).fold(runs, |runs, day| thin(&runs, grain, at(day * DAY_S), at((day + 1) * DAY_S)));
        prop_assert_eq!(parts, thinned);
    }

    #[test]
    fn forgetting_keeps_what_is_known_from_then_on(runs in histories(), before_s in 0..3 * DAY_S) {
        let kept = forget(&runs, at(before_s));
        let from_then = TimeRange { from: at(before_s), to: at(5 * DAY_S) };
        // Buckets of the present only: one that began before has lost its part.
        let (now, then) = (points(&kept, "PT1H", from_then, Fill::Last), points(&runs, "PT1H", from_then, Fill::Last));
        prop_assert_eq!(&now[1..], &then[1..]);
        prop_assert_eq!(&forget(&kept, at(before_s)), &kept);
        let of_past = |of_type: i32| kept.iter().filter(|run| run.space_type == of_type && run.first_at <= at(before_s)).count();
        prop_assert!(of_past(0) <= 1 && of_past(1) <= 1);
    }
}

#[test]
fn a_busy_day_becomes_two_runs_and_the_one_over_midnight() {
    let run = |place: i64| Run {
        space_type: 0,
        first_at: at(place * 300 + 60),
        last_at: at(place * 300 + 60),
        interval_s: 300,
        samples: 1,
        allocated_gb: 100 + place % 5,
        total_gb: 1000,
        ended_at: None,
    };
    let runs = (0..600).map(run).collect::<Vec<_>>();
    let thinned = thin(&runs, Grain::Day, at(0), at(DAY_S));
    let of_day = thinned.iter().filter(|run| run.first_at < at(DAY_S)).map(|run| run.allocated_gb).collect::<Vec<_>>();
    assert_eq!(of_day, [101, 102, 100 + 287 % 5]);
    let by_hour = thin(&runs, Grain::Hour, at(0), at(DAY_S));
    assert_eq!(by_hour.iter().filter(|run| run.first_at < at(3600)).count(), 3);
}

#[test]
fn the_value_that_is_carried_from_the_end_of_a_type_on_stays() {
    let run = |minute: i64, allocated_gb| Run {
        space_type: 0,
        first_at: at(minute * 60),
        last_at: at(minute * 60),
        interval_s: 300,
        samples: 1,
        allocated_gb,
        total_gb: 1000,
        ended_at: None,
    };
    let ended = Run { ended_at: Some(at(3600)), ..run(50, 1) };
    let runs = [run(20, 5), run(30, 4), run(40, 0), ended.clone(), run(120, 7)];
    let thinned = thin(&runs, Grain::Hour, at(0), at(DAY_S));
    assert_eq!(thinned, [Run { last_at: at(40 * 60), samples: 3, ..run(20, 3) }, ended, run(120, 7)]);
}

#[test]
fn days_begin_at_midnight_of_utc() {
    assert_eq!(day_start(at(DAY_S + 5)), at(DAY_S));
    assert_eq!(day_start(at(DAY_S)), at(DAY_S));
}
