//! Instants and durations at the edges of time, on every way in.

use serde_json::{Value, json};

use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::subscriber::Events;

const INSTANTS: [&str; 12] = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "0001-01-01T00:00:00-23:59",
    "0999-12-31 23:59:60.999999999999-00:00",
    "1969-12-31T23:59:59.9999999999z",
    "1970-01-01t00:00:00.0000000001+00:00",
    "2016-12-31T23:59:60Z",
    "2026-03-01T12:00:00.123456789123456789+05:45",
    "9999-12-30T22:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "9999-12-31T23:59:60-23:59",
    "9999-12-31T00:00:00+23:59",
];

const DURATIONS: [&str; 8] = ["PT0.000000001S", "P1D", "P292Y", "P9998Y", "P19998Y", "P239976M", "P7304484D", "PT175307616H"];

const ZONES: [&str; 4] = ["UTC", "Asia/Shanghai", "America/St_Johns", "Pacific/Apia"];

/// Asks for one field, which may be refused by a sentence that tells the argument, and in no other way.
async fn is_answered(app: &TestApp, query: &str) {
    let answer = app.ask(query).await;
    for error in answer["errors"].as_array().into_iter().flatten() {
        let code = error["extensions"]["code"].as_str().unwrap();
        let message = error["message"].as_str().unwrap();
        let is_told = code == "QUERY_TOO_COMPLEX" || code == "BAD_USER_INPUT" && !message.contains("is not a date and time");
        assert!(is_told, "{query}: {answer}");
    }
}

async fn start(database: Database) -> (World, TestApp) {
    let world = World::new(database, vec![tenant("acme", 10, 100)]).await;
    let app = world.start_with(|config| config.limits.complexity = 1_000_000).await;
    app.collect().await;
    (world, app)
}

async fn every_instant_and_duration_is_answered(database: Database) {
    let (_world, app) = start(database).await;
    for from in INSTANTS {
        is_answered(&app, &format!("{{ tenant {{ snapshots(from: \"{from}\") {{ nodes {{ allocated }} }} }} }}")).await;
        is_answered(&app, &format!("{{ tenant {{ snapshots(to: \"{from}\") {{ nodes {{ allocated }} }} }} }}")).await;
        for to in INSTANTS.into_iter().step_by(3).chain([INSTANTS[11]]) {
            let snapshots = format!("{{ tenant {{ snapshots(from: \"{from}\", to: \"{to}\") {{ nodes {{ allocated }} }} }} }}");
            is_answered(&app, &snapshots).await;
            for (interval, zone) in
                [("P1Y", ZONES[0]), ("P1000Y", ZONES[1]), ("P1M", ZONES[2]), ("P1W", ZONES[3]), ("PT5M", ZONES[1])]
            {
                let arguments = format!("(from: \"{from}\", to: \"{to}\", interval: \"{interval}\", timeZone: \"{zone}\")");
                // Thousands of points take their time in a debug build.
                let points = if interval == "P1000Y" { "points { start end coverage }" } else { "" };
                let field = format!("usageOverTime{arguments} {{ coverage {points} }}");
                is_answered(&app, &format!("{{ tenant {{ {field} }} fleet {{ {field} }} }}")).await;
            }
        }
    }
    for duration in DURATIONS {
        for field in [
            format!("tenant {{ spaceAllocation(maxAge: \"{duration}\") {{ allocated source }} }}"),
            format!("tenant {{ growth(over: \"{duration}\") {{ perDay from }} }}"),
            format!("tenant {{ forecast(horizon: \"{duration}\") {{ unavailable points {{ at }} }} }}"),
            format!("fleet {{ top(by: GROWTH, over: \"{duration}\") {{ value }} }}"),
            format!("fleet {{ top(by: COVERAGE, over: \"{duration}\") {{ value }} }}"),
            format!(
                "tenant {{ usageOverTime(from: \"0001-01-01T00:00:00Z\", interval: \"{duration}\") {{ points {{ start end }} }} }}"
            ),
        ] {
            is_answered(&app, &format!("{{ {field} }}")).await;
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn every_instant_and_duration_is_answered_with_postgres() {
    every_instant_and_duration_is_answered(Database::postgres().await).await;
}

#[tokio::test]
async fn every_instant_and_duration_is_answered_with_sqlite() {
    every_instant_and_duration_is_answered(Database::sqlite()).await;
}

#[tokio::test]
async fn all_of_time_holds_everything() {
    let (world, app) = start(Database::postgres().await).await;
    // An observation holds for a while.
    world.advance_s(300);
    let all = "(from: \"0001-01-01T00:00:00Z\", to: \"9999-12-31T23:59:59Z\")";
    let answer = app.data(&format!("{{ tenant {{ snapshots{all} {{ nodes {{ allocated }} }} }} }}")).await;
    assert_eq!(answer["tenant"]["snapshots"]["nodes"], json!([{ "allocated": 10.0 }]));
    let years = "usageOverTime(from: \"0001-01-01T00:00:00Z\", to: \"9999-12-31T23:59:59Z\", interval: \"P1Y\") { points { start allocated { last } } }";
    let answer = app.data(&format!("{{ tenant {{ {years} }} fleet {{ {years} }} }}")).await;
    for of in ["tenant", "fleet"] {
        let points = answer[of]["usageOverTime"]["points"].as_array().unwrap();
        assert_eq!((points.len(), &points[0]["start"]), (9999, &json!("0001-01-01T00:00:00Z")));
        let observed: Vec<&Value> =
            points.iter().filter(|point| !point["allocated"].is_null()).map(|point| &point["start"]).collect();
        assert_eq!(observed, [&json!("2026-01-01T00:00:00Z")], "{of}");
    }
    app.stop().await;
}

#[tokio::test]
async fn exports_and_subscriptions_take_the_same_instants() {
    let (_world, app) = start(Database::sqlite()).await;
    for instant in INSTANTS {
        let instant: String = url::form_urlencoded::byte_serialize(instant.as_bytes()).collect();
        for query in [
            format!("snapshots?from={instant}"),
            format!("snapshots?to={instant}"),
            format!("usage?from=0001-01-01T00:00:00Z&to={instant}&interval=P1Y"),
            format!("usage?from={instant}&to=9999-12-31T23:59:60Z&interval=P1000Y&timeZone=Asia/Shanghai&format=ndjson"),
        ] {
            let (status, text) = app.get(&format!("/v1/export/{query}")).await;
            assert!(status == 200 || status == 400 && text.contains("must be after from"), "{query}: {status} {text}");
        }
    }
    for since in INSTANTS {
        // What is said of a tenant that is not there is said after since was read.
        let query = format!("subscription {{ spaceAllocationChanged(since: \"{since}\") {{ recordedAt }} }}");
        let request = app.client.post(format!("{}/graphql", app.base)).header("content-type", "application/json");
        let response =
            request.header("accept", "text/event-stream").body(json!({ "query": query }).to_string()).send().await.unwrap();
        let mut events = Events::of(response);
        if since < "2026-03-02" {
            let event: Value = serde_json::from_str(&events.next().await.unwrap().data.unwrap()).unwrap();
            assert!(
                event["errors"].is_null() && !event["data"]["spaceAllocationChanged"]["recordedAt"].is_null(),
                "{since}: {event}"
            );
        }
    }
    app.stop().await;
}
