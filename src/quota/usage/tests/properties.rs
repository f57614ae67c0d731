use jiff::Timestamp;
use proptest::prelude::*;

use super::{BASE_MS, any_runs, at_ms, oracle};
use crate::quota::TimeRange;
use crate::quota::calendar::{buckets_within, stretch_of, time_zone};
use crate::quota::usage::{Fill, Measure, UsagePoint, coverage, segments, series};

const DAY_MS: i64 = 86_400_000;

/// Buckets around the runs, of a few zones and intervals.
fn any_buckets() -> impl Strategy<Value = Vec<TimeRange>> {
    let zone = prop::sample::select(vec!["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/New_York"]);
    let interval = prop::sample::select(vec!["PT15M", "PT1H", "PT6H", "P1D", "P1W", "P1M", "P1Y"]);
    (zone, interval, -DAY_MS..3 * DAY_MS, 0.0..1.0).prop_map(|(zone, interval, offset, length)| {
        let longest = if interval.starts_with("PT") { 2 * DAY_MS } else { 60 * DAY_MS };
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "any length will do")]
        let length = 1 + (length * longest as f64) as i64;
        let range = TimeRange { from: at_ms(BASE_MS + offset), to: at_ms(BASE_MS + offset + length) };
        buckets_within(range, interval.parse().unwrap(), &time_zone(zone).unwrap(), 10_000).unwrap()
    })
}

/// To the microsecond, from before all runs to after them.
fn any_now() -> impl Strategy<Value = Timestamp> {
    (-DAY_MS * 1000..40 * DAY_MS * 1000).prop_map(|micros| Timestamp::from_microsecond(BASE_MS * 1000 + micros).unwrap())
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}

fn same(a: Option<Measure>, b: Option<Measure>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => near(a.average, b.average) && Measure { average: 0.0, ..a } == Measure { average: 0.0, ..b },
        _ => false,
    }
}

/// The measure's average times the time it covers, and that time, both in microseconds.
#[expect(clippy::cast_precision_loss, reason = "compared with a tolerance")]
fn weighted(point: &UsagePoint, now: Timestamp) -> (f64, f64) {
    let passed = (point.end.min(now).as_microsecond() - point.start.as_microsecond()).max(0) as f64;
    let covered = point.coverage * passed;
    (point.allocated.map_or(0.0, |allocated| allocated.average * covered), covered)
}

proptest! {
    #[test]
    fn each_point_is_what_looking_at_each_instant_gives(runs in any_runs(), buckets in any_buckets(), now in any_now(), last: bool) {
        let fill = if last { Fill::Last } else { Fill::None };
        let range = stretch_of(&buckets).unwrap();
        let found = series(&runs, &buckets, range, now, fill);
        prop_assert_eq!(found.points.len(), buckets.len());
        for (point, bucket) in found.points.iter().zip(&buckets) {
            let expected = oracle::point(&runs, *bucket, now, fill);
            let header = |p: &UsagePoint| (p.start, p.end, p.complete, p.coverage.to_bits());
            prop_assert_eq!(header(point), header(&expected));
            for (what, a, b) in [
                ("allocated", point.allocated, expected.allocated),
                ("total", point.total, expected.total),
                ("utilization", point.utilization, expected.utilization),
            ] {
                prop_assert!(same(a, b), "{what} of {bucket:?}: {a:?} is not {b:?}");
            }
        }
    }

    #[test]
    fn averages_lie_between_the_extremes(runs in any_runs(), buckets in any_buckets(), now in any_now()) {
        let range = stretch_of(&buckets).unwrap();
        for point in series(&runs, &buckets, range, now, Fill::Last).points {
            for measure in [point.allocated, point.total, point.utilization].into_iter().flatten() {
                let inside = measure.min..=measure.max;
                prop_assert!([measure.average, measure.first, measure.last].iter().all(|value| inside.contains(value)), "{measure:?}");
            }
        }
    }

    #[test]
    fn buckets_together_say_what_one_bucket_over_all_of_them_says(runs in any_runs(), buckets in any_buckets(), now in any_now()) {
        let range = stretch_of(&buckets).unwrap();
        let parts = series(&runs, &buckets, range, now, Fill::None);
        let whole = series(&runs, &[range], range, now, Fill::None);
        let (sum, covered) = parts.points.iter().map(|p| weighted(p, now)).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
        let (whole_sum, whole_covered) = weighted(&whole.points[0], now);
        prop_assert!((covered - whole_covered).abs() <= 1.0, "{covered} microseconds are not {whole_covered}");
        prop_assert!((sum - whole_sum).abs() <= 1e-9 * whole_sum, "{sum} is not {whole_sum}");
        prop_assert_eq!(parts.coverage.to_bits(), whole.points[0].coverage.to_bits());
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    fn the_series_covers_what_was_asked_and_not_whole_buckets(
        runs in any_runs(),
        now in any_now(),
        ends in prop::array::uniform2(0..5 * DAY_MS * 1000),
    ) {
        let [from, to] = [ends[0].min(ends[1]), ends[0].max(ends[1])].map(|us| Timestamp::from_microsecond(BASE_MS * 1000 + us).unwrap());
        let found = series(&runs, &[], TimeRange { from, to }, now, Fill::None).coverage;
        let parts = oracle::parts(&runs, from, to.min(now), now);
        let covered: i64 = parts.iter().filter(|(_, sums)| sums.is_some()).map(|(micros, _)| micros).sum();
        let passed: i64 = parts.iter().map(|(micros, _)| micros).sum();
        let expected = if passed == 0 { 0.0 } else { covered as f64 / passed as f64 };
        prop_assert_eq!(found.to_bits(), expected.to_bits());
    }

    #[test]
    fn segments_are_in_order_and_as_few_as_can_be(runs in any_runs(), now in any_now()) {
        let found = segments(&runs, now);
        for segment in &found {
            prop_assert!(segment.start < segment.end && segment.end <= now);
            let sums = oracle::value_at(&runs, segment.start.as_microsecond(), now);
            prop_assert_eq!(sums, Some((segment.allocated_gb, segment.total_gb)));
            prop_assert_eq!(oracle::value_at(&runs, segment.end.as_microsecond() - 1, now), sums);
        }
        for pair in found.windows(2) {
            prop_assert!(pair[0].end <= pair[1].start);
            let changed = (pair[0].allocated_gb, pair[0].total_gb) != (pair[1].allocated_gb, pair[1].total_gb);
            prop_assert!(changed || pair[0].end < pair[1].start);
        }
        prop_assert_eq!(coverage(&found, TimeRange { from: now, to: Timestamp::MAX }).to_bits(), 0.0_f64.to_bits());
    }
}
