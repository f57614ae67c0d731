use jiff::{SignedDuration, Timestamp};

use crate::quota::calendar::{buckets, time_zone};
use crate::quota::usage::{Fill, Measure, UsagePoint, UsageSeries, series};
use crate::quota::{Run, TimeRange};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A run of hourly samples.
fn run(space_type: i32, first: &str, last: &str, allocated_gb: i64, total_gb: i64) -> Run {
    let (first_at, last_at) = (at(first), at(last));
    Run { space_type, first_at, last_at, interval_s: 3600, samples: 2, allocated_gb, total_gb, ended_at: None }
}

fn daily(runs: &[Run], from: &str, to: &str, now: &str, fill: Fill) -> UsageSeries {
    let range = TimeRange { from: at(from), to: at(to) };
    let found: Vec<_> = buckets(range, "P1D".parse().unwrap(), &time_zone("UTC").unwrap()).collect();
    series(runs, &found, range, at(now), fill)
}

fn one_day(runs: &[Run]) -> UsagePoint {
    daily(runs, "2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z", "2026-08-01T00:00:00Z", Fill::None).points.remove(0)
}

fn bits(values: [f64; 5]) -> [u64; 5] {
    values.map(f64::to_bits)
}

#[track_caller]
fn assert_measure(found: Option<Measure>, average: f64, min: f64, max: f64, first: f64, last: f64) {
    let found = found.unwrap();
    let found = [found.average, found.min, found.max, found.first, found.last];
    assert_eq!(bits(found), bits([average, min, max, first, last]), "{found:?}");
}

#[track_caller]
fn assert_share(found: f64, expected: f64) {
    assert_eq!(found.to_bits(), expected.to_bits(), "{found} is not {expected}");
}

#[test]
fn values_count_for_as_long_as_they_hold() {
    let point = one_day(&[
        run(1, "2026-06-30T00:00:00Z", "2026-07-01T17:00:00Z", 100, 400),
        run(1, "2026-07-01T18:00:00Z", "2026-07-02T23:00:00Z", 200, 400),
    ]);
    assert_measure(point.allocated, 125.0, 100.0, 200.0, 100.0, 200.0);
    assert_measure(point.total, 400.0, 400.0, 400.0, 400.0, 400.0);
    assert_measure(point.utilization, 0.3125, 0.25, 0.5, 0.25, 0.5);
    assert_share(point.coverage, 1.0);
    assert!(point.complete);
}

#[test]
fn a_value_holds_for_two_and_a_half_intervals_without_a_sample_and_then_no_more() {
    let point = one_day(&[
        run(1, "2026-06-30T00:00:00Z", "2026-07-01T03:30:00Z", 100, 400),
        run(1, "2026-07-01T18:00:00Z", "2026-07-02T23:00:00Z", 300, 400),
    ]);
    assert_measure(point.allocated, 200.0, 100.0, 300.0, 100.0, 300.0);
    assert_share(point.coverage, 0.5);
}

#[test]
fn types_add_up_and_one_that_ended_stops_to_contribute() {
    let ended =
        Run { ended_at: Some(at("2026-07-01T12:00:00Z")), ..run(2, "2026-06-30T00:00:00Z", "2026-07-01T11:00:00Z", 40, 100) };
    let point = one_day(&[run(1, "2026-06-30T00:00:00Z", "2026-07-02T23:00:00Z", 10, 100), ended]);
    assert_measure(point.allocated, 30.0, 10.0, 50.0, 50.0, 10.0);
    assert_measure(point.total, 150.0, 100.0, 200.0, 200.0, 100.0);
    assert_measure(point.utilization, 0.175, 0.1, 0.25, 0.25, 0.1);
    assert_share(point.coverage, 1.0);
}

#[test]
fn utilization_leaves_out_the_time_without_a_total() {
    let point = one_day(&[
        run(1, "2026-06-30T00:00:00Z", "2026-07-01T05:00:00Z", 10, 0),
        run(1, "2026-07-01T06:00:00Z", "2026-07-02T23:00:00Z", 10, 40),
    ]);
    assert_measure(point.total, 30.0, 0.0, 40.0, 0.0, 40.0);
    assert_measure(point.utilization, 0.25, 0.25, 0.25, 0.25, 0.25);
    let never = one_day(&[run(1, "2026-06-30T00:00:00Z", "2026-07-02T23:00:00Z", 10, 0)]);
    assert_eq!(never.utilization, None);
    assert_measure(never.total, 0.0, 0.0, 0.0, 0.0, 0.0);
}

#[test]
fn an_average_is_the_nearest_double() {
    let tick = |time: &str| format!("2026-07-01T{time}Z");
    let point = one_day(&[
        run(1, "2026-06-30T00:00:00Z", &tick("07:00:00"), 0, 1),
        run(1, &tick("08:00:00"), "2026-07-02T23:00:00Z", 1, 1),
    ]);
    assert_measure(point.allocated, 2.0 / 3.0, 0.0, 1.0, 0.0, 1.0);
}

#[test]
fn a_bucket_that_is_not_over_is_measured_as_far_as_it_has_passed() {
    let runs = [run(1, "2026-07-01T00:00:00Z", "2026-07-01T06:00:00Z", 100, 400)];
    let found = daily(&runs, "2026-07-01T00:00:00Z", "2026-07-03T00:00:00Z", "2026-07-01T06:30:00Z", Fill::Last);
    let [today, tomorrow] = &found.points[..] else { panic!("{found:?}") };
    assert!(!today.complete && !tomorrow.complete);
    assert_share(today.coverage, 1.0);
    assert_measure(today.allocated, 100.0, 100.0, 100.0, 100.0, 100.0);
    assert_eq!((tomorrow.allocated, tomorrow.total, tomorrow.utilization), (None, None, None));
    assert_share(tomorrow.coverage, 0.0);
    assert_share(found.coverage, 1.0);
}

#[test]
fn buckets_without_observations_are_empty_or_carry_the_last_value() {
    let runs = [
        run(1, "2026-06-01T00:00:00Z", "2026-06-20T00:00:00Z", 50, 400),
        run(1, "2026-07-02T12:00:00Z", "2026-07-02T23:30:00Z", 100, 400),
    ];
    let days = |fill| daily(&runs, "2026-07-01T00:00:00Z", "2026-07-06T00:00:00Z", "2026-07-05T00:00:00Z", fill);
    let empty = days(Fill::None);
    let known: Vec<_> = empty.points.iter().map(|point| point.allocated.is_some()).collect();
    assert_eq!(known, [false, true, true, false, false]);

    let filled = days(Fill::Last);
    assert_measure(filled.points[0].allocated, 50.0, 50.0, 50.0, 50.0, 50.0);
    assert_measure(filled.points[0].utilization, 0.125, 0.125, 0.125, 0.125, 0.125);
    assert_share(filled.points[0].coverage, 0.0);
    assert_eq!(filled.points[1..3], empty.points[1..3], "what was observed is not filled up");
    assert_share(filled.points[2].coverage, 2.0 / 24.0);
    assert_measure(filled.points[3].total, 400.0, 400.0, 400.0, 400.0, 400.0);
    assert_eq!(filled.points[4].allocated, None, "the future is not filled");
    assert_share(filled.coverage, 14.0 / 96.0);
    assert_share(empty.coverage, 14.0 / 96.0);
}

#[test]
fn without_any_run_nothing_is_known_and_nothing_is_carried() {
    let found = daily(&[], "2026-07-01T00:00:00Z", "2026-07-03T00:00:00Z", "2026-08-01T00:00:00Z", Fill::Last);
    assert!(found.points.iter().all(|point| point.allocated.is_none() && point.coverage == 0.0));
    assert_share(found.coverage, 0.0);
}

#[test]
fn the_greatest_values_of_many_types_over_all_time_do_not_overflow() {
    let range = TimeRange { from: Timestamp::MIN, to: Timestamp::MAX };
    let half = Timestamp::UNIX_EPOCH;
    let runs: Vec<_> = (0..1000)
        .flat_map(|space_type| {
            let whole = |first_at, last_at, gb| Run {
                space_type,
                first_at,
                last_at,
                interval_s: u32::MAX,
                samples: i64::MAX,
                allocated_gb: gb,
                total_gb: i64::MAX,
                ended_at: None,
            };
            [whole(Timestamp::MIN, half - SignedDuration::from_secs(1), i64::MAX), whole(half, Timestamp::MAX, i64::MAX - 1)]
        })
        .collect();
    let point = series(&runs, &[range], range, Timestamp::MAX, Fill::None).points.remove(0);
    let sum = 1000.0 * 9_223_372_036_854_775_807.0;
    assert_measure(point.allocated, sum, sum, sum, sum, sum);
    assert_measure(point.utilization, 1.0, 1.0, 1.0, 1.0, 1.0);
    assert_share(point.coverage, 1.0);
}
