//! What can be answered is answered: a failure nulls the smallest part, and a database that does not answer is waited for once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::outage::Flow;
use crate::support::process::until;

/// How long a request waits for the database here.
const PATIENCE: Duration = Duration::from_millis(700);

/// What else may come on top: the machine is busy.
const SLACK: Duration = Duration::from_millis(900);

/// All fields of a tenant that read the database.
const HISTORY: &str = "
    snapshots { nodes { allocated } } recent: snapshots(last: 3) { nodes { allocated } }
    usageOverTime(from: \"2026-02-01T00:00:00Z\") { coverage } hours: usageOverTime(from: \"2026-03-01T00:00:00Z\", interval: \"PT1H\") { coverage }
    growth { perDay } week: growth(over: \"P7D\") { perDay } forecast { unavailable } collection { consecutiveFailures }";

/// Their names in an answer.
const HISTORY_NAMES: [&str; 8] = ["snapshots", "recent", "usageOverTime", "hours", "growth", "week", "forecast", "collection"];

/// All fields of a fleet that must read the database, whatever is in memory.
const FLEET: &str = "
    usageOverTime(from: \"2026-02-01T00:00:00Z\") { coverage }
    growing: top(by: GROWTH) { rank } full: top(by: SOONEST_FULL) { rank } covered: top(by: COVERAGE) { rank }";

/// The codes of the errors by the paths where they occurred.
fn faults(answer: &Value) -> Vec<(String, String)> {
    let errors = answer["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let path = |error: &Value| {
        let steps = error["path"].as_array().unwrap_or_else(|| panic!("an error without a path: {answer}"));
        steps.iter().map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned)).collect::<Vec<_>>().join(".")
    };
    let mut faults: Vec<_> =
        errors.iter().map(|error| (path(error), error["extensions"]["code"].as_str().unwrap_or("none").to_owned())).collect();
    faults.sort();
    faults
}

fn expected(prefix: &str, names: &[&str], code: &str) -> Vec<(String, String)> {
    let mut faults: Vec<_> = names.iter().map(|name| (format!("{prefix}.{name}"), code.to_owned())).collect();
    faults.sort();
    faults
}

async fn timed(app: &TestApp, query: &str) -> (Value, Duration) {
    let begun = Instant::now();
    let answer = app.ask(query).await;
    (answer, begun.elapsed())
}

#[tokio::test]
async fn a_history_that_cannot_be_had_nulls_itself_and_the_quota_beside_it_is_answered() {
    let (database, way) = Database::cuttable().await;
    let world = World::new(database, vec![tenant("acme", 10, 100), tenant("bolt", 20, 100)]).await;
    let configure = |config: &mut quotagraph::config::Config| {
        config.database.acquire_timeout = PATIENCE;
        config.limits.refreshes_per_minute = 1_000_000;
    };
    let app = world.start_with(configure).await;
    app.collect().await;
    let query = format!("{{ tenant(id: \"acme\") {{ id spaceAllocation {{ allocated }} {HISTORY} }} }}");
    let whole = app.data(&query).await;
    assert!(HISTORY_NAMES.iter().all(|name| !whole["tenant"][name].is_null() || ["growth", "week"].contains(name)), "{whole}");

    way.cut();
    let answer = app.ask(&query).await;
    assert_eq!(answer["data"]["tenant"]["spaceAllocation"], json!({ "allocated": 10.0 }));
    assert_eq!(answer["data"]["tenant"]["id"], "acme");
    assert_eq!(faults(&answer), expected("tenant", &HISTORY_NAMES, "HISTORY_UNAVAILABLE"));

    let query = format!(
        "{{ fleet {{ tenantCount spaceAllocation {{ allocated }} observedCount distribution {{ tenants }} {FLEET} }} tenant(id: \"bolt\") {{ id }} }}"
    );
    let answer = app.ask(&query).await;
    assert_eq!(answer["data"]["fleet"]["spaceAllocation"], json!({ "allocated": 30.0 }), "{answer}");
    assert_eq!(answer["data"]["fleet"]["tenantCount"], 2);
    assert_eq!(answer["data"]["tenant"]["id"], "bolt");
    assert_eq!(faults(&answer), expected("fleet", &["usageOverTime", "growing", "full", "covered"], "HISTORY_UNAVAILABLE"));

    // Each entry of a list for itself.
    let answer =
        app.ask("{ tenants { totalCount nodes { id spaceAllocation { allocated } collection { nextAttemptAt } } } }").await;
    assert_eq!(answer["data"]["tenants"]["totalCount"], 2);
    for (place, (id, allocated)) in [("acme", 10.0), ("bolt", 20.0)].into_iter().enumerate() {
        let node = json!({ "id": id, "spaceAllocation": { "allocated": allocated }, "collection": null });
        assert_eq!(answer["data"]["tenants"]["nodes"][place], node);
    }
    let of_nodes = ["nodes.0.collection", "nodes.1.collection"];
    assert_eq!(faults(&answer), expected("tenants", &of_nodes, "HISTORY_UNAVAILABLE"));

    // An entity of a federation, likewise.
    let entities = "query($these: [_Any!]!) { _entities(representations: $these) { ... on Tenant { name snapshots { nodes { allocated } } } } }";
    let these = json!({ "these": [{ "__typename": "Tenant", "id": "acme" }] });
    let answer = app.ask_with(entities, these).await;
    assert_eq!(answer["data"]["_entities"], json!([{ "name": "acme Ltd", "snapshots": null }]));

    // Of two mutations, the one that works.
    let both = "mutation { none: refreshSpaceAllocation(tenantId: \"nobody\") { allocated } acme: refreshSpaceAllocation(tenantId: \"acme\") { allocated } }";
    let answer = app.ask(both).await;
    assert_eq!(answer["data"], json!({ "none": null, "acme": null }));
    let told = [("acme", "HISTORY_UNAVAILABLE"), ("none", "BAD_USER_INPUT")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(faults(&answer), told);
    way.mend();
    // The recorder notices in its own time.
    let expected = json!({ "none": null, "acme": { "allocated": 10.0 } });
    until("an answer by the database", async || app.ask(both).await["data"] == expected).await;
    app.stop().await;
}

#[tokio::test]
async fn figures_that_are_not_in_memory_null_what_needs_them_and_no_more() {
    let (database, way) = Database::cuttable().await;
    let world = World::new(database, vec![tenant("acme", 10, 100), tenant("bolt", 20, 100)]).await;
    let app = world.start_with(|config| config.database.acquire_timeout = PATIENCE).await;
    way.cut();
    let query = "{ ranked: tenants(orderBy: { by: UTILIZATION }) { totalCount } full: tenants(where: { utilizationAtLeast: 0.5 }) { totalCount }
        named: tenants { totalCount } filtered: fleet(where: { utilizationBelow: 0.5 }) { tenantCount }
        fleet { tenantCount observedCount spaceAllocation { total } distribution { tenants } top { rank } } tenant(id: \"acme\") { id } }";
    let (answer, took) = timed(&app, query).await;
    assert!(took < PATIENCE + SLACK, "{took:?}");
    assert_eq!(
        answer["data"],
        json!({ "ranked": null, "full": null, "named": { "totalCount": 2 }, "filtered": null,
            "fleet": { "tenantCount": 2, "observedCount": null, "spaceAllocation": null, "distribution": null, "top": null },
            "tenant": { "id": "acme" } })
    );
    let mut told = expected("fleet", &["observedCount", "spaceAllocation", "distribution", "top"], "HISTORY_UNAVAILABLE");
    told.extend(["ranked", "full", "filtered"].map(|name| (name.to_owned(), "HISTORY_UNAVAILABLE".to_owned())));
    told.sort();
    assert_eq!(faults(&answer), told);
    app.stop().await;
}

#[tokio::test]
async fn a_wrong_argument_nulls_its_field_and_no_more() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 100)]).await;
    let app = world.start().await;
    app.collect().await;
    for field in [
        "snapshots(first: 1001) { nodes { allocated } }",
        "snapshots(first: 1, last: 1) { nodes { allocated } }",
        "snapshots(after: \"x\") { nodes { allocated } }",
        "snapshots(from: \"yesterday\") { nodes { allocated } }",
        "snapshots(from: \"2026-03-01T00:00:00Z\", to: \"2026-02-01T00:00:00Z\") { nodes { allocated } }",
        "usageOverTime(from: \"2027-03-01T00:00:00Z\") { coverage }",
        "usageOverTime(from: \"2026-02-01T00:00:00Z\", interval: \"PT7H\") { coverage }",
        "usageOverTime(from: \"2026-02-01T00:00:00Z\", timeZone: \"Mars\") { coverage }",
        "growth(over: \"PT0S\") { perDay }",
        "growth(over: \"P1D\", spaceType: 2147483648) { perDay }",
        "forecast(horizon: \"P3Y\") { unavailable }",
        "forecast(threshold: 0) { unavailable }",
        "forecast(confidence: 1) { unavailable }",
        "spaceAllocation(maxAge: \"soon\") { allocated }",
        "spaceAllocation(spaceType: 2147483648) { allocated }",
    ] {
        let answer = app.ask(&format!("{{ tenant {{ id quota: spaceAllocation {{ allocated }} asked: {field} }} }}")).await;
        assert_eq!(
            answer["data"]["tenant"],
            json!({ "id": "acme", "quota": { "allocated": 10.0 }, "asked": null }),
            "{field}: {answer}"
        );
        assert_eq!(faults(&answer), expected("tenant", &["asked"], "BAD_USER_INPUT"), "{field}");
    }
    for field in [
        "spaceAllocation(spaceType: 2147483648) { total }",
        "usageOverTime(from: \"2027-03-01T00:00:00Z\") { coverage }",
        "top(first: 1001) { rank }",
        "top(over: \"PT0S\") { rank }",
        "distribution(steps: 0) { tenants }",
        "groups(label: \"nothing\") { value }",
    ] {
        let answer = app.ask(&format!("{{ fleet {{ tenantCount asked: {field} }} tenant {{ id }} }}")).await;
        assert_eq!(
            answer["data"],
            json!({ "fleet": { "tenantCount": 1, "asked": null }, "tenant": { "id": "acme" } }),
            "{field}: {answer}"
        );
        assert_eq!(faults(&answer), expected("fleet", &["asked"], "BAD_USER_INPUT"), "{field}");
    }
    for field in ["tenants(first: 1001) { totalCount }", "tenants(after: \"x\") { totalCount }"] {
        let answer = app.ask(&format!("{{ asked: {field} tenant {{ id }} }}")).await;
        assert_eq!(answer["data"], json!({ "asked": null, "tenant": { "id": "acme" } }), "{field}: {answer}");
        assert_eq!(faults(&answer), [("asked".to_owned(), "BAD_USER_INPUT".to_owned())], "{field}");
    }
    app.stop().await;
}

/// Asks for everything in one document, and in a list of operations, while the database is as `flow` says, or away.
async fn is_waited_for_once(flow: Option<Flow>) {
    let (database, way) = Database::cuttable().await;
    let world = World::new(database, vec![tenant("acme", 10, 100), tenant("bolt", 20, 100)]).await;
    let app = world.start_with(|config| config.database.acquire_timeout = PATIENCE).await;
    app.collect().await;
    match flow {
        Some(flow) => way.set_flow(flow),
        None => way.cut(),
    }
    let document = format!(
        "{{ tenants(orderBy: {{ by: UTILIZATION }}) {{ nodes {{ id spaceAllocation {{ allocated }} {HISTORY} }} }}
            fleet(where: {{ utilizationBelow: 2 }}) {{ tenantCount {FLEET} groups: distribution {{ tenants }} }}
            again: fleet(where: {{ nameContains: \"o\" }}) {{ {FLEET} }}
            tenant(id: \"acme\") {{ spaceAllocation {{ allocated }} {HISTORY} }} }}"
    );
    let (answer, took) = timed(&app, &document).await;
    assert!(took < PATIENCE + SLACK, "{flow:?}: {took:?}");
    assert_eq!(answer["data"]["tenant"]["spaceAllocation"]["allocated"], 10.0, "{answer}");
    assert_eq!(answer["data"]["tenants"]["nodes"][0]["spaceAllocation"]["allocated"], 10.0);
    assert_eq!(answer["data"]["fleet"]["tenantCount"], 2);
    let told = faults(&answer);
    assert!(told.iter().all(|(_, code)| code == "HISTORY_UNAVAILABLE"), "{told:?}");
    assert_eq!(told.len(), 3 * HISTORY_NAMES.len() + 2 * 4, "{told:?}");

    // What is asked live and cannot be recorded.
    let mutation = "mutation { a: refreshSpaceAllocation(tenantId: \"acme\") { allocated } b: refreshSpaceAllocation(tenantId: \"bolt\") { allocated } }";
    let (answer, took) = timed(&app, mutation).await;
    assert!(took < PATIENCE + SLACK, "{flow:?}: {took:?}");
    let told = ["a", "b"].map(|name| (name.to_owned(), "HISTORY_UNAVAILABLE".to_owned()));
    assert_eq!(faults(&answer), told);

    // A list of operations, each with the same question.
    let operations: Vec<_> =
        (0..8).map(|i| json!({ "query": format!("{{ tenant(id: \"acme\") {{ a{i}: id {HISTORY} }} }}") })).collect();
    let begun = Instant::now();
    let (status, answers) = app.post(&json!(operations)).await;
    assert!(begun.elapsed() < PATIENCE + SLACK, "{flow:?}: {:?}", begun.elapsed());
    assert_eq!((status, answers.as_array().unwrap().len()), (200, 8));
    assert!(answers.as_array().unwrap().iter().all(|answer| faults(answer).len() == HISTORY_NAMES.len()), "{answers}");

    // Nothing of that was kept: the very same question is answered whole when the database is back.
    match flow {
        Some(_) => way.set_flow(Flow::Free),
        None => way.mend(),
    }
    until("an answer by the database", async || faults(&app.ask(&document).await).is_empty()).await;
    app.stop().await;
}

#[tokio::test]
async fn answers_that_take_long_are_not_held_up_by_each_others_waits() {
    let (database, way) = Database::cuttable().await;
    let world = World::new(database, vec![tenant("acme", 10, 100), tenant("bolt", 20, 100)]).await;
    let app = world.start_with(|config| config.database.acquire_timeout = PATIENCE).await;
    app.collect().await;
    let document = |number: usize| {
        let asked = |i| format!("a{number}_{i}: tenant(id: \"acme\") {{ spaceAllocation {{ allocated }} {HISTORY} }}");
        format!("{{ {} }}", (0..8).map(asked).collect::<Vec<_>>().join(" "))
    };
    app.data(&document(0)).await;
    way.set_flow(Flow::Hanging);
    let documents: Vec<_> = (1..9).map(document).collect();
    let begun = Instant::now();
    let answers = futures_util::future::join_all(documents.iter().map(|document| app.ask(document))).await;
    let took = begun.elapsed();
    assert!(took < PATIENCE + SLACK, "{took:?}");
    for (number, answer) in (1..).zip(&answers) {
        assert_eq!(answer["data"][format!("a{number}_0")]["spaceAllocation"]["allocated"], 10.0, "{answer}");
        assert_eq!(faults(answer).len(), 8 * HISTORY_NAMES.len());
    }
    // It answers again as soon as the database does.
    way.set_flow(Flow::Free);
    until("an answer by the database", async || faults(&app.ask(&document(0)).await).is_empty()).await;
    app.stop().await;
}

#[tokio::test]
async fn a_database_that_is_away_is_waited_for_once() {
    is_waited_for_once(None).await;
}

#[tokio::test]
async fn a_database_that_hangs_is_waited_for_once() {
    is_waited_for_once(Some(Flow::Hanging)).await;
}

#[tokio::test]
async fn a_database_that_is_slow_is_waited_for_once() {
    is_waited_for_once(Some(Flow::Slow(PATIENCE * 2))).await;
}

#[tokio::test]
async fn a_reader_of_what_nobody_knows_asks_the_database_once_and_then_the_upstream() {
    let (database, way) = Database::cuttable().await;
    let world = World::new(database, vec![tenant("acme", 10, 100)]).await;
    let app = world.start_with(|config| config.database.acquire_timeout = PATIENCE).await;
    way.set_flow(Flow::Hanging);
    let query = format!("{{ tenant {{ spaceAllocation {{ allocated source }} {HISTORY} }} }}");
    let (answer, took) = timed(&app, &query).await;
    assert!(took < PATIENCE + SLACK, "{took:?}");
    assert_eq!(answer["data"]["tenant"]["spaceAllocation"], json!({ "allocated": 10.0, "source": "LIVE" }));

    // With the upstream away as well, there is nothing; that takes no second wait for the database.
    world.set_behaviour("acme", json!({ "status": 500 }));
    let other = world.start_with(|config| config.database.acquire_timeout = PATIENCE);
    way.set_flow(Flow::Free);
    let other = other.await;
    way.set_flow(Flow::Hanging);
    let (answer, took) = timed(&other, &query).await;
    assert!(took < PATIENCE + SLACK, "{took:?}");
    assert!(faults(&answer).contains(&("tenant.spaceAllocation".to_owned(), "UPSTREAM_UNAVAILABLE".to_owned())), "{answer}");
    way.set_flow(Flow::Free);
    app.stop().await;
    other.stop().await;
}
