//! The three formats and GraphQL say the same, cell for cell.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use quotagraph::export::{Column, SNAPSHOT_COLUMNS, USAGE_COLUMNS};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::histories::{chance, random_samples, runs_of};
use crate::support::table::read_table;

const TENANTS: [&str; 3] = ["acme", "bolt", "zero"];

/// Two tenants with some three weeks of history before now, and one without any.
async fn start(database: Database, chance: &mut StdRng) -> (World, TestApp) {
    let world = World::new(database, TENANTS.map(|id| tenant(id, 1, 2)).to_vec()).await;
    let app = world.start().await;
    for id in &TENANTS[..2] {
        let samples = random_samples(chance, world.now() - SignedDuration::from_hours(400), 300);
        app.store.insert_runs(&id.parse().unwrap(), &runs_of(&samples)).await.unwrap();
    }
    (world, app)
}

async fn export(app: &TestApp, kind: &str, query: &[(&str, &str)], columns: &[Column]) -> Vec<Vec<Value>> {
    let mut tables = Vec::new();
    for format in ["csv", "ndjson", "parquet"] {
        let mut query = query.to_vec();
        query.push(("format", format));
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let response = app.client.get(format!("{}/v1/export/{kind}?{query}", app.base)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{query}");
        tables.push(read_table(format, columns, &response.bytes().await.unwrap()));
    }
    assert_eq!(tables[0], tables[1], "{query:?}");
    assert_eq!(tables[0], tables[2], "{query:?}");
    tables.swap_remove(0)
}

fn pick<'a>(chance: &mut StdRng, from: &[&'a str]) -> &'a str {
    from[chance.random_range(0..from.len())]
}

fn random_instant(chance: &mut StdRng, around: Timestamp) -> String {
    (around - SignedDuration::from_secs(chance.random_range(0..1_500_000))).to_string()
}

#[tokio::test]
async fn usage_says_what_graphql_says_in_every_format() {
    for (seed, database) in [(1, Database::sqlite()), (2, Database::postgres().await)] {
        let mut chance = chance(seed);
        let (world, app) = start(database, &mut chance).await;
        let mut values = 0;
        for _ in 0..12 {
            let (one, other) = (random_instant(&mut chance, world.now()), random_instant(&mut chance, world.now()));
            let (from, to) = if one.parse::<Timestamp>().unwrap() < other.parse().unwrap() { (one, other) } else { (other, one) };
            let interval = pick(&mut chance, &["PT15M", "PT1H", "P1D", "P1W", "P1M"]);
            let zone = pick(&mut chance, &["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"]);
            let fill = pick(&mut chance, &["NONE", "LAST"]);
            let space_type = pick(&mut chance, &["", "0", "1", "5", "9"]);
            let mut query = vec![("from", &*from), ("to", &*to), ("interval", interval), ("timeZone", zone), ("fill", fill)];
            let mut argument = String::new();
            if !space_type.is_empty() {
                query.push(("spaceType", space_type));
                argument = format!("spaceType: {space_type},");
            }
            let table = export(&app, "usage", &query, USAGE_COLUMNS).await;
            let mut expected = Vec::new();
            for id in TENANTS {
                let measures = "{ average min max first last }";
                let data = app
                    .data(&format!(
                        "{{ tenant(id: \"{id}\") {{ usageOverTime(from: \"{from}\", to: \"{to}\", interval: \"{interval}\",
                            timeZone: \"{zone}\", {argument} fill: {fill}) {{ points {{ start end complete coverage
                            allocated {measures} total {measures} utilization {measures} }} }} }} }}"
                    ))
                    .await;
                for point in data["tenant"]["usageOverTime"]["points"].as_array().unwrap() {
                    let space_type: Value = space_type.parse::<i32>().map_or(Value::Null, Value::from);
                    let mut row = vec![json!(id), space_type];
                    row.extend(["start", "end", "complete", "coverage"].map(|name| point[name].clone()));
                    for measure in ["allocated", "total", "utilization"] {
                        row.extend(["average", "min", "max", "first", "last"].map(|name| point[measure][name].clone()));
                    }
                    values += row.iter().filter(|cell| cell.is_f64()).count();
                    expected.push(row);
                }
            }
            assert_eq!(table, expected, "{query:?}");
        }
        assert!(values > 1000, "there is something to compare: {values}");
        app.stop().await;
    }
}

#[tokio::test]
async fn snapshots_say_what_graphql_says_in_every_format() {
    for (seed, database) in [(3, Database::sqlite()), (4, Database::postgres().await)] {
        let mut chance = chance(seed);
        let (world, app) = start(database, &mut chance).await;
        let mut compared = 0;
        for case in 0..6 {
            let mut query = Vec::new();
            let (from, to) = (random_instant(&mut chance, world.now()), world.now().to_string());
            let mut arguments = "first: 1000".to_owned();
            if case % 2 == 1 {
                query.extend([("from", &*from), ("to", &*to)]);
                write!(arguments, ", from: \"{from}\", to: \"{to}\"").unwrap();
            }
            if case % 3 == 2 {
                query.push(("spaceType", "1"));
                arguments += ", spaceType: 1";
            }
            let table = export(&app, "snapshots", &query, SNAPSHOT_COLUMNS).await;
            let mut expected = Vec::new();
            for id in TENANTS {
                let fields = "spaceType firstObservedAt lastObservedAt observations allocated total";
                let data =
                    app.data(&format!("{{ tenant(id: \"{id}\") {{ snapshots({arguments}) {{ nodes {{ {fields} }} }} }} }}")).await;
                let mut nodes = data["tenant"]["snapshots"]["nodes"].as_array().unwrap().clone();
                // GraphQL's order is that of time.
                nodes.sort_by_key(|node| node["spaceType"].as_i64());
                expected.extend(nodes.into_iter().map(|node| {
                    let gb =
                        |value: &Value| json!(value.as_f64().unwrap()).to_string().trim_end_matches(".0").parse::<i64>().unwrap();
                    vec![
                        json!(id),
                        node["spaceType"].clone(),
                        node["firstObservedAt"].clone(),
                        node["lastObservedAt"].clone(),
                        node["observations"].clone(),
                        json!(gb(&node["allocated"])),
                        json!(gb(&node["total"])),
                    ]
                }));
            }
            compared += expected.len();
            // Of the interval GraphQL does not speak.
            let without_interval: Vec<Vec<Value>> = table
                .into_iter()
                .map(|mut row| {
                    assert!([json!(300), json!(3600)].contains(&row.remove(4)));
                    row
                })
                .collect();
            assert_eq!(without_interval, expected, "{query:?}");
        }
        assert!(compared > 200, "there is something to compare: {compared}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_tenant_with_more_runs_than_are_held_at_once_is_exported_whole() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 2), tenant("bolt", 1, 2)]).await;
    let app = world.start().await;
    let start = world.now() - SignedDuration::from_hours(24 * 20);
    // A run for each sample, of two types.
    let samples: Vec<_> = (0..20_000_i64)
        .map(|tick| quotagraph::quota::Sample {
            allocation: quotagraph::quota::SpaceAllocation::new(
                start + SignedDuration::from_secs(60 * tick),
                (0..2)
                    .map(|space_type| quotagraph::quota::SpaceTypeAllocation {
                        space_type,
                        allocated_gb: tick % 97 + i64::from(space_type),
                        total_gb: 100,
                    })
                    .collect(),
            ),
            interval_s: 60,
        })
        .collect();
    let runs = runs_of(&samples);
    assert_eq!(runs.len(), 40_000);
    app.store.insert_runs(&"acme".parse().unwrap(), &runs).await.unwrap();
    app.store.insert_runs(&"bolt".parse().unwrap(), &runs[..1]).await.unwrap();

    let response = app.client.get(format!("{}/v1/export/snapshots?format=csv", app.base)).send().await.unwrap();
    let table = read_table("csv", SNAPSHOT_COLUMNS, &response.bytes().await.unwrap());
    assert_eq!(table.len(), 40_001);
    for (row, run) in table.iter().zip(&runs) {
        assert_eq!((&row[1], &row[2]), (&json!(run.space_type), &json!(run.first_at.to_string())));
    }

    let url = format!("{}/v1/export/usage?from={start}&interval=PT6H&fill=LAST&format=ndjson", app.base);
    let table = read_table("ndjson", USAGE_COLUMNS, &app.client.get(url).send().await.unwrap().bytes().await.unwrap());
    let data = app
        .data(&format!(
            "{{ tenant(id: \"acme\") {{ usageOverTime(from: \"{start}\", interval: \"PT6H\", fill: LAST) {{ points {{ allocated {{ average last }} }} }} }} }}"
        ))
        .await;
    let points = data["tenant"]["usageOverTime"]["points"].as_array().unwrap();
    assert_eq!(table.len(), 2 * points.len());
    for (row, point) in table.iter().zip(points) {
        assert_eq!((&row[6], &row[10]), (&point["allocated"]["average"], &point["allocated"]["last"]));
    }
    app.stop().await;
}
