//! Usage over time, through GraphQL.

use serde_json::{Value, json};

use crate::support::app::{Database, TestApp, World, tenant};

/// Samples every five minutes from 2026-03-02T12:00Z: an hour of 100 of 1000, half an hour of 200, no answer for an hour, then 400 of 2000
/// for half an hour.
async fn history(database: Database) -> (World, TestApp) {
    let world = World::new(database, vec![tenant("acme", 100, 1000), tenant("other", 7, 70)]).await;
    let app = world.start().await;
    for tick in 0..36 {
        match tick {
            12 => world.set_values("acme", &[(0, 200, 1000)]),
            18 => world.set_behaviour("acme", json!({ "status": 500 })),
            30 => {
                world.set_behaviour("acme", json!({}));
                world.set_values("acme", &[(0, 400, 2000)]);
            }
            _ => {}
        }
        app.handle.collector().collect_due().await.unwrap();
        world.advance_s(300);
    }
    (world, app)
}

async fn points(app: &TestApp, arguments: &str) -> Vec<Value> {
    let fields = "start end complete coverage allocated { average min max first last } total(unit: TB) { average } utilization { average max }";
    let query = format!("{{ tenant(id: \"acme\") {{ usageOverTime({arguments}) {{ points {{ {fields} }} }} }} }}");
    app.data(&query).await["tenant"]["usageOverTime"]["points"].as_array().unwrap().clone()
}

#[tokio::test]
async fn averages_are_weighted_by_time_and_gaps_show_as_coverage_with_both_stores() {
    for database in [Database::sqlite(), Database::postgres().await] {
        let (_world, app) = history(database).await;
        let points = points(&app, "from: \"2026-03-02T12:00:00Z\", to: \"2026-03-02T15:00:00Z\", interval: \"PT1H\"").await;
        assert_eq!(points.len(), 3);
        let measure = |average: f64, min: f64, max: f64, first: f64, last: f64| json!({ "average": average, "min": min, "max": max, "first": first, "last": last });
        assert_eq!(points[0]["allocated"], measure(100.0, 100.0, 100.0, 100.0, 100.0));
        assert_eq!(points[0]["coverage"], 1.0);
        assert_eq!(points[0]["total"]["average"], 1000.0 / 1024.0);
        // 200 from 13:00; the last sample is at 13:25 and holds for 2.5 intervals, until 13:37:30.
        assert_eq!(points[1]["allocated"], measure(200.0, 200.0, 200.0, 200.0, 200.0));
        assert_eq!(points[1]["coverage"], 0.625);
        // 400 of 2000 from 14:30.
        assert_eq!(points[2]["utilization"], json!({ "average": 0.2, "max": 0.2 }));
        assert_eq!(points[2]["coverage"], 0.5);
        assert!(points.iter().all(|point| point["complete"] == true));
        app.stop().await;
    }
}

#[tokio::test]
async fn buckets_follow_the_calendar_of_the_time_zone_and_the_last_one_may_be_unfinished() {
    let (_world, app) = history(Database::sqlite()).await;
    // It is 15:00 in UTC, 20:45 in Kathmandu.
    let points = points(&app, "from: \"2026-03-02T12:00:00Z\", interval: \"P1D\", timeZone: \"Asia/Kathmandu\"").await;
    assert_eq!(points.len(), 1);
    assert_eq!((&points[0]["start"], &points[0]["end"]), (&json!("2026-03-01T18:15:00Z"), &json!("2026-03-02T18:15:00Z")));
    assert_eq!(points[0]["complete"], false);
    // An hour of 100, 37.5 minutes of 200, half an hour of 400: of the 20.75 hours that have passed.
    let average = (60.0 * 100.0 + 37.5 * 200.0 + 30.0 * 400.0) / 127.5;
    assert!((points[0]["allocated"]["average"].as_f64().unwrap() - average).abs() < 1e-9);
    assert!((points[0]["coverage"].as_f64().unwrap() - 127.5 / 1245.0).abs() < 1e-12);
    app.stop().await;
}

#[tokio::test]
async fn a_bucket_without_observations_is_empty_or_carries_the_last_value() {
    let (_world, app) = history(Database::sqlite()).await;
    let range = "from: \"2026-03-02T13:00:00Z\", to: \"2026-03-02T15:00:00Z\", interval: \"PT15M\"";
    let plain = points(&app, range).await;
    let empty: Vec<_> = (0..plain.len()).filter(|i| plain[*i]["allocated"].is_null()).collect();
    assert_eq!(empty, [3, 4, 5]);
    let filled = points(&app, &format!("{range}, fill: LAST")).await;
    for i in empty {
        assert_eq!(filled[i]["allocated"]["average"], 200.0);
        assert_eq!(filled[i]["coverage"], 0.0);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_series_says_what_was_asked_and_how_much_of_it_is_covered() {
    let (_world, app) = history(Database::sqlite()).await;
    let series = app
        .data(
            "{ tenant(id: \"acme\") { usageOverTime(from: \"2026-03-02T13:00:00+01:00\", to: \"2026-03-02T15:00:00Z\", interval: \"PT60M\",
                 timeZone: \"Europe/Berlin\") { from to interval timeZone coverage } } }",
        )
        .await;
    let expected = json!({ "from": "2026-03-02T12:00:00Z", "to": "2026-03-02T15:00:00Z", "interval": "PT1H", "timeZone": "Europe/Berlin",
        "coverage": 127.5 / 180.0 });
    assert_eq!(series["tenant"]["usageOverTime"], expected);
    app.stop().await;
}

#[tokio::test]
async fn the_series_of_many_tenants_are_loaded_together() {
    let (_world, app) = history(Database::postgres().await).await;
    let data = app
        .data(
            "{ tenants { nodes { id usageOverTime(from: \"2026-03-02T12:00:00Z\", to: \"2026-03-02T13:00:00Z\", interval: \"PT1H\") {
                 points { allocated { average } } } } } }",
        )
        .await;
    let averages: Vec<_> = (data["tenants"]["nodes"].as_array().unwrap().iter())
        .map(|node| node["usageOverTime"]["points"][0]["allocated"]["average"].clone())
        .collect();
    assert_eq!(averages, [100.0, 7.0]);
    app.stop().await;
}

#[tokio::test]
async fn wrong_arguments_are_refused_by_name() {
    let (_world, app) = history(Database::sqlite()).await;
    let from = "from: \"2026-03-01T00:00:00Z\"";
    for (arguments, argument) in [
        (format!("{from}, to: \"2026-03-01T00:00:00Z\""), "to"),
        (format!("{from}, to: \"2026-02-01T00:00:00Z\""), "to"),
        ("from: \"2027-01-01T00:00:00Z\"".to_owned(), "from"),
        (format!("{from}, timeZone: \"Mars/Olympus\""), "timeZone"),
        (format!("{from}, interval: \"PT0S\""), "interval"),
        (format!("{from}, interval: \"PT7H\""), "interval"),
        (format!("{from}, interval: \"P1M1D\""), "interval"),
        (format!("{from}, interval: \"-P1D\""), "interval"),
        (format!("{from}, interval: \"day\""), "interval"),
        ("from: \"2020-01-01T00:00:00Z\", interval: \"PT1S\"".to_owned(), "interval"),
    ] {
        let (code, message) =
            app.error(&format!("{{ tenant(id: \"acme\") {{ usageOverTime({arguments}) {{ coverage }} }} }}")).await;
        assert_eq!(code, "BAD_USER_INPUT", "{arguments}");
        assert!(message.starts_with(&format!("{argument}: ")), "{arguments}: {message}");
    }
    let (_, message) = app
        .error("{ tenant(id: \"acme\") { usageOverTime(from: \"2020-01-01T00:00:00Z\", interval: \"PT5M\") { coverage } } }")
        .await;
    assert!(message.contains("at most 10000 points"), "{message}");
    let (code, _) = app.error("{ tenant(id: \"acme\") { usageOverTime(from: \"yesterday\") { coverage } } }").await;
    assert_eq!(code, "BAD_USER_INPUT");
    app.stop().await;
}

#[tokio::test]
async fn exactly_ten_thousand_points_are_given() {
    let (_world, app) = history(Database::sqlite()).await;
    let ask = |to: &str| {
        format!(
            "{{ tenant(id: \"acme\") {{ usageOverTime(from: \"2026-01-01T00:00:00Z\", to: \"{to}\", interval: \"PT5M\") {{ points {{ start }} }} }} }}"
        )
    };
    let data = app.data(&ask("2026-02-04T17:20:00Z")).await;
    assert_eq!(data["tenant"]["usageOverTime"]["points"].as_array().unwrap().len(), 10_000);
    assert_eq!(app.error(&ask("2026-02-04T17:20:01Z")).await.0, "BAD_USER_INPUT");
    app.stop().await;
}

#[tokio::test]
async fn points_read_the_same_whether_fields_are_merged_or_not() {
    let (_world, app) = history(Database::sqlite()).await;
    let measure = "__typename average min max first last mean: average";
    let fields = format!(
        "__typename start until: end complete coverage allocated {{ {measure} }} in_tb: allocated(unit: TB) {{ average }} \
         total(unit: $unit) {{ {measure} }} utilization {{ {measure} }}"
    );
    let ask = async |selection: &str, rest: &str| {
        let range = "from: \"2026-03-02T12:00:00Z\", to: \"2026-03-02T16:00:00Z\", interval: \"PT30M\"";
        let query = format!(
            "query($unit: StorageUnit = MB) {{ tenant(id: \"acme\") {{ usageOverTime({range}) {{ coverage points {{ {selection} }} }} }} }} {rest}"
        );
        let answer = app.ask_with(&query, json!({ "unit": "KB" })).await;
        assert!(answer.get("errors").is_none(), "{answer}");
        answer["data"]["tenant"]["usageOverTime"].clone()
    };
    let plain = ask(&fields, "").await;
    assert_eq!(plain["points"].as_array().unwrap().len(), 8);
    assert_eq!(plain["points"][0]["__typename"], "UsagePoint");
    assert_eq!(plain["points"][0]["total"]["mean"], 1000.0 * 1024.0 * 1024.0);
    assert_eq!(ask("...All", &format!("fragment All on UsagePoint {{ {fields} }}")).await, plain);
    assert_eq!(ask(&format!("{fields} allocated {{ average }} coverage"), "").await, plain);
    let skipped = ask("start coverage @skip(if: true) total(unit: $unit) @include(if: false) { min }", "").await;
    assert_eq!(skipped["points"][0], json!({ "start": "2026-03-02T12:00:00Z" }));
    app.stop().await;
}
