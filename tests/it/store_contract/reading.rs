//! Reading ranges and the newest answers.

use jiff::SignedDuration;
use quotagraph::quota::TimeRange;

use super::{Home, answer, at, history, id, run, runs_in, seen};

contract![
    a_range_has_the_runs_in_it_and_the_newest_before,
    a_range_of_one_type_has_only_that_type,
    a_range_is_exact_below_the_millisecond,
    several_tenants_are_read_at_once,
    the_newest_answer_is_that_of_the_newest_sample,
    a_late_sample_is_not_the_newest_answer,
    a_type_that_ended_is_not_in_the_newest_answer,
    the_newest_answer_may_list_nothing,
    tenants_without_history_have_no_answer,
];

fn range(from_s: i64, to_s: i64) -> TimeRange {
    TimeRange { from: at(from_s), to: at(to_s) }
}

async fn a_range_has_the_runs_in_it_and_the_newest_before(home: Home) {
    let store = home.open_with(&["acme"]).await;
    let all = [run(0, 0, 300, 2, 1), run(0, 600, 900, 2, 2), run(0, 1200, 1500, 2, 3), run(0, 1800, 2100, 2, 4)];
    store.insert_runs(&id("acme"), &all).await.unwrap();
    for (from, to, expected) in [
        (0, 5000, &all[..]),
        (-100, 0, &all[..0]),
        (-100, 1, &all[..1]),
        (650, 700, &all[1..2]),
        (600, 1200, &all[..2]),
        (601, 1201, &all[1..3]),
        (1000, 1100, &all[1..2]),
        (1800, 1800, &all[2..3]),
        (9000, 9999, &all[3..]),
    ] {
        assert_eq!(runs_in(&store, "acme", range(from, to)).await, expected, "{from} to {to}");
    }
}

async fn a_range_of_one_type_has_only_that_type(home: Home) {
    let store = home.open_with(&["acme"]).await;
    store.insert_runs(&id("acme"), &[run(0, 0, 300, 2, 1), run(1, 0, 300, 2, 2)]).await.unwrap();
    let found = store.runs(&[id("acme")], range(0, 300), Some(1)).await.unwrap();
    assert_eq!(found, [(id("acme"), vec![run(1, 0, 300, 2, 2)])]);
    assert_eq!(store.runs(&[id("acme")], range(0, 300), Some(2)).await.unwrap(), []);
}

async fn a_range_is_exact_below_the_millisecond(home: Home) {
    let store = home.open_with(&["acme"]).await;
    store.insert_runs(&id("acme"), &[run(0, 0, 0, 1, 1), run(0, 300, 300, 1, 2), run(0, 600, 600, 1, 3)]).await.unwrap();
    let nanosecond = SignedDuration::from_nanos(1);
    let just_after = TimeRange { from: at(300) + nanosecond, to: at(600) + nanosecond };
    assert_eq!(runs_in(&store, "acme", just_after).await, [run(0, 300, 300, 1, 2), run(0, 600, 600, 1, 3)]);
    let just_before = TimeRange { from: at(300) - nanosecond, to: at(600) - nanosecond };
    assert_eq!(runs_in(&store, "acme", just_before).await, [run(0, 0, 0, 1, 1), run(0, 300, 300, 1, 2)]);
}

async fn several_tenants_are_read_at_once(home: Home) {
    let store = home.open_with(&["a", "b", "c", "empty"]).await;
    for (tenant, value) in [("a", 1), ("b", 2), ("c", 3)] {
        store.record(&[seen(tenant, 0, &[(0, value, 1000)])]).await.unwrap();
    }
    let asked = ["c", "nobody", "empty", "a"].map(id);
    let mut runs = store.runs(&asked, range(0, 300), None).await.unwrap();
    runs.sort_by(|x, y| x.0.cmp(&y.0));
    assert_eq!(runs, [(id("a"), vec![run(0, 0, 0, 1, 1)]), (id("c"), vec![run(0, 0, 0, 1, 3)])]);
    let mut latest = store.latest(&asked).await.unwrap();
    latest.sort_by(|x, y| x.0.cmp(&y.0));
    assert_eq!(latest, [(id("a"), answer(0, &[(0, 1, 1000)])), (id("c"), answer(0, &[(0, 3, 1000)]))]);
}

async fn the_newest_answer_is_that_of_the_newest_sample(home: Home) {
    let store = home.open_with(&["acme"]).await;
    store.record(&[seen("acme", 0, &[(0, 1, 1000), (1, 2, 500)])]).await.unwrap();
    store.record(&[seen("acme", 300, &[(0, 1, 1000), (1, 3, 500)])]).await.unwrap();
    assert_eq!(newest(&store).await, answer(300, &[(0, 1, 1000), (1, 3, 500)]));
}

async fn a_late_sample_is_not_the_newest_answer(home: Home) {
    let store = home.open_with(&["acme"]).await;
    store.record(&[seen("acme", 300, &[(0, 1, 1000)])]).await.unwrap();
    store.record(&[seen("acme", 0, &[(0, 2, 1000), (1, 3, 500)])]).await.unwrap();
    assert_eq!(newest(&store).await, answer(300, &[(0, 1, 1000)]));
}

async fn a_type_that_ended_is_not_in_the_newest_answer(home: Home) {
    let store = home.open_with(&["acme"]).await;
    store.record(&[seen("acme", 0, &[(0, 1, 1000), (1, 2, 500)])]).await.unwrap();
    store.record(&[seen("acme", 300, &[(1, 2, 500)])]).await.unwrap();
    assert_eq!(newest(&store).await, answer(300, &[(1, 2, 500)]));
}

async fn the_newest_answer_may_list_nothing(home: Home) {
    let store = home.open_with(&["acme"]).await;
    store.record(&[seen("acme", 0, &[(0, 1, 1000), (1, 2, 500)])]).await.unwrap();
    store.record(&[seen("acme", 300, &[])]).await.unwrap();
    assert_eq!(newest(&store).await, answer(300, &[]));
}

async fn tenants_without_history_have_no_answer(home: Home) {
    let store = home.open_with(&["acme"]).await;
    assert_eq!(store.latest(&[id("acme"), id("nobody")]).await.unwrap(), []);
    assert_eq!(store.latest(&[]).await.unwrap(), []);
    assert_eq!(history(&store, "nobody").await, []);
}

async fn newest(store: &super::SharedStore) -> quotagraph::quota::SpaceAllocation {
    let mut found = store.latest(&[id("acme")]).await.unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0).1
}
