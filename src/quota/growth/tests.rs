use jiff::Timestamp;
use proptest::prelude::*;

use super::{Growth, growth, utilization_change};
use crate::quota::usage::tests::{BASE_MS, any_runs, oracle};
use crate::quota::usage::{Segment, segments};
use crate::quota::{Run, TimeRange};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn segment(start: &str, end: &str, allocated_gb: i128, total_gb: i128) -> Segment {
    Segment { start: at(start), end: at(end), allocated_gb, total_gb }
}

/// Known from the 2nd to the 4th and from the 8th to the 11th of July.
fn with_a_gap() -> Vec<Segment> {
    vec![
        segment("2026-07-02T00:00:00Z", "2026-07-04T00:00:00Z", 100, 400),
        segment("2026-07-08T00:00:00Z", "2026-07-10T00:00:00Z", 150, 400),
        segment("2026-07-10T00:00:00Z", "2026-07-11T00:00:00Z", 300, 600),
    ]
}

fn from_to(from: &str, to: &str) -> Option<Growth> {
    growth(&with_a_gap(), TimeRange { from: at(from), to: at(to) })
}

#[test]
fn the_values_of_both_ends_are_compared() {
    let found = from_to("2026-07-03T00:00:00Z", "2026-07-11T00:00:00Z").unwrap();
    assert_eq!((found.allocated_change_gb, found.total_change_gb), (200, 200));
    assert_eq!(found.per_day_gb().to_bits(), 25.0_f64.to_bits());
    let utilization = found.utilization.unwrap();
    assert!((utilization.whole - 0.25).abs() < 1e-15);
    // 200 more of 400 are 0.5, of 600 a third: 5/12 on average. The other sixth is gone by 200 GB more in all.
    assert!((utilization.by_allocation - 5.0 / 12.0).abs() < 1e-15);
    assert!((utilization.by_capacity + 1.0 / 6.0).abs() < 1e-15);
}

#[test]
fn in_a_gap_the_last_value_before_it_is_known() {
    let found = from_to("2026-07-06T00:00:00Z", "2026-07-09T00:00:00Z").unwrap();
    assert_eq!((found.range.from, found.allocated_change_gb), (at("2026-07-06T00:00:00Z"), 50));
    let found = from_to("2026-07-03T00:00:00Z", "2026-07-07T00:00:00Z").unwrap();
    assert_eq!((found.range.to, found.allocated_change_gb), (at("2026-07-07T00:00:00Z"), 0));
}

#[test]
fn without_any_value_before_growth_counts_from_the_first_observation() {
    let found = from_to("2026-06-01T00:00:00Z", "2026-07-12T00:00:00Z").unwrap();
    assert_eq!((found.range.from, found.range.to), (at("2026-07-02T00:00:00Z"), at("2026-07-12T00:00:00Z")));
    assert_eq!(found.per_day_gb().to_bits(), 20.0_f64.to_bits());
}

#[test]
fn a_stretch_without_observations_has_no_growth() {
    for (from, to) in [
        ("2026-06-01T00:00:00Z", "2026-07-02T00:00:00Z"),
        ("2026-07-04T00:00:00Z", "2026-07-08T00:00:00Z"),
        ("2026-07-11T00:00:00Z", "2026-08-01T00:00:00Z"),
    ] {
        assert_eq!(from_to(from, to), None, "{from}");
    }
    assert_eq!(growth(&[], TimeRange { from: Timestamp::MIN, to: Timestamp::MAX }), None);
}

#[test]
fn a_cause_that_did_nothing_has_no_part_at_all() {
    let filled = utilization_change((1, 3), (2, 3)).unwrap();
    assert_eq!((filled.by_allocation.to_bits(), filled.by_capacity.to_bits()), (filled.whole.to_bits(), 0.0_f64.to_bits()));
    let resized = utilization_change((2, 3), (2, 7)).unwrap();
    assert_eq!((resized.by_allocation.to_bits(), resized.by_capacity.to_bits()), (0.0_f64.to_bits(), resized.whole.to_bits()));
}

#[test]
fn without_a_total_at_one_end_utilization_has_no_change() {
    for (start, end) in [((0, 0), (1, 2)), ((1, 2), (1, 0)), ((5, 0), (5, 0))] {
        assert_eq!(utilization_change(start, end), None);
    }
}

/// The start and the value of the first or the last known part of a stretch, by looking at each instant.
fn known(runs: &[Run], from: Timestamp, to: Timestamp, last: bool) -> Option<(i64, (i128, i128))> {
    let mut start = from.as_microsecond();
    let mut parts: Vec<_> = oracle::parts(runs, from, to, to)
        .into_iter()
        .map(|(micros, sums)| {
            start += micros;
            Some((start - micros, sums?))
        })
        .collect();
    if last {
        parts.reverse();
    }
    parts.into_iter().flatten().next()
}

proptest! {
    #[test]
    fn growth_is_what_looking_at_each_instant_gives(runs in any_runs(), ends in prop::array::uniform2(-90_000_000_000..4_000_000_000_000_i64)) {
        let [from, to] = [ends[0].min(ends[1]), ends[0].max(ends[1]) + 1].map(|us| Timestamp::from_microsecond(BASE_MS * 1000 + us).unwrap());
        let found = growth(&segments(&runs, to), TimeRange { from, to });
        let after = Timestamp::from_microsecond(from.as_microsecond() + 1).unwrap();
        let expected = known(&runs, from, to, true).map(|(_, end)| {
            let before = known(&runs, Timestamp::MIN, after, true).map(|(_, sums)| (from.as_microsecond(), sums));
            let (from, start) = before.or_else(|| known(&runs, from, to, false)).unwrap();
            (from, end.0 - start.0, end.1 - start.1, start, end)
        });
        prop_assert_eq!(found.is_some(), expected.is_some());
        if let (Some(found), Some((from, allocated, total, start, end))) = (found, expected) {
            prop_assert_eq!((found.range.from.as_microsecond(), found.range.to), (from, to));
            prop_assert_eq!((found.allocated_change_gb, found.total_change_gb), (allocated, total));
            prop_assert_eq!(found.utilization.is_some(), start.1 != 0 && end.1 != 0);
        }
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "compared with a tolerance")]
    fn the_parts_add_up_and_each_is_the_mean_over_both_orders(
        allocated in prop::array::uniform2(0..1_i128 << 40),
        total in prop::array::uniform2(1..1_i128 << 40),
    ) {
        let found = utilization_change((allocated[0], total[0]), (allocated[1], total[1])).unwrap();
        let scale = allocated.map(|a| a as f64 / total[0].min(total[1]) as f64).into_iter().fold(1.0, f64::max);
        prop_assert!((found.by_allocation + found.by_capacity - found.whole).abs() <= 1e-9_f64.max(1e-15 * scale));
        // Times twice the product of the totals everything is whole.
        let (da, twice) = (allocated[1] - allocated[0], 2 * total[0] * total[1]);
        let by_allocation = da * (total[0] + total[1]);
        let by_capacity = (allocated[0] + allocated[1]) * (total[0] - total[1]);
        prop_assert_eq!(by_allocation + by_capacity, 2 * (allocated[1] * total[0] - allocated[0] * total[1]));
        prop_assert!((found.by_allocation - by_allocation as f64 / twice as f64).abs() <= 1e-14 * scale);
        prop_assert!((found.by_capacity - by_capacity as f64 / twice as f64).abs() <= 1e-14 * scale);
    }
}
