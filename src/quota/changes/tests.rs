use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;
use crate::quota::Sample;
use crate::quota::recording::History;

fn at(seconds: i64) -> Timestamp {
    "2026-03-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn answer(seconds: i64, values: &[(i32, i64)]) -> SpaceAllocation {
    let value = |&(space_type, allocated_gb): &_| SpaceTypeAllocation { space_type, allocated_gb, total_gb: 10 };
    SpaceAllocation::new(at(seconds), values.iter().map(value).collect())
}

fn history(answers: &[SpaceAllocation]) -> Vec<Run> {
    let mut history = History::default();
    for allocation in answers {
        history.record(&Sample { allocation: allocation.clone(), interval_s: 60 });
    }
    history.runs().cloned().collect()
}

const EVER: TimeRange = TimeRange { from: Timestamp::MIN, to: Timestamp::MAX };

#[test]
fn a_gap_and_another_interval_are_no_changes() {
    let runs = history(&[answer(0, &[(0, 1)]), answer(60, &[(0, 1)]), answer(6000, &[(0, 1)])]);
    assert_eq!(runs.len(), 2);
    assert_eq!(changes(&runs, EVER), [Change { before: None, after: answer(0, &[(0, 1)]) }]);
}

#[test]
fn a_type_that_comes_and_one_that_goes_are_changes() {
    let answers = [answer(0, &[(0, 1)]), answer(60, &[(0, 1), (1, 5)]), answer(120, &[(1, 5)]), answer(180, &[])];
    let expected: Vec<_> =
        (0..4).map(|i: usize| Change { before: i.checked_sub(1).map(|i| answers[i].clone()), after: answers[i].clone() }).collect();
    assert_eq!(changes(&history(&answers), EVER), expected);
}

/// What anybody would say who has seen every answer.
fn oracle(answers: &[SpaceAllocation]) -> Vec<(Option<Vec<SpaceTypeAllocation>>, SpaceAllocation)> {
    let mut newest: Option<Vec<SpaceTypeAllocation>> = None;
    let mut found = Vec::new();
    for answer in answers {
        // An answer without types before any with one leaves no trace.
        if newest.is_none() && answer.by_type().is_empty() {
            continue;
        }
        if newest.as_deref() != Some(answer.by_type()) {
            found.push((newest.replace(answer.by_type().to_vec()), answer.clone()));
        }
    }
    found
}

proptest! {
    #[test]
    fn the_changes_of_any_range_are_those_that_were_seen(
        seen in prop::collection::vec((1..400_i64, subsequence(vec![-1, 0, 7], 0..=3), prop::collection::vec(0..2_i64, 3)), 0..25),
        a in -10..4000_i64,
        b in -10..4000_i64,
    ) {
        let mut now = 0;
        let answers: Vec<_> = seen.into_iter().map(|(pause, types, values)| {
            now += pause;
            answer(now, &types.into_iter().zip(values).collect::<Vec<_>>())
        }).collect();
        let range = TimeRange { from: at(a.min(b)), to: at(a.max(b)) };
        let runs = history(&answers);
        // What a store gives for the range.
        let newest_before = |run: &Run| run.first_at < range.from && !runs.iter().any(|other| {
            other.space_type == run.space_type && other.first_at > run.first_at && other.first_at < range.from
        });
        let given: Vec<_> = runs.iter().filter(|run| (run.first_at >= range.from && run.first_at < range.to) || newest_before(run)).cloned().collect();
        let told: Vec<_> = changes(&given, range).into_iter().map(|c| (c.before.map(|b| b.by_type().to_vec()), c.after)).collect();
        let expected: Vec<_> = oracle(&answers).into_iter().filter(|(_, after)| after.observed_at() >= range.from && after.observed_at() < range.to).collect();
        prop_assert_eq!(told, expected);
    }
}
