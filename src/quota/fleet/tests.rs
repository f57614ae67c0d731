//! The log of changes and what is computed from it, against what the runs themselves say second by second.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::quota::recording::History;
use crate::quota::usage::{Measure, UsagePoint};
use crate::quota::{Run, Sample, SpaceAllocation, SpaceTypeAllocation, TimeRange};

/// Half an hour before midnight, so that histories span two days.
const BEGIN: i64 = 1_772_407_800;
const INTERVAL_S: u32 = 60;
const SECONDS: i64 = 5400;

const STEP: Step = Step { at: 0, space_type: 0, allocated_gb: 1, total_gb: 2, held: 1 };

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BEGIN + second).unwrap()
}

/// Samples of one tenant: the second, and of each listed type allocated and total.
type Samples = Vec<(i64, Vec<(i64, i64)>)>;

fn samples() -> impl Strategy<Value = Samples> {
    let values = prop::collection::vec((0..4_i64, 0..3_i64), 0..3);
    prop::collection::vec((0..SECONDS / 30, values), 0..40)
        .prop_map(|samples| samples.into_iter().map(|(slot, values)| (slot * 30, values)).collect())
}

fn sample((second, values): &(i64, Vec<(i64, i64)>)) -> Sample {
    let value = |(space_type, (allocated_gb, total_gb)): (i32, &(i64, i64))| SpaceTypeAllocation {
        space_type,
        allocated_gb: *allocated_gb,
        total_gb: *total_gb,
    };
    Sample { allocation: SpaceAllocation::new(at(*second), (0..).zip(values).map(value).collect()), interval_s: INTERVAL_S }
}

fn runs(history: &History) -> Vec<Run> {
    history.runs().cloned().collect()
}

/// The runs of a tenant, and the changes that recording its samples one by one gave.
fn record(tenant_no: u32, samples: &Samples) -> (Vec<Run>, Vec<Change>) {
    let (mut history, mut changes) = (History::default(), Vec::new());
    for given in samples {
        let before = runs(&history);
        history.record(&sample(given));
        changes.extend(difference(&before, &runs(&history)).into_iter().map(|step| Change { tenant_no, step }));
    }
    (runs(&history), changes)
}

/// What a tenant's runs say at a second: the carried sums once it has begun, and whether observations cover it.
fn state(runs: &[Run], space_type: Option<i32>, second: i64) -> (Option<(i128, i128)>, bool) {
    let (mut carried, mut covered) = (None, false);
    for (index, run) in runs.iter().enumerate().filter(|(_, run)| space_type.is_none_or(|asked| asked == run.space_type)) {
        let next = runs.get(index + 1).filter(|next| next.space_type == run.space_type);
        if run.first_at > at(second) {
            continue;
        }
        let sums = carried.get_or_insert((0, 0));
        let is_newest = next.is_none_or(|next| next.first_at > at(second));
        if is_newest && run.ended_at.is_none_or(|ended| ended > at(second)) {
            sums.0 += i128::from(run.allocated_gb);
            sums.1 += i128::from(run.total_gb);
        }
        covered |= at(second) < run.holds_until(next.map(|next| next.first_at));
    }
    (carried, covered)
}

fn holds_until(runs: &[Run]) -> Option<Timestamp> {
    runs.iter().map(|run| run.last_at + Run::tolerance(run.interval_s)).max()
}

/// What a store gives of a tenant's runs for a range: those that start in it, and the newest one before it of each type.
fn part(runs: &[Run], range: TimeRange, space_type: Option<i32>) -> Vec<Run> {
    let is_needed = |(place, run): &(usize, &Run)| {
        let next = runs.get(place + 1).filter(|next| next.space_type == run.space_type);
        let is_newest_before = run.first_at < range.from && next.is_none_or(|next| next.first_at >= range.from);
        let is_in_range = range.from <= run.first_at && run.first_at < range.to;
        (is_newest_before || is_in_range) && space_type.is_none_or(|asked| asked == run.space_type)
    };
    runs.iter().enumerate().filter(is_needed).map(|(_, run)| run.clone()).collect()
}

/// What a group's sum does over seconds.
fn measure(values: &[f64]) -> Option<Measure> {
    let (first, last) = (*values.first()?, *values.last()?);
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let average = values.iter().sum::<f64>() / values.len() as f64;
    Some(Measure {
        average,
        min: values.iter().copied().fold(f64::MAX, f64::min),
        max: values.iter().copied().fold(0.0, f64::max),
        first,
        last,
    })
}

fn assert_near(found: Option<Measure>, expected: Option<Measure>) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.is_some(), expected.is_some(), "{:?} {:?}", found, expected);
    if let (Some(a), Some(b)) = (found, expected) {
        for (a, b) in [(a.average, b.average), (a.min, b.min), (a.max, b.max), (a.first, b.first), (a.last, b.last)] {
            prop_assert!((a - b).abs() < 1e-9, "{a} {b}");
        }
    }
    Ok(())
}

/// The changes as a store keeps them: some days packed, the rest as they are, all by instant.
fn stored(changes: Vec<Change>) -> (BTreeMap<i64, Vec<u8>>, Vec<Change>) {
    let mut days = BTreeMap::<i64, Vec<Change>>::new();
    for change in changes {
        days.entry(day_of(change.step.at)).or_default().push(change);
    }
    let mut recent = days.pop_last().map_or_else(Vec::new, |(_, changes)| changes);
    recent.sort_by_key(|change| change.step.at);
    (days.into_iter().map(|(day, changes)| (day, pack_day(changes).unwrap())).collect(), recent)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 5))]

    #[test]
    fn changes_add_up_to_the_steps_of_the_runs_in_whatever_order_samples_come(samples in samples()) {
        let (runs, changes) = record(7, &samples);
        let mut sums = BTreeMap::<(i64, i32), (i64, i64, i32)>::new();
        for Change { step, .. } in changes {
            let sum = sums.entry((step.at, step.space_type)).or_default();
            *sum = (sum.0 + step.allocated_gb, sum.1 + step.total_gb, sum.2 + step.held);
        }
        sums.retain(|_, sum| *sum != (0, 0, 0));
        let expected: BTreeMap<_, _> = steps(&runs).iter()
            .map(|step| ((step.at, step.space_type), (step.allocated_gb, step.total_gb, step.held))).collect();
        prop_assert_eq!(sums, expected);
    }

    #[test]
    fn a_fleet_is_the_sum_of_its_tenants_second_by_second(
        tenants in prop::collection::vec((samples(), 0..3_u32), 1..5),
        lengths in prop::collection::vec(1..40_i64, 1..6),
        start in 0..30_i64,
        asked in (0..600_i64, 0..600_i64),
        now in 600..SECONDS,
        space_type in prop::option::of(0..2_i32),
    ) {
        let recorded: Vec<_> = (0..).zip(&tenants).map(|(no, (samples, group))| (no, *group, record(no * 40_000, samples))).collect();
        // Tenants of group 2 are not asked for.
        let members: Vec<_> = recorded.iter().filter(|(_, group, _)| *group < 2)
            .map(|(no, group, (runs, _))| Member { tenant_no: no * 40_000, group: *group, holds_until: holds_until(runs) }).collect();
        let sizes = [0, 1].map(|group| members.iter().filter(|member| member.group == group).count());
        let (days, recent) = stored(recorded.iter().flat_map(|(_, _, (_, changes))| changes.clone()).collect());
        let mut edges = vec![start * 60];
        edges.extend(lengths.iter().scan(start * 60, |edge, length| { *edge += length * 60; Some(*edge) }));
        let buckets: Arc<[TimeRange]> = edges.windows(2).map(|w| TimeRange { from: at(w[0]), to: at(w[1]) }).collect();
        let (first, last) = (edges[0], *edges.last().unwrap());
        let question = (first + asked.0.min(59), (last - asked.1).max(first + 60));
        let range = TimeRange { from: at(question.0), to: at(question.1) };

        let mut sweep = Sweep::new(&members, &sizes, Arc::clone(&buckets), range, space_type, at(now));
        for (day, bytes) in &days {
            sweep.day(&DayChanges::read(*day, bytes).unwrap());
        }
        // As if it had been asked a moment after the day began, with another end, and now again.
        let midnight = (BEGIN + 1800) * 1000;
        let is_after = |change: &Change| change.step.at >= midnight;
        let mut resumed = if now > 1801 && question.1 > 1800 && recent.iter().all(is_after) {
            let mut former = Sweep::new(&members, &sizes, Arc::clone(&buckets), TimeRange { to: at(1801), ..range }, space_type, at(1801));
            if question.0 < 1801 {
                for (day, bytes) in days.iter().filter(|(day, _)| **day * DAY_MILLIS < midnight) {
                    former.day(&DayChanges::read(*day, bytes).unwrap());
                }
                former.pause(midnight);
                let mut resumed = former.go_on(midnight, range.to, at(now));
                for (day, bytes) in days.iter().filter(|(day, _)| **day * DAY_MILLIS >= midnight) {
                    resumed.day(&DayChanges::read(*day, bytes).unwrap());
                }
                resumed
            } else {
                sweep
            }
        } else {
            sweep
        };
        for change in recent {
            resumed.add(change);
        }
        let found = resumed.finish(&members);

        for group in 0..2_u32 {
            let of_group: Vec<_> = recorded.iter().filter(|(_, g, _)| *g == group).map(|(_, _, (runs, _))| runs).collect();
            let states = |second: i64| of_group.iter().map(move |runs| state(runs, space_type, second));
            #[expect(clippy::cast_precision_loss, reason = "few")]
            let coverage = |from: i64, to: i64| {
                let (from, to) = (from.min(now), to.min(now));
                let covered = (from..to).flat_map(states).filter(|(_, covered)| *covered).count();
                let whole = of_group.len() * usize::try_from(to - from).unwrap();
                if whole == 0 { 0.0 } else { covered as f64 / whole as f64 }
            };
            let series = &found[group as usize];
            prop_assert!((series.coverage - coverage(question.0, question.1)).abs() < 1e-9);
            for (point, w) in series.points.iter().zip(edges.windows(2)) {
                let sums: Vec<(i128, i128)> = (w[0]..w[1].min(now))
                    .filter_map(|second| states(second).filter_map(|(sums, _)| sums).reduce(|a, b| (a.0 + b.0, a.1 + b.1))).collect();
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let part = |of: fn(&(i128, i128)) -> i128| measure(&sums.iter().map(|sum| of(sum) as f64).collect::<Vec<_>>());
                assert_near(point.allocated, part(|sum| sum.0))?;
                assert_near(point.total, part(|sum| sum.1))?;
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let ratios: Vec<_> = sums.iter().filter(|sum| sum.1 != 0).map(|sum| sum.0 as f64 / sum.1 as f64).collect();
                assert_near(point.utilization, measure(&ratios))?;
                prop_assert!((point.coverage - coverage(w[0], w[1])).abs() < 1e-9);
                prop_assert_eq!(point.complete, w[1] <= now);
            }
        }
    }

    #[test]
    fn a_tenant_stands_where_its_runs_say(samples in samples(), from in 0..SECONDS / 2, length in 60..SECONDS / 2) {
        let (recorded, changes) = record(3, &samples);
        let now = from + length;
        let visible: Vec<_> = recorded.iter().filter(|run| run.first_at <= at(now)).collect();
        let (days, recent) = stored(changes);
        let mut pass = Standings::new(3, at(from), at(now));
        for (day, bytes) in &days {
            pass.day(&DayChanges::read(*day, bytes).unwrap());
        }
        for change in recent { pass.add(change); }
        let found = pass.finish(&[Member { tenant_no: 3, group: 0, holds_until: holds_until(&recorded) }]);

        let begun = visible.iter().map(|run| run.first_at).min();
        prop_assert_eq!(found.len(), usize::from(begun.is_some()));
        let Some(begun) = begun else { return Ok(()) };
        let start = begun.max(at(from));
        let carried = |at: Timestamp| state(&recorded, None, at.as_second() - BEGIN).0.unwrap().0;
        let covered = (from..now).filter(|second| state(&recorded, None, *second).1).count();
        prop_assert_eq!((found[0].from, found[0].from_allocated_gb, found[0].allocated_gb), (start, carried(start), carried(at(now))));
        #[expect(clippy::cast_precision_loss, reason = "few")]
        let expected = covered as f64 / length as f64;
        prop_assert!((found[0].coverage - expected).abs() < 1e-9, "{} {}", found[0].coverage, expected);
    }

    #[test]
    fn days_are_those_that_a_tenant_of_its_own_would_be_forecast_from(samples in samples(), now in 0..SECONDS / 30, second in 0..2_i64, later in 0..3_i64) {
        let now = 30 * now + second;
        // Always the same type: what has ended is 0 here, and there the last known value.
        let samples = samples.into_iter().map(|(second, mut values)| { values.resize(1, (7, 9)); (second, values) }).collect();
        let (recorded, changes) = record(3, &samples);
        let now = at(now + later * 86_400);
        let members = [Member { tenant_no: 3, group: 0, holds_until: holds_until(&recorded) }];
        let (days, recent) = stored(changes);
        let mut pass = DailyValues::new(&members, 4, now);
        for (day, bytes) in &days {
            pass.day(&DayChanges::read(*day, bytes).unwrap());
        }
        for change in recent {
            pass.add(change);
        }
        let found = pass.finish(&members).of(0).allocated_gb;
        let expected = crate::quota::forecast::daily_values(&crate::quota::usage::segments(&recorded, now), now);
        prop_assert_eq!(found, &expected[expected.len() - 4..]);
    }

    #[test]
    fn days_go_on_from_where_they_were_in_the_same_hour(samples in samples(), former in 1801..SECONDS, now in 1801..SECONDS, days in 1..4_usize) {
        let (recorded, changes) = record(0, &samples);
        let members = [Member { tenant_no: 0, group: 0, holds_until: holds_until(&recorded) }];
        let mut changes = changes;
        changes.sort_by_key(|change| change.step.at);
        let mut fresh = DailyValues::new(&members, days, at(now));
        for change in &changes { fresh.add(*change); }
        let midnight = (BEGIN + 1800) * 1000;
        let mut pass = DailyValues::new(&members, days, at(former));
        let before = changes.partition_point(|change| change.step.at < midnight);
        for change in &changes[..before] { pass.add(*change); }
        pass.pause(midnight);
        let mut pass = pass.go_on(at(now));
        for change in &changes[before..] { pass.add(*change); }
        prop_assert_eq!(pass.finish(&members).of(0), fresh.finish(&members).of(0));
    }

    #[test]
    fn few_tenants_are_the_same_by_their_runs_as_by_the_log(
        tenants in prop::collection::vec((samples(), 0..2_u32), 1..4),
        lengths in prop::collection::vec(1..40_i64, 1..6),
        start in 0..30_i64,
        asked in (0..600_i64, 0..600_i64),
        now in 300..SECONDS / 2,
        space_type in prop::option::of(0..2_i32),
        days in 1..4_usize,
        days_later in 0..4_i64,
    ) {
        // At an odd second nothing changes: whether that were seen is a matter of taste.
        let now = at(2 * now + 1);
        let recorded: Vec<_> = (0..).zip(&tenants).map(|(no, (samples, group))| (no, *group, record(no, samples))).collect();
        let sizes = [0, 1].map(|group| recorded.iter().filter(|(_, of, _)| *of == group).count());
        let changes: Vec<Change> = recorded.iter().flat_map(|(_, _, (_, changes))| changes.clone()).collect();
        let member = |holds: fn(&[Run]) -> Option<Timestamp>| {
            let member = |(tenant_no, group, (runs, _)): &(u32, u32, (Vec<Run>, _))| {
                Member { tenant_no: *tenant_no, group: *group, holds_until: holds(runs) }
            };
            recorded.iter().map(member).collect::<Vec<_>>()
        };
        let (of_log, of_runs) = (member(holds_until), member(|_| Some(Timestamp::MAX)));
        let by_log = |pass: &mut dyn FnMut(Change)| {
            let mut all = changes.clone();
            all.sort_by_key(|change| change.step.at);
            all.into_iter().for_each(pass);
        };
        let by_runs = |range: TimeRange, space_type: Option<i32>, pass: &mut dyn FnMut(Change)| {
            let steps = |(tenant_no, _, (runs, _)): &(u32, u32, (Vec<Run>, _))| {
                let tenant_no = *tenant_no;
                steps_of_part(&part(runs, range, space_type)).into_iter().map(move |step| Change { tenant_no, step })
            };
            let mut all: Vec<_> = recorded.iter().flat_map(steps).collect();
            all.sort_by_key(|change| change.step.at);
            all.into_iter().for_each(pass);
        };

        let mut edges = vec![start * 60];
        edges.extend(lengths.iter().scan(start * 60, |edge, length| { *edge += length * 60; Some(*edge) }));
        let buckets: Arc<[TimeRange]> = edges.windows(2).map(|w| TimeRange { from: at(w[0]), to: at(w[1]) }).collect();
        let (first, last) = (edges[0], *edges.last().unwrap());
        let question = TimeRange { from: at(first + asked.0.min(59)), to: at((last - asked.1).max(first + 60)) };
        let sweep = |members: &[Member]| Sweep::new(members, &sizes, Arc::clone(&buckets), question, space_type, now);
        let (mut expected, mut found) = (sweep(&of_log), sweep(&of_runs));
        by_log(&mut |change| expected.add(change));
        by_runs(TimeRange { from: at(first), to: at(last).min(now) }, space_type, &mut |change| found.add(change));
        for (expected, found) in expected.finish(&of_log).into_iter().zip(found.finish(&of_runs)) {
            prop_assert_eq!(found.coverage.to_bits(), expected.coverage.to_bits());
            for (expected, found) in expected.points.into_iter().zip(found.points) {
                // The log may say in two parts what the runs say in one, which is summed in another order.
                assert_near(found.utilization, expected.utilization)?;
                prop_assert_eq!(UsagePoint { utilization: None, ..found }, UsagePoint { utilization: None, ..expected });
            }
        }

        let highest_no = u32::try_from(recorded.len()).unwrap() - 1;
        let stretch = TimeRange { from: at(first), to: now.max(at(first + 1)) };
        let standings = || Standings::new(highest_no, stretch.from, stretch.to);
        let (mut expected, mut found) = (standings(), standings());
        by_log(&mut |change| expected.add(change));
        by_runs(stretch, None, &mut |change| found.add(change));
        prop_assert_eq!(found.finish(&of_runs), expected.finish(&of_log));

        let now = now + SignedDuration::from_hours(24 * days_later);
        let values = |members: &[Member]| DailyValues::new(members, days, now);
        let (mut expected, mut found) = (values(&of_log), values(&of_runs));
        let range = TimeRange { from: found.from(), to: now };
        by_log(&mut |change| expected.add(change));
        by_runs(range, None, &mut |change| found.add(change));
        let (expected, found) = (expected.finish(&of_log), found.finish(&of_runs));
        for place in 0..recorded.len() {
            prop_assert_eq!(found.of(place), expected.of(place));
        }
    }

    #[test]
    fn a_day_and_an_opening_come_back_as_they_were_packed(
        changes in prop::collection::vec(
            (0..DAY_MILLIS, 0..100_000_u32, -3..3_i32, any::<i64>(), prop_oneof![Just(0), any::<i64>()], -1..2_i32), 0..50),
    ) {
        let mut keys = std::collections::HashSet::new();
        let mut changes: Vec<_> = changes.into_iter()
            .map(|(ms, tenant_no, space_type, allocated_gb, total_gb, held)| {
                Change { tenant_no, step: Step { at: 20_000 * DAY_MILLIS + ms, space_type, allocated_gb, total_gb, held } }
            })
            .filter(|Change { tenant_no, step }| keys.insert((step.at, *tenant_no, step.space_type)))
            .filter(|Change { step, .. }| (step.allocated_gb, step.total_gb, step.held) != (0, 0, 0))
            .collect();
        changes.sort_by_key(|Change { tenant_no, step }| (step.at, *tenant_no, step.space_type));
        let packed = pack_day(changes.clone()).unwrap();
        prop_assert_eq!(DayChanges::read(20_000, &packed).unwrap().to_vec(), changes.clone());
        prop_assert!(DayChanges::read(20_000, &packed[..packed.len() - 1]).is_err());
        let mut opening = Opening::default();
        for change in changes { opening.add(change); }
        let packed = opening.pack();
        prop_assert_eq!(Opening::read(&packed), Ok(opening));
        prop_assert!(Opening::read(&packed[..packed.len() - 1]).is_err());
    }
}

#[test]
fn the_widest_values_are_corrected_exactly() {
    let run = |allocated_gb| Run {
        space_type: 0,
        first_at: at(0),
        last_at: at(0),
        interval_s: INTERVAL_S,
        samples: 1,
        allocated_gb,
        total_gb: i64::MAX,
        ended_at: Some(at(0) + SignedDuration::from_secs(60)),
    };
    let mut opening = Opening::default();
    let changes = [difference(&[], &[run(i64::MAX)]), difference(&[run(i64::MAX)], &[run(0)]), difference(&[run(0)], &[])].concat();
    for step in changes {
        opening.add(Change { tenant_no: 1, step });
    }
    assert_eq!(opening.standings().map(|(.., standing)| standing).collect::<Vec<_>>(), [TypeStanding::default()]);
}

#[test]
fn a_day_has_as_many_space_types_as_the_tenants_bring() {
    for types in [2, 65_535, 65_536, 70_000] {
        let change = |place: i32| {
            let step = Step { at: 20_000 * DAY_MILLIS + i64::from(place / 1000), space_type: i32::MAX - place, ..STEP };
            Change { tenant_no: 7 + (place / 1000).unsigned_abs(), step }
        };
        let mut changes: Vec<_> = (0..types).map(change).collect();
        let packed = pack_day(changes.clone()).unwrap();
        assert_eq!(packed[0], if types > 65_535 { 2 } else { 1 }, "older versions read whatever they can");
        changes.sort_by_key(|Change { tenant_no, step }| (step.at, *tenant_no, step.space_type));
        assert_eq!(DayChanges::read(20_000, &packed).unwrap().to_vec(), changes, "{types}");
        // Packed again with one more change, as the next packing of the day does.
        changes.push(Change { tenant_no: 1, step: Step { at: 20_001 * DAY_MILLIS - 1, space_type: -5, ..STEP } });
        let packed = pack_day(changes.clone()).unwrap();
        assert_eq!(DayChanges::read(20_000, &packed).unwrap().to_vec(), changes, "{types}");
        assert!(DayChanges::read(20_000, &packed[..packed.len() - 1]).is_err());
    }
}

#[test]
fn no_number_that_a_log_can_hold_breaks_a_pass() {
    let widest = Step { at: 20_000 * DAY_MILLIS, space_type: i32::MIN, allocated_gb: i64::MAX, total_gb: i64::MIN, held: i32::MAX };
    let change = |step| Change { tenant_no: 0, step };
    let changes = vec![
        change(widest),
        change(widest),
        change(Step { held: i32::MIN, ..widest }),
        change(Step { at: widest.at + 1, ..widest }),
    ];
    let packed = pack_day(changes).unwrap();
    let day = DayChanges::read(20_000, &packed).unwrap();
    let sums = day.to_vec().iter().fold((0_i128, 0_i128), |(allocated, total), change| {
        (allocated + i128::from(change.step.allocated_gb), total + i128::from(change.step.total_gb))
    });
    assert_eq!(sums, (4 * i128::from(i64::MAX), 4 * i128::from(i64::MIN)));
    let mut opening = Opening::default();
    day.for_each(|change| opening.add(change));
    let now = Timestamp::from_millisecond(widest.at + 10 * DAY_MILLIS).unwrap();
    let range = TimeRange { from: now - SignedDuration::from_hours(24 * 11), to: now };
    let members = [Member { tenant_no: 0, group: 0, holds_until: Some(now) }];
    let mut sweep = Sweep::new(&members, &[1], [range].into(), range, None, now);
    let mut standings = Standings::new(0, range.from, now);
    let mut days = DailyValues::new(&members, 20, now);
    sweep.open(&opening);
    standings.open(&opening);
    days.open(&opening);
    sweep.day(&day);
    standings.day(&day);
    days.day(&day);
    assert_eq!((sweep.finish(&members).len(), standings.finish(&members).len()), (1, 1));
    assert_eq!(days.finish(&members).of(0).allocated_gb.len(), 20);
}
