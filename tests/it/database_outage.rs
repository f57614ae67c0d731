//! The database goes away and comes back: portals are answered meanwhile, and nothing that was observed is lost.

use serde_json::{Value, json};

use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::process::until;

const SNAPSHOTS: &str = "{ tenant { snapshots { nodes { allocated observations } } } }";

/// Asks until the history is as expected. The outage's end is noticed by the recorder in its own time.
async fn until_recorded(app: &TestApp, expected: &Value) {
    let is_recorded = async || app.ask(SNAPSHOTS).await["data"]["tenant"]["snapshots"]["nodes"] == *expected;
    until("the recorded history", is_recorded).await;
}

#[tokio::test]
async fn what_is_collected_while_the_database_is_away_is_recorded_when_it_is_back() {
    let (database, way) = Database::cuttable().await;
    let world = World::new(database, vec![tenant("acme", 10, 100)]).await;
    let app = world.start_with(|config| config.collector.enabled = true).await;
    until_recorded(&app, &json!([{ "allocated": 10.0, "observations": 1 }])).await;

    // The tenant is claimed and asked; its answer comes when the database is gone.
    world.set_behaviour("acme", json!({ "delay_ms": 300, "values": [{ "type": 0, "allocated_gb": 11, "total_gb": 100 }] }));
    world.advance_s(300);
    until("the second call", async || world.upstream("acme").hits() >= 2).await;
    way.cut();
    until("a failed attempt to record", async || app.metric("quotagraph_record_failures_total").await > 0).await;
    // The portal is answered with the new value; history says that it cannot.
    let answer = app.data("{ tenant { spaceAllocation { allocated source } } }").await;
    assert_eq!(answer["tenant"]["spaceAllocation"], json!({ "allocated": 11.0, "source": "CACHE" }));
    assert_eq!(app.error(SNAPSHOTS).await.0, "HISTORY_UNAVAILABLE");
    assert_eq!(app.get("/readyz").await.0, 503);
    assert_eq!(app.get("/healthz").await.0, 200);

    way.mend();
    until_recorded(&app, &json!([{ "allocated": 10.0, "observations": 1 }, { "allocated": 11.0, "observations": 1 }])).await;
    assert_eq!(app.get("/readyz").await.0, 200);
    app.stop().await;
}

#[tokio::test]
async fn readers_are_answered_by_the_upstream_while_the_database_is_away_and_their_answers_are_recorded_later() {
    let (database, way) = Database::cuttable().await;
    let world = World::new(database, vec![tenant("acme", 10, 100)]).await;
    let app = world.start().await;
    way.cut();
    let answer = app.data("{ tenant { spaceAllocation { allocated source } } }").await;
    assert_eq!(answer["tenant"]["spaceAllocation"], json!({ "allocated": 10.0, "source": "LIVE" }));
    let (code, _) = app.error("mutation { refreshSpaceAllocation(tenantId: \"acme\") { allocated } }").await;
    assert_eq!(code, "HISTORY_UNAVAILABLE", "a refresh promises a record");
    way.mend();
    until_recorded(&app, &json!([{ "allocated": 10.0, "observations": 1 }])).await;
    app.stop().await;
}

#[tokio::test]
async fn what_is_pending_at_the_end_is_written_if_the_database_comes_back_in_time() {
    let (database, way) = Database::cuttable().await;
    let world = World::new(database, vec![tenant("acme", 10, 100)]).await;
    let app = world.start().await;
    way.cut();
    app.data("{ tenant { spaceAllocation { allocated } } }").await;
    until("a failed attempt to record", async || app.metric("quotagraph_record_failures_total").await > 0).await;
    app.handle.stop();
    way.mend();
    app.stop().await;
    let app = world.start().await;
    until_recorded(&app, &json!([{ "allocated": 10.0, "observations": 1 }])).await;
    app.stop().await;
}
