//! A fault of ours in one task ends neither the task nor the service, and is not silent.

use serde_json::json;

use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::process::until;
use crate::support::subscriber::Events;

async fn restarts(app: &TestApp, task: &str) -> u64 {
    let (_, text) = app.get("/metrics").await;
    let line = format!("quotagraph_task_restarts_total{{task=\"{task}\"}} ");
    text.lines().find_map(|found| found.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
}

async fn two_tenants() -> World {
    World::new(Database::sqlite(), vec![tenant("acme", 10, 100), tenant("bolt", 20, 100)]).await
}

#[tokio::test]
async fn a_collector_that_panics_is_started_again_and_not_ready_until_it_is_well() {
    let world = two_tenants().await;
    let (app, store) = world.start_on_faulty(|config| config.collector.enabled = true).await;
    until("the first answers", async || world.simulator.hits() >= 2).await;
    store.break_down("claim_due", 1);
    until("a restart", async || restarts(&app, "collector").await + restarts(&app, "collector_of_failing").await == 1).await;
    let (status, report) = app.get("/readyz").await;
    assert!(status == 503 && report.contains("the task collector"), "{status} {report}");
    assert_eq!(app.get("/healthz").await.0, 200);
    world.advance_s(300);
    until("the next answers", async || world.simulator.hits() >= 4).await;
    app.stop().await;
}

#[tokio::test]
async fn housekeeping_that_panics_is_tried_again_and_shown_while_everything_is_served() {
    let world = two_tenants().await;
    let (app, _store) = world
        .start_on_breaking(&[("pack_fleet", 2), ("retention_due", 1), ("prune_changes", 1), ("listen_for_changes", 1)], |config| {
            config.retention.keep_for = Some(std::time::Duration::from_hours(24 * 400));
        })
        .await;
    for (task, times) in [("packing", 2), ("retention", 1), ("feed_pruning", 1), ("feed_listening", 1)] {
        until(task, async || restarts(&app, task).await == times).await;
    }
    let (status, report) = app.get("/readyz").await;
    assert_eq!(status, 200, "it can do its work: {report}");
    for task in ["packing", "retention", "feed_pruning", "feed_listening"] {
        assert!(report.contains(&format!("the task {task} failed")), "{task} is missing in {report}");
    }
    assert!(report.contains("\"tasks\":{\"ok\":false"), "{report}");
    app.stop().await;
}

#[tokio::test]
async fn a_feed_that_panics_goes_on_and_loses_no_event() {
    let world = two_tenants().await;
    let (app, store) = world.start_on_faulty(|_| {}).await;
    let query = "subscription { spaceAllocationChanged { tenant { id } after { allocated } } }";
    let mut events = Events::subscribe(&app, query, &[]).await;
    store.break_down("changes_after", 2);
    until("two restarts", async || restarts(&app, "feed").await == 2).await;
    app.data("mutation { refreshSpaceAllocation(tenantId: \"bolt\") { allocated } }").await;
    assert_eq!(events.change().await, json!({ "tenant": { "id": "bolt" }, "after": { "allocated": 20.0 } }));
    app.stop().await;
}

#[tokio::test]
async fn one_observation_that_cannot_be_recorded_keeps_no_other_from_being_recorded() {
    let world = two_tenants().await;
    let (app, store) = world.start_on_faulty(|config| config.collector.enabled = true).await;
    until("the first samples", async || app.metric("quotagraph_recorded_samples_total").await > 0 && world.simulator.hits() >= 2)
        .await;
    store.poison("acme");
    world.set_values("bolt", &[(0, 21, 100)]);
    world.advance_s(300);
    until("bolt's sample", async || {
        let data = app.data("{ tenant(id: \"bolt\") { snapshots(last: 1) { nodes { allocated } } } }").await;
        data["tenant"]["snapshots"]["nodes"][0]["allocated"] == json!(21.0)
    })
    .await;
    until("acme's sample given up", async || restarts(&app, "recorder").await > 0).await;
    // Who waits for a record is told that there is none.
    let (code, _) = app.error("mutation { refreshSpaceAllocation(tenantId: \"acme\") { allocated } }").await;
    assert_eq!(code, "HISTORY_UNAVAILABLE");
    app.stop().await;
}

#[tokio::test]
async fn readers_of_a_load_that_panics_are_told_of_a_fault_and_the_next_ones_are_answered() {
    let world = two_tenants().await;
    let (app, store) = world.start_on_faulty(|_| {}).await;
    for (method, query) in [
        ("latest", "{ tenant(id: \"acme\") { spaceAllocation { allocated } } }"),
        ("snapshots", "{ tenant(id: \"acme\") { snapshots { nodes { allocated } } } }"),
        ("collection_status", "{ tenant(id: \"acme\") { collection { consecutiveFailures } } }"),
        ("fleet_tenants", "{ fleet { usageOverTime(from: \"2026-03-01T00:00:00Z\") { coverage } } }"),
    ] {
        store.break_down(method, 1);
        let answer = app.ask(query).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "INTERNAL", "{method}: {answer}");
        app.data(query).await;
    }
    app.stop().await;
}
