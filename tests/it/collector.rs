//! The collector: schedule, records, failures, replicas.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::process::until;

async fn snapshots(app: &TestApp, id: &str) -> Value {
    let fields = "spaceType allocated total observations firstObservedAt lastObservedAt";
    let data = app.data(&format!("{{ tenant(id: \"{id}\") {{ snapshots {{ nodes {{ {fields} }} }} }} }}")).await;
    data["tenant"]["snapshots"]["nodes"].clone()
}

async fn collection(app: &TestApp, id: &str) -> Value {
    let fields = "lastAttemptAt lastSuccessAt nextAttemptAt consecutiveFailures lastError { code message at }";
    app.data(&format!("{{ tenant(id: \"{id}\") {{ collection {{ {fields} }} }} }}")).await["tenant"]["collection"].clone()
}

fn instant(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// Moves the clock to the tenant's next slot and collects.
async fn collect_next(world: &World, app: &TestApp, id: &str) {
    let next = instant(&collection(app, id).await["nextAttemptAt"]);
    world.clock.set(next);
    assert!(app.collect().await > 0);
}

async fn equal_samples_become_one_run_and_changes_start_the_next(database: Database) {
    let world = World::new(database, vec![tenant("acme", 10, 100)]).await;
    let app = world.start().await;
    app.collect().await;
    let first = world.now();
    for _ in 0..3 {
        collect_next(&world, &app, "acme").await;
    }
    let unchanged = world.now();
    world.set_values("acme", &[(0, 11, 100)]);
    collect_next(&world, &app, "acme").await;
    let changed = world.now();
    assert_eq!(
        snapshots(&app, "acme").await,
        json!([
            { "spaceType": 0, "allocated": 10.0, "total": 100.0, "observations": 4,
              "firstObservedAt": first.to_string(), "lastObservedAt": unchanged.to_string() },
            { "spaceType": 0, "allocated": 11.0, "total": 100.0, "observations": 1,
              "firstObservedAt": changed.to_string(), "lastObservedAt": changed.to_string() },
        ])
    );
    app.stop().await;
}

#[tokio::test]
async fn equal_samples_become_one_run_and_changes_start_the_next_with_sqlite() {
    equal_samples_become_one_run_and_changes_start_the_next(Database::sqlite()).await;
}

#[tokio::test]
async fn equal_samples_become_one_run_and_changes_start_the_next_with_postgres() {
    equal_samples_become_one_run_and_changes_start_the_next(Database::postgres().await).await;
}

#[tokio::test]
async fn a_collected_value_is_in_the_cache_at_once() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 100)]).await;
    let app = world.start().await;
    app.collect().await;
    let answer = app.data("{ tenant { spaceAllocation { allocated source } } }").await;
    assert_eq!(answer["tenant"]["spaceAllocation"], json!({ "allocated": 10.0, "source": "CACHE" }));
    assert_eq!(world.upstream("acme").hits(), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_failure_is_recorded_and_leaves_a_gap() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 100)]).await;
    let app = world.start().await;
    app.collect().await;
    let success = world.now();
    world.set_behaviour("acme", json!({ "code": 13_000_301 }));
    for _ in 0..3 {
        collect_next(&world, &app, "acme").await;
    }
    let status = collection(&app, "acme").await;
    assert_eq!(status["consecutiveFailures"], 3);
    assert_eq!(status["lastSuccessAt"], success.to_string());
    assert_eq!(status["lastAttemptAt"], world.now().to_string());
    let error =
        json!({ "code": "UPSTREAM_REJECTED", "message": "KooDrive reported an error (13000301).", "at": world.now().to_string() });
    assert_eq!(status["lastError"], error);

    world.set_behaviour("acme", json!({}));
    collect_next(&world, &app, "acme").await;
    let status = collection(&app, "acme").await;
    assert_eq!((&status["consecutiveFailures"], &status["lastError"]), (&json!(0), &error), "the last error stays to be read");
    let runs = snapshots(&app, "acme").await;
    assert_eq!(runs.as_array().unwrap().len(), 2, "the gap is longer than 2.5 intervals, so it shows");
    app.stop().await;
}

#[tokio::test]
async fn a_type_that_is_no_longer_listed_stops_to_count() {
    let world = World::new(Database::postgres().await, vec![tenant("acme", 10, 100)]).await;
    let app = world.start().await;
    world.set_values("acme", &[(0, 10, 100), (1, 5, 50)]);
    app.collect().await;
    world.set_values("acme", &[(0, 10, 100)]);
    collect_next(&world, &app, "acme").await;
    app.stop().await;
    let app = world.start().await;
    let answer = app.data("{ tenant { spaceAllocation { allocated byType { spaceType } } } }").await;
    assert_eq!(answer["tenant"]["spaceAllocation"], json!({ "allocated": 10.0, "byType": [{ "spaceType": 0 }] }));
    app.stop().await;
}

#[tokio::test]
async fn tenants_are_asked_once_an_interval_at_slots_that_are_spread_over_it() {
    let tenants = (0..60).map(|i| tenant(&format!("t{i}"), 1, 2)).collect();
    let world = World::new(Database::sqlite(), tenants).await;
    let app = world.start().await;
    assert_eq!(app.collect().await, 60, "new tenants are due at once");
    assert_eq!(app.collect().await, 0);
    let mut busiest = 0;
    let mut asked = 0;
    for _ in 0..60 {
        world.advance_s(5);
        let now = app.collect().await;
        busiest = busiest.max(now);
        asked += now;
    }
    assert_eq!(asked, 60, "each once in the 300 s that follow");
    assert!(busiest <= 3, "{busiest} tenants in one of 60 equal parts of the interval");
    app.stop().await;
}

#[tokio::test]
async fn slots_that_were_missed_are_skipped_and_not_bunched() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 100)]).await;
    let app = world.start().await;
    app.collect().await;
    let next = instant(&collection(&app, "acme").await["nextAttemptAt"]);
    world.clock.set(next + SignedDuration::from_secs(7 * 300 + 40));
    assert_eq!(app.collect().await, 1);
    assert_eq!(app.collect().await, 0);
    assert_eq!(
        instant(&collection(&app, "acme").await["nextAttemptAt"]),
        next + SignedDuration::from_secs(8 * 300),
        "the slots stay"
    );
    app.stop().await;
}

#[tokio::test]
async fn two_replicas_ask_each_tenant_once() {
    let tenants: Vec<_> = (0..200).map(|i| tenant(&format!("t{i}"), 1, 2)).collect();
    let world = World::new(Database::postgres().await, tenants).await;
    let (one, other) = (world.start().await, world.start().await);
    let (a, b) = tokio::join!(one.collect(), other.collect());
    assert_eq!(a + b, 200);
    let hits: HashSet<u64> = (0..200).map(|i| world.upstream(&format!("t{i}")).hits()).collect();
    assert_eq!(hits, HashSet::from([1]));
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn tenants_that_hang_delay_nobody() {
    // As many as can be asked at once hang for far longer than the test takes.
    let tenants = (0..40).map(|i| tenant(&format!("t{i:02}"), 1, 2)).collect();
    let world = World::new(Database::sqlite(), tenants).await;
    let app = world.start_with(|config| config.collector.concurrency = 8).await;
    for i in 0..8 {
        world.set_behaviour(&format!("t{i:02}"), json!({ "status": 503 }));
    }
    app.collect().await;
    app.stop().await;

    for i in 0..8 {
        world.set_behaviour(&format!("t{i:02}"), json!({ "delay_ms": 600_000 }));
    }
    world.advance_s(300);
    let app = world
        .start_with(|config| {
            config.collector.concurrency = 8;
            config.collector.enabled = true;
            config.server.shutdown_timeout = std::time::Duration::from_millis(500);
        })
        .await;
    let healthy = || (8..40).map(|i| world.upstream(&format!("t{i:02}")).hits()).sum::<u64>();
    until("two rounds of the healthy tenants", async || healthy() >= 64).await;
    app.handle.stop();
}

/// Tenants that hang when they are asked, and never answered before.
fn hanging(world: &World, numbers: std::ops::Range<usize>) {
    for i in numbers {
        world.set_behaviour(&format!("t{i:02}"), json!({ "delay_ms": 600_000 }));
    }
}

fn collecting(config: &mut quotagraph::config::Config) {
    config.collector.concurrency = 8;
    config.collector.enabled = true;
    config.server.shutdown_timeout = std::time::Duration::from_millis(500);
    // Longer than the test takes.
    config.upstream.attempt_timeout = std::time::Duration::from_mins(10);
    config.upstream.total_timeout = std::time::Duration::from_mins(10);
}

async fn a_tenant_that_failed_once_is_asked_before_those_that_hang(database: Database) {
    let tenants = (0..41).map(|i| tenant(&format!("t{i:02}"), 1, 2)).collect();
    let world = World::new(database, tenants).await;
    let app = world.start().await;
    for i in 0..40 {
        world.set_behaviour(&format!("t{i:02}"), json!({ "status": 401 }));
    }
    app.collect().await;
    world.set_behaviour("t40", json!({ "status": 401 }));
    collect_next(&world, &app, "t40").await;
    app.stop().await;

    world.set_behaviour("t40", json!({}));
    hanging(&world, 0..40);
    world.advance_s(300);
    let before = world.upstream("t40").hits();
    let app = world.start_with(collecting).await;
    until("an answer of the tenant that failed once", async || world.upstream("t40").hits() > before).await;
    app.handle.stop();
}

#[tokio::test]
async fn a_tenant_that_failed_once_is_asked_before_those_that_hang_with_sqlite() {
    a_tenant_that_failed_once_is_asked_before_those_that_hang(Database::sqlite()).await;
}

#[tokio::test]
async fn a_tenant_that_failed_once_is_asked_before_those_that_hang_with_postgres() {
    a_tenant_that_failed_once_is_asked_before_those_that_hang(Database::postgres().await).await;
}

#[tokio::test]
async fn new_tenants_that_hang_delay_nobody() {
    let tenants = (0..44).map(|i| tenant(&format!("t{i:02}"), 1, 2)).collect();
    let world = World::new(Database::sqlite(), tenants).await;
    let watched = |from: usize| world.tenants[from..].iter().map(|tenant| tenant.watched(&world.simulator)).collect::<Vec<_>>();
    let app = world.start_watching(watched(40), |_| {}).await;
    app.collect().await;
    app.stop().await;

    hanging(&world, 0..40);
    let app = world.start_watching(watched(0), collecting).await;
    let asked_new = || (0..40).map(|i| world.upstream(&format!("t{i:02}")).hits()).sum::<u64>();
    until("the new ones hang", async || asked_new() >= 6).await;
    let world = &world;
    let is_asked = async |id: &str| instant(&collection(&app, id).await["nextAttemptAt"]) > world.now();
    for _ in 0..3 {
        world.advance_s(300);
        for id in ["t40", "t41", "t42", "t43"] {
            until("a round of those that answer", async || is_asked(id).await).await;
        }
    }
    app.handle.stop();
}

#[tokio::test]
async fn a_tenant_that_leaves_is_asked_no_more_and_keeps_its_history() {
    let world = World::new(Database::sqlite(), vec![tenant("a", 1, 2), tenant("b", 3, 4)]).await;
    let app = world.start().await;
    app.collect().await;
    app.handle.replace_tenants(vec![world.tenants[1].watched(&world.simulator)]).await.unwrap();
    world.advance_s(600);
    assert_eq!(app.collect().await, 1);
    assert_eq!(world.upstream("a").hits(), 1);
    assert_eq!(
        app.data("{ tenant(id: \"a\") { id } tenants { totalCount } }").await,
        json!({ "tenant": null, "tenants": { "totalCount": 1 } })
    );
    let both = world.tenants.iter().map(|tenant| tenant.watched(&world.simulator)).collect();
    app.handle.replace_tenants(both).await.unwrap();
    assert_eq!(snapshots(&app, "a").await.as_array().unwrap().len(), 1);
    app.stop().await;
}
