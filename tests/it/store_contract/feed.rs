//! The feed of changes.

use jiff::{Timestamp, ToSpan as _};
use quotagraph::quota::{Change, Sample};
use quotagraph::store::{FeedBounds, RecordedChange, SharedStore};

use super::{Home, answer, at, failed, id, run, seen};

contract![
    each_change_of_the_newest_answer_goes_to_the_feed,
    what_is_late_equal_added_or_failed_does_not,
    a_late_sample_that_ends_a_type_earlier_does_not,
    a_type_that_comes_or_goes_goes_to_the_feed,
    places_are_in_the_order_of_recording,
    concurrent_batches_never_add_before_what_was_read,
    the_feed_of_some_tenants_is_a_part_of_it,
    old_changes_are_removed_but_never_the_newest,
    whoever_records_a_change_marks_the_signal,
    what_another_store_records_is_heard,
];

async fn feed(store: &SharedStore) -> Vec<RecordedChange> {
    store.changes_after(Timestamp::MIN, None, 1000).await.unwrap()
}

fn micros_after(seconds: i64, micros: i64) -> Timestamp {
    at(seconds) + micros.microseconds()
}

type Values<'a> = &'a [(i32, i64, i64)];

fn change(tenant: &str, place: Timestamp, before: Option<(i64, Values<'_>)>, after: (i64, Values<'_>)) -> RecordedChange {
    let before = before.map(|(seconds, values)| answer(seconds, values));
    RecordedChange { recorded_at: place, tenant: id(tenant), change: Change { before, after: answer(after.0, after.1) } }
}

async fn each_change_of_the_newest_answer_goes_to_the_feed(home: Home) {
    let store = home.open_with(&["acme"]).await;
    assert_eq!((feed(&store).await, store.feed_bounds().await.unwrap()), (Vec::new(), None));
    let (five, six): (Values<'_>, Values<'_>) = (&[(0, 5, 1000)], &[(0, 6, i64::MAX)]);
    store.record(&[seen("acme", 0, five)]).await.unwrap();
    store.record(&[seen("acme", 300, five)]).await.unwrap();
    store.record(&[seen("acme", 600, six), seen("acme", 900, five)]).await.unwrap();
    let expected = [
        change("acme", at(0), None, (0, five)),
        change("acme", at(600), Some((300, five)), (600, six)),
        change("acme", at(900), Some((600, six)), (900, five)),
    ];
    assert_eq!(feed(&store).await, expected);
    assert_eq!(store.changes_after(at(0), None, 1).await.unwrap(), expected[1..2]);
    assert_eq!(store.changes_after(at(600) + 1.nanosecond(), None, 9).await.unwrap(), expected[2..]);
    assert_eq!(store.changes_after(Timestamp::MAX, None, 9).await.unwrap(), []);
    assert_eq!(store.feed_bounds().await.unwrap(), Some(FeedBounds { oldest: at(0), newest: at(900) }));
}

async fn what_is_late_equal_added_or_failed_does_not(home: Home) {
    let store = home.open_with(&["acme", "bolt"]).await;
    store.insert_runs(&id("acme"), &[run(0, -900, -600, 2, 4)]).await.unwrap();
    store.record(&[seen("acme", 300, &[(0, 5, 1000)])]).await.unwrap();
    let before = feed(&store).await;
    assert_eq!(before, [change("acme", at(300), Some((-600, &[(0, 4, 1000)])), (300, &[(0, 5, 1000)]))]);
    for none in [
        seen("acme", 0, &[(0, 7, 1000)]),
        seen("acme", 300, &[(0, 7, 1000)]),
        seen("acme", 600, &[(0, 5, 1000)]),
        failed("acme", 900, "UPSTREAM_UNAVAILABLE"),
        seen("bolt", 900, &[]),
        seen("nobody", 900, &[(0, 1, 1)]),
    ] {
        store.record(&[none]).await.unwrap();
    }
    store.insert_runs(&id("acme"), &[run(0, 3000, 3000, 1, 8)]).await.unwrap();
    // A gap and another interval start runs, but change nothing.
    let slower = Sample { allocation: answer(3300, &[(0, 8, 1000)]), interval_s: 600 };
    store.record(&[quotagraph::store::Observation { outcome: Ok(slower), ..seen("acme", 3300, &[]) }]).await.unwrap();
    assert_eq!(feed(&store).await, before);
}

/// What is at hand beside a late sample is its neighbourhood, whose newest instant may be one that the sample itself moves.
async fn a_late_sample_that_ends_a_type_earlier_does_not(home: Home) {
    let store = home.open_with(&["acme"]).await;
    for (seconds, values) in [(600, &[(0, 1, 9)][..]), (0, &[(1, 2, 9)]), (900, &[(0, 3, 9)])] {
        store.record(&[seen("acme", seconds, values)]).await.unwrap();
    }
    let before = feed(&store).await;
    assert_eq!(before.last().unwrap().change.after.observed_at(), at(900));
    store.record(&[seen("acme", 300, &[])]).await.unwrap();
    assert_eq!(feed(&store).await, before);
}

async fn a_type_that_comes_or_goes_goes_to_the_feed(home: Home) {
    let store = home.open_with(&["acme"]).await;
    let answers: [Values<'_>; 4] = [&[(1, 2, 9)], &[(0, 1, 9), (1, 2, 9)], &[], &[(0, 1, 9)]];
    let mut expected = Vec::new();
    let mut before = None;
    for (seconds, values) in (0..).step_by(300).zip(answers) {
        store.record(&[seen("acme", seconds, values)]).await.unwrap();
        expected.push(change("acme", at(seconds), before, (seconds, values)));
        before = Some((seconds, values));
    }
    assert_eq!(feed(&store).await, expected);
}

async fn places_are_in_the_order_of_recording(home: Home) {
    let store = home.open_with(&["acme", "bolt", "core"]).await;
    let five: Values<'_> = &[(0, 5, 1000)];
    store.record(&[seen("core", 600, five), seen("acme", 600, five), seen("bolt", 300, five)]).await.unwrap();
    // Observed before what is recorded already, but its tenant's newest answer.
    store.record(&[seen("bolt", 500, &[(0, 6, 1000)])]).await.unwrap();
    let expected = [
        change("bolt", at(300), None, (300, five)),
        change("acme", at(600), None, (600, five)),
        change("core", micros_after(600, 1), None, (600, five)),
        change("bolt", micros_after(600, 2), Some((300, five)), (500, &[(0, 6, 1000)])),
    ];
    assert_eq!(feed(&store).await, expected);
}

async fn concurrent_batches_never_add_before_what_was_read(home: Home) {
    let tenants: Vec<_> = (0..8).map(|i| format!("t{i}")).collect();
    let store = home.open_with(&tenants.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let record = |tenant: String| {
        let store = store.clone();
        async move {
            for round in 0..10 {
                store.record(&[seen(&tenant, round * 300, &[(0, round, 1000)])]).await.unwrap();
            }
        }
    };
    let writing = futures_util::future::join_all(tenants.into_iter().map(|tenant| tokio::spawn(record(tenant))));
    let reading = async {
        let mut read: Vec<RecordedChange> = Vec::new();
        while read.len() < 80 {
            let last = read.last().map_or(Timestamp::MIN, |change| change.recorded_at);
            read.extend(store.changes_after(last, None, 7).await.unwrap());
        }
        read
    };
    let (_, read) = tokio::join!(writing, crate::support::process::patiently("all changes", reading));
    assert_eq!(feed(&store).await, read);
}

async fn the_feed_of_some_tenants_is_a_part_of_it(home: Home) {
    let store = home.open_with(&["acme", "bolt", "core"]).await;
    for (seconds, tenant) in (0..).step_by(300).zip(["acme", "bolt", "core", "bolt"]) {
        store.record(&[seen(tenant, seconds, &[(0, seconds, 1000)])]).await.unwrap();
    }
    let all = feed(&store).await;
    for wanted in [&["bolt"][..], &["core", "acme"], &["nobody"], &[]] {
        let ids: Vec<_> = wanted.iter().map(|tenant| id(tenant)).collect();
        let expected: Vec<_> = all.iter().filter(|change| ids.contains(&change.tenant)).cloned().collect();
        assert_eq!(store.changes_after(Timestamp::MIN, Some(&ids), 9).await.unwrap(), expected);
    }
}

async fn old_changes_are_removed_but_never_the_newest(home: Home) {
    let store = home.open_with(&["acme"]).await;
    for round in 0..5 {
        store.record(&[seen("acme", round * 300, &[(0, round, 1000)])]).await.unwrap();
    }
    assert_eq!(store.prune_changes(at(600), 1).await.unwrap(), 1);
    assert_eq!(store.feed_bounds().await.unwrap(), Some(FeedBounds { oldest: at(300), newest: at(1200) }));
    assert_eq!(store.prune_changes(at(600), 9).await.unwrap(), 1);
    assert_eq!(feed(&store).await.len(), 3);
    assert_eq!(store.prune_changes(Timestamp::MAX, 9).await.unwrap(), 2);
    assert_eq!(store.feed_bounds().await.unwrap(), Some(FeedBounds { oldest: at(1200), newest: at(1200) }));
}

async fn whoever_records_a_change_marks_the_signal(home: Home) {
    let store = home.open_with(&["acme"]).await;
    let signal = store.feed_signal();
    for (seconds, value, marked) in [(0, 5, true), (300, 5, false), (600, 6, true)] {
        let mut signal = signal.clone();
        signal.mark_unchanged();
        store.record(&[seen("acme", seconds, &[(0, value, 1000)])]).await.unwrap();
        assert_eq!(signal.has_changed().unwrap(), marked, "at {seconds} s");
    }
}

async fn what_another_store_records_is_heard(home: Home) {
    let (store, other) = (home.open_with(&["acme"]).await, home.open().await);
    let mut signal = store.feed_signal();
    let heard = async {
        if home.is_heard() {
            // The first mark says that it listens now.
            signal.changed().await.unwrap();
        }
        other.record(&[seen("acme", 0, &[(0, 5, 1000)])]).await.unwrap();
        if home.is_heard() {
            signal.changed().await.unwrap();
        }
    };
    tokio::select! {
        ended = store.listen_for_changes() => panic!("{ended:?}"),
        () = crate::support::process::patiently("the mark", heard) => {}
    }
    assert_eq!(feed(&store).await.len(), 1);
}
