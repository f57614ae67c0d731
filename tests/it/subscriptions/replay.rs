//! `since`: what was recorded before, then what comes.

use jiff::{SignedDuration, Timestamp};
use quotagraph::quota::Run;
use serde_json::{Value, json};

use super::{at, changes_of, record, seen, since, told};
use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::subscriber::Socket;

async fn start() -> (World, TestApp) {
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100), tenant("b", 20, 100)]).await;
    let app = world.start().await;
    (world, app)
}

fn run(first_s: i64, last_s: i64, allocated_gb: i64) -> Run {
    let (first_at, last_at) = (at(first_s), at(last_s));
    let samples = (last_s - first_s) / 300 + 1;
    Run { space_type: 0, first_at, last_at, interval_s: 300, samples, allocated_gb, total_gb: 100, ended_at: None }
}

/// Days of runs, each of which holds for six hours, up to the start of the tests.
async fn add_history(app: &TestApp, tenant: &str, days: i64, shift_s: i64) -> Vec<(i64, i64)> {
    let quarter = 6 * 3600;
    let starts: Vec<_> = (1..=days * 4).rev().map(|i| shift_s - i * quarter).collect();
    let runs: Vec<_> = starts.iter().map(|start| run(*start, start + quarter - 300, -start / quarter)).collect();
    app.store.insert_runs(&tenant.parse().unwrap(), &runs).await.unwrap();
    runs.iter().zip(starts).map(|(run, start)| (start, run.allocated_gb)).collect()
}

async fn subscribe(app: &TestApp, query: &str) -> Socket {
    let mut socket = Socket::init(app, json!({})).await;
    socket.subscribe(query).await;
    socket
}

/// The tenant, the new value and the place of the next events.
async fn next(socket: &mut Socket, count: usize) -> Vec<(String, f64, String)> {
    let mut met = Vec::new();
    for _ in 0..count {
        let change = socket.change().await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        assert_eq!(change["after"]["observedAt"], change["recordedAt"]);
        met.push((text(&change["tenant"]["id"]), change["after"]["allocated"].as_f64().unwrap(), text(&change["recordedAt"])));
    }
    met
}

#[tokio::test]
async fn what_was_added_as_a_whole_is_derived_and_what_was_recorded_follows() {
    for recorded in [false, true] {
        let (_world, app) = start().await;
        let history = add_history(&app, "a", 90, 0).await;
        if recorded {
            record(&app, "a", 0, 50).await;
            record(&app, "b", 60, 20).await;
        }
        let yesterday = at(-24 * 3600 - 1).to_string();
        let mut socket = subscribe(&app, &since(&yesterday)).await;
        let last_day = history[history.len() - 4..].iter();
        let expected: Vec<_> =
            last_day.map(|(seconds, value)| ("a".to_owned(), super::float(*value), at(*seconds).to_string())).collect();
        assert_eq!(next(&mut socket, 4).await, expected);
        if recorded {
            assert_eq!(socket.change().await, told("a", Some((-300, 1)), (0, 50)));
            assert_eq!(socket.change().await, told("b", None, (60, 20)));
        }
        record(&app, "a", 900, 51).await;
        assert_eq!(socket.change().await["after"]["allocated"], 51.0);
        drop(socket);
        app.stop().await;
    }
}

#[tokio::test]
async fn everything_ever_is_given_for_an_instant_before_it_in_order_and_once() {
    let (_world, app) = start().await;
    let a = add_history(&app, "a", 30, 0).await;
    let b = add_history(&app, "b", 30, 3600).await;
    record(&app, "a", 7200, 70).await;
    record(&app, "b", 7200, 71).await;
    let mut expected: Vec<_> = [("a", a), ("b", b)]
        .into_iter()
        .flat_map(|(tenant, history)| history.into_iter().map(move |(at, value)| (at, tenant, value)))
        .collect();
    expected.sort_unstable();
    expected.extend([(7200, "a", 70), (7200, "b", 71)]);
    let mut socket = subscribe(&app, &since("1970-01-01T00:00:00Z")).await;
    let met = next(&mut socket, expected.len()).await;
    let shape: Vec<_> = met.iter().map(|(tenant, value, _)| (tenant.as_str(), *value)).collect();
    assert_eq!(shape, expected.iter().map(|(_, tenant, value)| (*tenant, super::float(*value))).collect::<Vec<_>>());
    assert!(met.windows(2).all(|pair| place(&pair[0]) < place(&pair[1])), "places rise");
    drop(socket);
    app.stop().await;
}

fn place(met: &(String, f64, String)) -> Timestamp {
    met.2.parse().unwrap()
}

#[tokio::test]
async fn one_can_go_on_after_any_event_be_it_derived_or_recorded() {
    let (_world, app) = start().await;
    // Both tenants change at the same instants.
    add_history(&app, "a", 3, 0).await;
    add_history(&app, "b", 3, 0).await;
    app.store.record(&[seen("a", 0, 50), seen("b", 0, 50)]).await.unwrap();
    record(&app, "b", 60, 51).await;
    let first = at(-4 * 24 * 3600).to_string();
    let all = next(&mut subscribe(&app, &since(&first)).await, 27).await;
    for (i, (_, _, recorded_at)) in all.iter().enumerate() {
        let mut socket = subscribe(&app, &since(recorded_at)).await;
        assert_eq!(next(&mut socket, all.len() - i - 1).await, all[i + 1..], "after {recorded_at}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_was_pruned_is_derived_from_the_runs() {
    let (_world, app) = start().await;
    for (seconds, tenant, value) in [(0, "a", 1), (300, "b", 2), (600, "a", 3), (900, "b", 4), (1200, "a", 5)] {
        record(&app, tenant, seconds, value).await;
    }
    // Observed early, recorded late: it stays in the feed, and is in the runs, too.
    app.store.record(&[seen("b", 950_000, 6)]).await.unwrap();
    let all = {
        let mut socket = subscribe(&app, &changes_of("(since: \"2026-03-01T00:00:00Z\")")).await;
        let mut all = Vec::new();
        for _ in 0..6 {
            all.push(socket.change().await["after"]["allocated"].as_f64().unwrap());
        }
        all
    };
    assert_eq!(all, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(app.store.prune_changes(at(1200), 100).await.unwrap(), 4);
    let mut socket = subscribe(&app, &changes_of("(since: \"2026-03-01T00:00:00Z\")")).await;
    record(&app, "a", 1500, 7).await;
    let mut met = Vec::new();
    for _ in 0..7 {
        met.push(socket.change().await["after"]["allocated"].as_f64().unwrap());
    }
    met.sort_by(f64::total_cmp);
    assert_eq!(met, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    drop(socket);
    app.stop().await;
}

#[tokio::test]
async fn one_that_is_further_behind_than_memory_reaches_reads_the_store() {
    let (_world, app) = start().await;
    let observations: Vec<_> = (0..3000_i64).map(|i| seen(if i % 3 == 0 { "b" } else { "a" }, i * 1000, i)).collect();
    for batch in observations.chunks(500) {
        app.store.record(batch).await.unwrap();
    }
    for (arguments, count) in [("", 2999), (", tenantId: \"b\"", 999)] {
        let query = changes_of(&format!("(since: \"{}\"{arguments})", at(0)));
        let met = next(&mut subscribe(&app, &query).await, count).await;
        assert!(met.windows(2).all(|pair| place(&pair[0]) < place(&pair[1])));
        assert_eq!(place(&met[count - 1]), at(if count == 2999 { 2999 } else { 2997 }));
    }
    app.stop().await;
}

#[tokio::test]
async fn a_change_that_was_recorded_late_says_when_it_was_observed() {
    let (_world, app) = start().await;
    record(&app, "a", 600, 10).await;
    let mut socket = subscribe(&app, &since(&at(600).to_string())).await;
    record(&app, "b", 300, 20).await;
    let change = socket.change().await;
    assert_eq!(change["after"]["observedAt"], at(300).to_string());
    assert_eq!(change["recordedAt"], (at(600) + SignedDuration::from_micros(1)).to_string());
    drop(socket);
    app.stop().await;
}
