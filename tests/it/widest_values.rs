//! What an upstream with the widest numbers, or with too many of them, does to the service: nothing to anybody else.

use serde_json::{Value, json};

use crate::support::app::{Database, TenantSetup, World, tenant};

const MAX: i64 = i64::MAX;

/// A tenant of a few types with the widest values, and one of usual ones.
fn tenants() -> Vec<TenantSetup> {
    let mut wide = tenant("wide", MAX, MAX);
    wide.labels = vec![("region", "north")];
    let value = wide.values[0];
    wide.values.extend((1..5).map(|space_type| quotagraph::quota::SpaceTypeAllocation { space_type, ..value }));
    vec![wide, tenant("usual", 1, 0)]
}

async fn every_figure_of_the_widest_values_is_answered(database: Database) {
    let world = World::new(database, tenants()).await;
    let app = world.start().await;
    for round in 0..40 {
        assert_eq!(app.collect().await, 2);
        let swing = if round % 2 == 0 { 0 } else { MAX };
        world.set_values("wide", &[(0, swing, MAX), (1, MAX, MAX), (2, MAX, 0), (3, 0, 0), (4, MAX, MAX)]);
        world.advance_s(300);
    }
    let data = app
        .data(
            r#"{ tenants { nodes { id spaceAllocation { allocated total utilization byType { allocated total } } } }
                 fleet { spaceAllocation { allocated total utilization }
                   usageOverTime(from: "2026-03-02T00:00:00Z", interval: "PT5M") { points { allocated { average min max first last } total { max } } }
                   top(by: GROWTH, first: 2) { value tenant { id } }
                   soonest: top(by: SOONEST_FULL, first: 2) { value }
                   groups(label: "region") { value fleet { tenantCount } } }
                 tenant(id: "wide") {
                   usageOverTime(from: "2026-03-02T00:00:00Z", interval: "PT1H") { points { allocated { average max } utilization { average } } }
                   growth(over: "PT2H") { allocatedChange perDay utilizationChange }
                   forecast(horizon: "P30D") { reachesThresholdAt unavailable }
                   snapshots(first: 5) { nodes { allocated total } } } }"#,
        )
        .await;
    let wide = data["tenants"]["nodes"].as_array().unwrap().iter().find(|node| node["id"] == "wide").unwrap();
    let widest = 9_223_372_036_854_775_807_f64;
    assert_eq!(wide["spaceAllocation"]["allocated"].as_f64(), Some(3.0 * widest), "{wide}");
    assert_eq!(wide["spaceAllocation"]["total"].as_f64(), Some(3.0 * widest));
    assert_eq!(data["fleet"]["spaceAllocation"]["allocated"].as_f64(), Some(3.0 * widest + 1.0));
    let points = data["fleet"]["usageOverTime"]["points"].as_array().unwrap();
    let highest = points.iter().filter_map(|point| point["allocated"]["max"].as_f64()).fold(0.0, f64::max);
    assert!((highest - 5.0 * widest).abs() < 1.0, "the first answer had five of them: {highest}");
    assert!(
        points.iter().all(|point| point["allocated"].is_null() || point["allocated"]["average"].as_f64().unwrap() >= 0.0),
        "{points:?}"
    );

    let (status, csv) = app.get("/v1/export/usage?tenant=wide&from=2026-03-02T00:00:00Z&interval=PT1H").await;
    assert!(
        status == 200 && csv.contains(",2.7670116110564327e+19,4.611686018427388e+19,") && !csv.contains(",-"),
        "{status} {csv}"
    );
    let (status, csv) = app.get("/v1/export/snapshots?tenant=wide").await;
    assert!(status == 200 && csv.contains(",9223372036854775807,"), "{status} {csv}");
    app.stop().await;
}

#[tokio::test]
async fn every_figure_of_the_widest_values_is_answered_in_sqlite() {
    every_figure_of_the_widest_values_is_answered(Database::sqlite()).await;
}

#[tokio::test]
async fn every_figure_of_the_widest_values_is_answered_in_postgres() {
    every_figure_of_the_widest_values_is_answered(Database::postgres().await).await;
}

#[tokio::test]
async fn an_answer_of_too_many_types_is_invalid_and_not_recorded() {
    let world = World::new(Database::sqlite(), tenants()).await;
    let many: Vec<_> = (0..18_000).map(|space_type| (space_type, 1, 2)).collect();
    world.set_values("wide", &many);
    let app = world.start().await;
    assert_eq!(app.collect().await, 2);
    let answer = app
        .ask(r#"{ tenant(id: "wide") { spaceAllocation { total } } usual: tenant(id: "usual") { spaceAllocation { allocated } } }"#)
        .await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UPSTREAM_INVALID", "{answer}");
    assert_eq!(answer["data"]["usual"]["spaceAllocation"], json!({ "allocated": 1.0 }));
    let data = app.data(r#"{ tenant(id: "wide") { snapshots(first: 1) { nodes { allocated } } collection { consecutiveFailures lastError { code message } } } }"#).await;
    assert_eq!(data["tenant"]["snapshots"]["nodes"], json!([]));
    let collection: &Value = &data["tenant"]["collection"];
    assert_eq!(collection["consecutiveFailures"], 1);
    assert_eq!(collection["lastError"]["code"], "UPSTREAM_INVALID");
    assert!(collection["lastError"]["message"].as_str().unwrap().contains("is not understood"), "{collection}");
    app.stop().await;
}
