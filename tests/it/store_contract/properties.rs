//! The stores against the history in memory, on random samples.

use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use quotagraph::quota::recording::History;
use quotagraph::quota::{Run, Sample, SpaceTypeAllocation, TimeRange};
use quotagraph::store::{Observation, RecordedChange, RunKey, RunScan, SharedStore, SnapshotKey, SnapshotPage, SnapshotQuery};

use super::{Home, answer, at, id, runs_in, tenant};

/// A sample on a grid of seconds on which runs touch, gaps are just within and just beyond tolerance, and instants recur.
fn sample() -> impl Strategy<Value = Sample> {
    let types = subsequence(vec![-1, 0, 1], 0..=3);
    (0..30_i64, types, prop::collection::vec(0..2_i64, 3), prop::sample::select(vec![60_u32, 60, 60, 90])).prop_map(
        |(place, types, values, interval_s)| {
            let values = types.iter().zip(values).map(|(space_type, value)| (*space_type, value, 10)).collect::<Vec<_>>();
            Sample { allocation: answer(place * 50, &values), interval_s }
        },
    )
}

fn batches() -> impl Strategy<Value = Vec<Vec<Sample>>> {
    prop::collection::vec(prop::collection::vec(sample(), 1..6), 1..12)
}

#[test]
fn postgres_keeps_the_history_that_memory_keeps() {
    compare(|runtime| runtime.block_on(Home::postgres()));
}

#[test]
fn sqlite_keeps_the_history_that_memory_keeps() {
    compare(|_| Home::sqlite());
}

fn compare(home: impl FnOnce(&tokio::runtime::Runtime) -> Home) {
    static CASE: AtomicU32 = AtomicU32::new(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let home = home(&runtime);
    let store = runtime.block_on(home.open());
    let usual = Config::default();
    let config = Config { cases: usual.cases / 4, failure_persistence: None, ..usual };
    let strategy = (batches(), 0..1600_i64, 0..1600_i64, 1..5_u32);
    let outcome = TestRunner::new(config).run(&strategy, |(batches, a, b, limit)| {
        let name = format!("case-{}", CASE.fetch_add(1, Ordering::Relaxed));
        let range = TimeRange { from: at(a.min(b)), to: at(a.max(b)) };
        runtime.block_on(compare_case(&store, &name, batches, range, limit))
    });
    outcome.unwrap();
}

async fn compare_case(
    store: &SharedStore,
    name: &str,
    batches: Vec<Vec<Sample>>,
    range: TimeRange,
    limit: u32,
) -> Result<(), TestCaseError> {
    store.register_tenants(&[tenant(name)], at(0)).await.unwrap();
    let mut memory = History::default();
    let mut feed = Vec::new();
    for mut batch in batches {
        let newest_before = newest(store, name).await;
        let observe = |sample: &Sample| Observation {
            tenant: id(name),
            attempted_at: sample.allocation.observed_at(),
            outcome: Ok(sample.clone()),
            next_due_at: None,
        };
        store.record(&batch.iter().map(observe).collect::<Vec<_>>()).await.unwrap();
        batch.sort_by_key(|sample| sample.allocation.observed_at());
        for sample in &batch {
            memory.record(sample);
        }
        let told = feed.len();
        feed = store.changes_after(Timestamp::MIN, Some(&[id(name)]), 1000).await.unwrap();
        let newest_after = newest(store, name).await;
        let expected = usize::from(newest_before != newest_after);
        prop_assert!(feed.len() - told >= expected && (batch.len() > 1 || feed.len() - told == expected));
        prop_assert_eq!(feed.last().map(|last| last.change.after.by_type().to_vec()), newest_after);
    }
    let expected = memory.runs().cloned().collect::<Vec<_>>();
    prop_assert_eq!(&super::history(store, name).await, &expected);
    prop_assert_eq!(runs_in(store, name, range).await, in_range(&expected, range));
    prop_assert_eq!(scanned(store, name, range, limit).await, in_range(&expected, range));
    let always = TimeRange { from: Timestamp::MIN, to: Timestamp::MAX };
    prop_assert_eq!(&scanned(store, name, always, limit).await, &expected);
    prop_assert_eq!(pages(store, name, range, limit).await, by_place(&expected, range));
    let mut former = None;
    for RecordedChange { change, .. } in &feed {
        let [before, after] = [change.before.as_ref(), Some(&change.after)].map(|answer| answer.map(|a| a.by_type().to_vec()));
        prop_assert!(before == former && before != after);
        former = after;
    }
    Ok(())
}

/// The values of the newest answer.
async fn newest(store: &SharedStore, name: &str) -> Option<Vec<SpaceTypeAllocation>> {
    store.latest(&[id(name)]).await.unwrap().pop().map(|(_, answer)| answer.by_type().to_vec())
}

/// What the contract says of a range, one run at a time.
fn in_range(runs: &[Run], range: TimeRange) -> Vec<Run> {
    let is_newest_before = |run: &Run| {
        let later =
            |other: &Run| other.space_type == run.space_type && other.first_at > run.first_at && other.first_at < range.from;
        run.first_at < range.from && !runs.iter().any(later)
    };
    let is_in = |run: &&Run| (run.first_at >= range.from && run.first_at < range.to) || is_newest_before(run);
    runs.iter().filter(is_in).cloned().collect()
}

fn by_place(runs: &[Run], range: TimeRange) -> Vec<Run> {
    let mut runs = runs.iter().filter(|run| run.last_at >= range.from && run.first_at < range.to).cloned().collect::<Vec<_>>();
    runs.sort_by_key(|run| (run.first_at, run.space_type));
    runs
}

/// Everything that a scan meets, page by page, beside another tenant.
async fn scanned(store: &SharedStore, name: &str, range: TimeRange, limit: u32) -> Vec<Run> {
    let mut scan = RunScan { range, space_type: None, after: None, limit };
    let mut met = Vec::<Run>::new();
    loop {
        let pages = store.scan(&[id("case-0"), id(name)], &scan).await.unwrap();
        let SnapshotPage { runs, more } =
            pages.into_iter().find(|(tenant, _)| *tenant == id(name)).map(|(_, page)| page).unwrap_or_default();
        scan.after = runs.last().map(|run| RunKey { space_type: run.space_type, first_at: run.first_at });
        met.extend(runs);
        if !more {
            return met;
        }
    }
}

async fn pages(store: &SharedStore, name: &str, range: TimeRange, limit: u32) -> Vec<Run> {
    let mut query = SnapshotQuery { from: Some(range.from), to: Some(range.to), limit, ..SnapshotQuery::default() };
    let mut met = Vec::<Run>::new();
    loop {
        let page = store.snapshots(&[id(name)], &query).await.unwrap().pop();
        let SnapshotPage { runs, more } = page.map(|(_, page)| page).unwrap_or_default();
        query.after = runs.last().map(|run| SnapshotKey { first_at: run.first_at, space_type: run.space_type });
        met.extend(runs);
        if !more {
            return met;
        }
    }
}
