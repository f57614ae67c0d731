//! What takes much work: how much one answer may take, what of it is shared, and that it is the same answer wherever it is made.

use std::time::Duration;

use jiff::SignedDuration;
use quotagraph::config::Config;
use quotagraph::quota::{Run, TenantId};
use serde_json::{Value, json};

use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::subscriber::{Events, Socket};

/// Runs of each tenant: one for each sample.
const RUNS: i64 = 900;

/// Two tenants that change with every sample, every five minutes up to now.
async fn start_with(database: Database, configure: impl FnOnce(&mut Config)) -> (World, TestApp) {
    let world = World::new(database, vec![tenant("acme", 5, 10), tenant("bolt", 1, 2)]).await;
    let with_patience = |config: &mut Config| {
        // What is refused here is refused for what it takes, also on a machine that is slow.
        config.database.acquire_timeout = Duration::from_mins(1);
        configure(config);
    };
    let app = world.start_with(with_patience).await;
    let begin = world.now() - SignedDuration::from_secs(300 * RUNS);
    let run = |place: i64| {
        let at = begin + SignedDuration::from_secs(300 * place);
        Run {
            space_type: 0,
            first_at: at,
            last_at: at,
            interval_s: 300,
            samples: 1,
            allocated_gb: 1000 + place,
            total_gb: 10_000,
            ended_at: None,
        }
    };
    let runs: Vec<Run> = (0..RUNS).map(run).collect();
    for id in ["acme", "bolt"] {
        app.store.insert_runs(&id.parse::<TenantId>().unwrap(), &runs).await.unwrap();
    }
    (world, app)
}

const SERIES: &str = "usageOverTime(from: \"2026-02-01T00:00:00Z\")";

fn too_much(answer: &Value) -> bool {
    let error = &answer["errors"][0];
    let sentence =
        "the history that is asked for takes more than 1000 to read and go through, which is the limit; ask for less at a time";
    (error["extensions"]["code"].as_str(), error["message"].as_str(), answer.get("data"))
        == (Some("QUERY_TOO_COMPLEX"), Some(sentence), None)
}

#[tokio::test]
async fn an_answer_is_given_up_when_its_history_is_too_much_with_both_stores() {
    for database in [Database::sqlite(), Database::postgres().await] {
        let (_world, app) = start_with(database, |config| config.limits.work = 1000).await;
        for (field, other) in [
            (format!("{SERIES} {{ coverage }}"), format!("{SERIES} {{ coverage }}").replace("02-01", "02-02")),
            ("growth { perDay }".to_owned(), "growth(over: \"P40D\") { perDay }".to_owned()),
            ("forecast { unavailable }".to_owned(), "forecast(spaceType: 0) { unavailable }".to_owned()),
            ("snapshots(first: 800) { nodes { allocated } }".to_owned(), "snapshots(last: 800) { nodes { allocated } }".to_owned()),
        ] {
            app.data(&format!("{{ tenant(id: \"acme\") {{ {field} }} }}")).await;
            for document in [
                format!("{{ tenants(first: 2) {{ nodes {{ {field} }} }} }}"),
                // Two questions about one tenant are as much as one about two.
                format!("{{ tenant(id: \"acme\") {{ {field} other: {other} }} }}"),
            ] {
                let answer = app.ask(&document).await;
                assert!(too_much(&answer), "{document}: {answer}");
            }
        }
        // Equal questions are one.
        let forecasts =
            "a: forecast(horizon: \"P10D\") { unavailable } b: forecast(horizon: \"P90D\", confidence: 0.5) { unavailable }";
        // On a machine that is busy they may miss each other: a batch is gathered for a millisecond.
        let mut is_one = false;
        for _ in 0..10 {
            is_one |= !too_much(&app.ask(&format!("{{ tenant(id: \"acme\") {{ {forecasts} }} }}")).await);
        }
        assert!(is_one, "equal questions are read for one by one");
        app.stop().await;
    }
}

#[tokio::test]
async fn the_operations_of_a_list_share_work_and_complexity() {
    let (_world, app) = start_with(Database::sqlite(), |config| {
        config.limits.work = 1000;
        config.limits.complexity = 200;
    })
    .await;
    let series = |id: &str| json!({ "query": format!("{{ tenant(id: \"{id}\") {{ {SERIES} {{ coverage }} }} }}") });
    let (_, answers) = app.post(&json!([series("acme"), series("bolt")])).await;
    let refused = answers.as_array().unwrap().iter().filter(|answer| too_much(answer)).count();
    assert!(refused >= 1, "{answers}");
    let (_, answers) = app.post(&json!([series("acme")])).await;
    assert!(answers[0].get("errors").is_none(), "{answers}");

    let list = |first: usize| json!({ "query": format!("{{ tenants(first: {first}) {{ nodes {{ id }} }} }}") });
    let (_, answers) = app.post(&json!([list(40), list(41), list(30), list(1)])).await;
    let told: Vec<_> = answers.as_array().unwrap().iter().map(|answer| answer["errors"][0]["message"].clone()).collect();
    let sentence = "the complexity of the list is 231 with this operation; the limit is 200";
    assert_eq!(told[..3], [Value::Null, Value::Null, json!(sentence)], "{answers}");
    app.stop().await;
}

#[tokio::test]
async fn a_long_answer_over_a_socket_or_as_an_event_is_the_one_over_http() {
    let (_world, app) = start_with(Database::sqlite(), |_| {}).await;
    let long = "{ tenants { nodes { id usageOverTime(from: \"2026-02-27T00:00:00Z\", to: \"2026-03-02T12:00:00Z\", interval: \"PT5M\") \
        { coverage points { start end complete coverage allocated { average min max first last } } } } } }";
    let expected = app.data(long).await;
    let mut socket = Socket::init(&app, json!({})).await;
    // One after the other, and a short one before both or between them.
    let (first, second) = (socket.subscribe(long).await, socket.subscribe(long).await);
    let short = socket.subscribe("{ tenant(id: \"acme\") { id } }").await;
    let mut told = Vec::new();
    while told.len() < 6 {
        let message = socket.hear().await;
        if message["type"] == "next" && message["id"] != json!(short) {
            assert_eq!(message["payload"]["data"], expected);
        }
        told.push((message["id"].as_str().unwrap().to_owned(), message["type"].as_str().unwrap().to_owned()));
    }
    let of = |id: &str| told.iter().filter(|(of, _)| of == id).map(|(_, kind)| kind.as_str()).collect::<Vec<_>>();
    for id in [&first, &second, &short] {
        assert_eq!(of(id), ["next", "complete"]);
    }
    let place = |id: &str, kind: &str| told.iter().position(|(of, is)| of == id && is == kind).unwrap();
    assert!(place(&first, "next") < place(&second, "next"));
    app.stop().await;
}

#[tokio::test]
async fn events_that_take_long_are_the_changes_in_their_order_from_the_subscription_on() {
    let (world, app) = start_with(Database::sqlite(), |_| {}).await;
    app.collect().await;
    let series = "usageOverTime(from: \"2026-02-20T00:00:00Z\", to: \"2026-03-02T12:00:00Z\", interval: \"PT5M\") { coverage points { start coverage } }";
    let document = format!(
        "subscription {{ spaceAllocationChanged(tenantId: \"acme\") {{ after {{ allocated }} tenant {{ id {series} }} }} }}"
    );
    let mut socket = Socket::init(&app, json!({})).await;
    let id = socket.subscribe(&document).await;
    // When a later message is answered, the subscription has begun.
    let marker = socket.subscribe("{ __typename }").await;
    assert_eq!(socket.hear().await["id"], json!(marker));
    assert_eq!(socket.hear().await["type"], "complete");
    let mut events = Events::subscribe(&app, &document, &[]).await;
    for round in 0..5 {
        world.advance_s(300);
        world.set_values("acme", &[(0, 20 + round, 100)]);
        app.collect().await;
    }
    // The change of before may be told to those who have subscribed only then: it was recorded, and not read yet.
    let is_of_before = |change: &Value| change["after"]["allocated"] == json!(5.0);
    let mut by_socket = async || {
        let message = socket.hear().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("next"), &json!(id)));
        message["payload"]["data"]["spaceAllocationChanged"].clone()
    };
    for round in 0..5 {
        let mut change = by_socket().await;
        let mut by_event = events.change().await;
        if round == 0 && is_of_before(&change) {
            change = by_socket().await;
        }
        if round == 0 && is_of_before(&by_event) {
            by_event = events.change().await;
        }
        assert_eq!(change["after"]["allocated"], json!(20.0 + f64::from(round)), "{round}");
        assert!(change["tenant"]["usageOverTime"]["points"].as_array().unwrap().len() > 2000);
        assert_eq!(&by_event["after"], &change["after"]);
    }
    app.stop().await;
}

#[tokio::test]
async fn lists_by_many_ids_labels_and_letters_are_those_by_few() {
    let (_world, app) = start_with(Database::sqlite(), |_| {}).await;
    let query = "query($where: TenantFilter) { tenants(where: $where) { nodes { id } } }";
    let mut ids: Vec<String> = (0..5000).map(|place| format!("none-{place}")).collect();
    ids.push("bolt".to_owned());
    for (filter, expected) in [
        (json!({ "ids": ids }), json!([{ "id": "bolt" }])),
        (json!({ "ids": [] }), json!([])),
        (json!({ "nameContains": "ACME" }), json!([{ "id": "acme" }])),
        (json!({ "nameContains": "İ".repeat(50_000) }), json!([])),
        (json!({ "labels": [] }), json!([{ "id": "acme" }, { "id": "bolt" }])),
        (json!({ "labels": vec![json!({ "key": "a", "value": "b" }); 2000] }), json!([])),
    ] {
        let answer = app.ask_with(query, json!({ "where": filter })).await;
        assert_eq!(answer["data"]["tenants"]["nodes"], expected, "{answer}");
    }
    app.stop().await;
}
