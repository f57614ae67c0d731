//! Growth over a stretch, through GraphQL.

use serde_json::{Value, json};

use crate::support::app::{Database, TestApp, World, tenant};

/// From 2026-03-02T12:00Z: a sample an hour, 100 of 400 for a day, then 150 of 400 in type 0 and 50 of 200 in type 1 for a day.
async fn history(database: Database) -> (World, TestApp) {
    let world = World::new(database, vec![tenant("acme", 100, 400), tenant("other", 7, 70)]).await;
    let app = world.start_with(|config| config.collector.interval = std::time::Duration::from_hours(1)).await;
    for hour in 0..48 {
        if hour == 24 {
            world.set_values("acme", &[(0, 150, 400), (1, 50, 200)]);
        }
        app.collect().await;
        world.advance_s(3600);
    }
    (world, app)
}

const FIELDS: &str = "from to allocatedChange totalChange(unit: TB) perDay utilizationChange utilizationChangeByAllocation
    utilizationChangeByCapacity";

async fn growth(app: &TestApp, arguments: &str) -> Value {
    app.data(&format!("{{ tenant(id: \"acme\") {{ growth{arguments} {{ {FIELDS} }} }} }}")).await["tenant"]["growth"].take()
}

fn number(growth: &Value, field: &str) -> f64 {
    growth[field].as_f64().unwrap()
}

#[tokio::test]
async fn growth_is_from_the_start_of_the_stretch_to_now_with_both_stores() {
    for database in [Database::sqlite(), Database::postgres().await] {
        let (_world, app) = history(database).await;
        let found = growth(&app, "(over: \"PT30H\")").await;
        assert_eq!((&found["from"], &found["to"]), (&json!("2026-03-03T06:00:00Z"), &json!("2026-03-04T12:00:00Z")));
        assert_eq!(found["allocatedChange"], 100.0);
        assert_eq!(found["totalChange"], 200.0 / 1024.0);
        assert!((number(&found, "perDay") - 80.0).abs() < 1e-9);
        let (allocation, capacity) =
            (number(&found, "utilizationChangeByAllocation"), number(&found, "utilizationChangeByCapacity"));
        assert!((allocation - f64::midpoint(0.25, 1.0 / 6.0)).abs() < 1e-9);
        assert!((number(&found, "utilizationChange") - (200.0 / 600.0 - 100.0 / 400.0)).abs() < 1e-9);
        assert!((allocation + capacity - number(&found, "utilizationChange")).abs() < 1e-9);
        app.stop().await;
    }
}

#[tokio::test]
async fn growth_says_from_when_it_is_really_told() {
    let (_world, app) = history(Database::sqlite()).await;
    let found = growth(&app, "").await;
    assert_eq!((&found["from"], &found["allocatedChange"]), (&json!("2026-03-02T12:00:00Z"), &json!(100.0)));
    assert_eq!(found["perDay"], 50.0);
    let found = growth(&app, "(over: \"P1Y\", spaceType: 1)").await;
    assert_eq!((&found["from"], &found["allocatedChange"]), (&json!("2026-03-03T12:00:00Z"), &json!(0.0)));
    app.stop().await;
}

#[tokio::test]
async fn without_observations_in_the_stretch_there_is_no_growth() {
    let (world, app) = history(Database::sqlite()).await;
    assert_eq!(growth(&app, "(spaceType: 9)").await, Value::Null);
    world.advance_s(86_400);
    assert_eq!(growth(&app, "(over: \"PT12H\")").await, Value::Null);
    assert_eq!(growth(&app, "(over: \"P3D\")").await["allocatedChange"], 100.0);
    app.stop().await;
}

#[tokio::test]
async fn without_a_total_utilization_does_not_change() {
    let (world, app) = history(Database::sqlite()).await;
    world.set_values("acme", &[(0, 10, 0)]);
    app.collect().await;
    world.advance_s(3600);
    let found = growth(&app, "(over: \"PT30H\")").await;
    for field in ["utilizationChange", "utilizationChangeByAllocation", "utilizationChangeByCapacity"] {
        assert_eq!(found[field], Value::Null, "{field}");
    }
    assert_eq!(found["allocatedChange"], -90.0);
    app.stop().await;
}

#[tokio::test]
async fn a_list_of_tenants_has_a_growth_each() {
    let (_world, app) = history(Database::postgres().await).await;
    let data = app.data("{ tenants { nodes { growth { allocatedChange } } } }").await;
    let changes: Vec<_> =
        data["tenants"]["nodes"].as_array().unwrap().iter().map(|node| &node["growth"]["allocatedChange"]).collect();
    assert_eq!(changes, [100.0, 0.0]);
    app.stop().await;
}

#[tokio::test]
async fn a_stretch_of_no_length_is_refused_by_name() {
    let (_world, app) = history(Database::sqlite()).await;
    for over in ["PT0S", "P0D", "-P1D", "month"] {
        let (code, message) = app.error(&format!("{{ tenant(id: \"acme\") {{ growth(over: \"{over}\") {{ from }} }} }}")).await;
        assert_eq!(code, "BAD_USER_INPUT", "{over}");
        assert!(message.starts_with("over: "), "{over}: {message}");
    }
    app.stop().await;
}
