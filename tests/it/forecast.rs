//! Forecasts, through GraphQL.

use jiff::SignedDuration;
use quotagraph::quota::Run;
use serde_json::{Value, json};

use crate::support::app::{Database, TestApp, World, tenant};

/// A tenant whose history is a run a day, of samples every five minutes: so many days, `allocated` of 1000 each. The last run ends now.
async fn history(database: Database, days: i64, allocated: impl Fn(i64) -> Option<i64>) -> (World, TestApp) {
    let world = World::new(database, vec![tenant("acme", 1, 1000), tenant("new", 1, 1000)]).await;
    let app = world.start().await;
    let runs: Vec<_> = (0..days)
        .filter_map(|day| {
            let last_at = world.now() - SignedDuration::from_hours(24 * (days - 1 - day));
            let (first_at, interval_s, samples) = (last_at - SignedDuration::from_hours(23), 300, 277);
            Some(Run {
                space_type: 0,
                first_at,
                last_at,
                interval_s,
                samples,
                allocated_gb: allocated(day)?,
                total_gb: 1000,
                ended_at: None,
            })
        })
        .collect();
    app.store.insert_runs(&"acme".parse().unwrap(), &runs).await.unwrap();
    world.advance_s(1);
    (world, app)
}

async fn forecast(app: &TestApp, arguments: &str, fields: &str) -> Value {
    app.data(&format!("{{ tenant(id: \"acme\") {{ forecast{arguments} {{ {fields} }} }} }}")).await["tenant"]["forecast"].take()
}

#[tokio::test]
async fn growth_of_two_gb_a_day_is_carried_on_to_the_threshold_with_both_stores() {
    for database in [Database::sqlite(), Database::postgres().await] {
        // 698 GB now.
        let (_world, app) = history(database, 100, |day| Some(500 + 2 * day)).await;
        let fields =
            "unavailable reachesThresholdAt earliest latest method backtestError points { at allocated lower upper(unit: TB) }";
        let found = forecast(&app, "(horizon: \"P60D\", threshold: 0.75)", fields).await;
        assert_eq!(found["unavailable"], Value::Null);
        // It takes 26 days to 750 GB.
        assert!(found["reachesThresholdAt"].as_str().unwrap().starts_with("2026-03-28T"), "{found}");
        assert!(found["earliest"].as_str() <= found["reachesThresholdAt"].as_str());
        assert!(found["latest"].as_str() >= found["reachesThresholdAt"].as_str());
        assert!(found["backtestError"].as_f64().unwrap() < 0.001, "{found}");
        assert!(found["method"].as_str().unwrap().contains("trend"));
        let points = found["points"].as_array().unwrap();
        assert_eq!(
            (points.len(), &points[0]["at"], &points[59]["at"]),
            (60, &json!("2026-03-03T12:00:01Z"), &json!("2026-05-01T12:00:01Z"))
        );
        let last = |field: &str| points[59][field].as_f64().unwrap();
        assert!((last("allocated") - 818.0).abs() < 2.0, "{found}");
        assert!(last("lower") <= last("allocated") && last("allocated") <= 1024.0 * last("upper"));
        app.stop().await;
    }
}

#[tokio::test]
async fn a_threshold_beyond_the_horizon_is_not_reached_and_one_that_is_passed_is_reached_now() {
    let (_world, app) = history(Database::sqlite(), 60, |day| Some(500 + day)).await;
    let fields = "reachesThresholdAt earliest latest";
    let beyond = forecast(&app, "(horizon: \"P1M\")", fields).await;
    assert_eq!(beyond, json!({ "reachesThresholdAt": null, "earliest": null, "latest": null }));
    let now = "2026-03-02T12:00:01Z";
    let passed = forecast(&app, "(horizon: \"P1M\", threshold: 0.5)", fields).await;
    assert_eq!(passed, json!({ "reachesThresholdAt": now, "earliest": now, "latest": now }));
    app.stop().await;
}

#[tokio::test]
async fn a_surer_band_is_wider() {
    // Noise that is not random.
    let (_world, app) = history(Database::sqlite(), 90, |day| Some(500 + (day * 37) % 23)).await;
    let mut widths = Vec::new();
    for confidence in [0.5, 0.8, 0.99] {
        let found = forecast(&app, &format!("(confidence: {confidence}, horizon: \"P30D\")"), "points { lower upper }").await;
        widths.push(found["points"][29]["upper"].as_f64().unwrap() - found["points"][29]["lower"].as_f64().unwrap());
    }
    assert!(widths[0] < widths[1] && widths[1] < widths[2], "{widths:?}");
    app.stop().await;
}

#[tokio::test]
async fn without_enough_to_go_by_the_reason_is_told() {
    let fields = "unavailable reachesThresholdAt earliest latest points { at } method backtestError";
    let nothing = |reason: &str| {
        json!({ "unavailable": reason, "reachesThresholdAt": null, "earliest": null, "latest": null, "points": [], "method": null,
            "backtestError": null })
    };
    let (_world, app) = history(Database::sqlite(), 27, |_| Some(1)).await;
    assert_eq!(forecast(&app, "", fields).await, nothing("TOO_LITTLE_HISTORY"));
    let unknown = app.data(&format!("{{ tenant(id: \"new\") {{ forecast {{ {fields} }} }} }}")).await;
    assert_eq!(unknown["tenant"]["forecast"], nothing("TOO_LITTLE_HISTORY"));
    app.stop().await;

    let (world, app) = history(Database::sqlite(), 60, |day| (!(10..=50).contains(&day)).then_some(1)).await;
    assert_eq!(forecast(&app, "", fields).await, nothing("TOO_MANY_GAPS"));
    world.set_values("acme", &[(0, 1, 0)]);
    app.collect().await;
    world.advance_s(1);
    assert_eq!(forecast(&app, "", fields).await, nothing("NO_CAPACITY"));
    app.stop().await;
}

#[tokio::test]
async fn wrong_arguments_are_refused_by_name() {
    let (_world, app) = history(Database::sqlite(), 40, |_| Some(1)).await;
    for (arguments, argument) in [
        ("horizon: \"PT0S\"", "horizon"),
        ("horizon: \"PT23H\"", "horizon"),
        ("horizon: \"-P1D\"", "horizon"),
        ("horizon: \"P733D\"", "horizon"),
        ("horizon: \"P19998Y\"", "horizon"),
        ("horizon: \"soon\"", "horizon"),
        ("threshold: 0", "threshold"),
        ("threshold: -0.5", "threshold"),
        ("confidence: 0", "confidence"),
        ("confidence: 1", "confidence"),
        ("confidence: 90", "confidence"),
    ] {
        let (code, message) = app.error(&format!("{{ tenant(id: \"acme\") {{ forecast({arguments}) {{ method }} }} }}")).await;
        assert_eq!(code, "BAD_USER_INPUT", "{arguments}");
        assert!(message.starts_with(&format!("{argument}: ")), "{arguments}: {message}");
    }
    let found = forecast(&app, "(horizon: \"P2Y\")", "points { at }").await;
    assert_eq!(found["points"].as_array().unwrap().len(), 731);
    app.stop().await;
}

#[tokio::test]
async fn lists_are_limited_by_what_forecasts_cost() {
    let (_world, app) = history(Database::sqlite(), 40, |_| Some(1)).await;
    app.data("{ tenants(first: 100) { nodes { forecast { reachesThresholdAt } } } }").await;
    let (code, _) = app.error("{ tenants(first: 1000) { nodes { forecast { reachesThresholdAt } } } }").await;
    assert_eq!(code, "QUERY_TOO_COMPLEX");
    app.stop().await;
}
