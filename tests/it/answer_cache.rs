//! Finished answers: kept while they are what executing would give, never a moment longer, never for another caller.

use quotagraph::access::KeyDigest;
use quotagraph::config::{Auth, AuthMode, Config, KeyConfig};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::support::app::{Database, TestApp, World, tenant};

const QUOTA: &str = "{ tenant(id: \"t0\") { spaceAllocation { allocated total } } }";

async fn hits(app: &TestApp) -> u64 {
    app.metric("quotagraph_answer_hits_total").await
}

#[tokio::test]
async fn a_repeated_query_is_answered_without_executing_it_until_a_value_changes() {
    let world = World::new(Database::sqlite(), vec![tenant("t0", 1, 9)]).await;
    let app = world.start().await;
    app.collect().await;
    let first = app.data(QUOTA).await;
    assert_eq!(app.data(QUOTA).await, first);
    assert_eq!((hits(&app).await, app.metric("quotagraph_answer_misses_total").await), (1, 1));

    // An equal sample changes nothing.
    world.advance_s(300);
    app.collect().await;
    app.data(QUOTA).await;
    assert_eq!(hits(&app).await, 2);

    // Another value is seen at once.
    world.set_values("t0", &[(0, 2, 9)]);
    world.advance_s(300);
    app.collect().await;
    assert_eq!(app.data(QUOTA).await["tenant"]["spaceAllocation"]["allocated"], 2.0);
    app.stop().await;
}

#[tokio::test]
async fn an_answer_that_shows_the_instant_ends_with_the_next_sample_and_any_answer_with_its_freshness() {
    let world = World::new(Database::sqlite(), vec![tenant("t0", 1, 9)]).await;
    let app = world.start().await;
    app.collect().await;
    let dated = "{ tenant(id: \"t0\") { spaceAllocation { observedAt } } }";
    let first = app.data(dated).await;
    world.advance_s(300);
    app.collect().await;
    assert_ne!(app.data(dated).await, first);
    app.data(QUOTA).await;
    app.data(QUOTA).await;
    let before = hits(&app).await;
    world.advance_s(361);
    app.data(QUOTA).await;
    assert_eq!(hits(&app).await, before, "past the fresh limit it is executed");
    app.stop().await;
}

#[tokio::test]
async fn answers_with_errors_live_demands_history_and_mutations_are_never_kept() {
    let world = World::new(Database::sqlite(), vec![tenant("t0", 1, 9), tenant("broken", 1, 2)]).await;
    world.set_behaviour("broken", json!({ "status": 401 }));
    let app = world.start_with(|config| config.limits.refreshes_per_minute = 100).await;
    app.collect().await;
    for query in [
        "{ tenant(id: \"broken\") { name spaceAllocation { allocated } } }",
        "{ nothing }",
        "{ tenant(id: \"t0\") { spaceAllocation(maxAge: \"PT0S\") { allocated } } }",
        "{ tenant(id: \"t0\") { usageOverTime(from: \"2026-03-01T00:00:00Z\") { coverage } } }",
        "{ tenant(id: \"t0\") { forecast { unavailable } } }",
        "{ tenant(id: \"t0\") { growth { from } } }",
        "{ tenant(id: \"t0\") { snapshots { nodes { allocated } } } }",
        "{ tenant(id: \"t0\") { collection { lastAttemptAt } } }",
        "mutation { refreshSpaceAllocation(tenantId: \"t0\") { allocated } }",
    ] {
        for _ in 0..3 {
            app.ask(query).await;
        }
        assert_eq!(hits(&app).await, 0, "{query}");
    }
    app.stop().await;
}

#[tokio::test]
async fn answers_end_when_the_tenants_are_replaced() {
    let world = World::new(Database::sqlite(), vec![tenant("t0", 1, 9), tenant("t1", 1, 9)]).await;
    let app = world.start().await;
    let names = "{ tenants { totalCount nodes { name } } }";
    assert_eq!(app.data(names).await["tenants"]["totalCount"], 2);
    app.data(names).await;
    assert_eq!(hits(&app).await, 1);
    app.handle.replace_tenants(vec![world.tenants[0].watched(&world.simulator)]).await.unwrap();
    assert_eq!(app.data(names).await["tenants"]["totalCount"], 1);
    app.stop().await;
}

fn with_keys(config: &mut Config) {
    let key = |name: &str, tenants: &[&str]| KeyConfig {
        name: name.to_owned(),
        sha256: KeyDigest::of(name).to_string(),
        tenants: tenants.iter().map(|id| (*id).to_owned()).collect(),
        roles: vec!["READ".to_owned()],
    };
    let keys = vec![key("all", &["*"]), key("few", &["t0", "t1", "t2"]), key("few-too", &["t0", "t1", "t2"]), key("one", &["t3"])];
    config.auth = Some(Auth { mode: AuthMode::Keys, failed_attempts_per_minute: 5, keys, jwt: None });
}

async fn ask_as(app: &TestApp, key: &str, body: String) -> Value {
    let request =
        app.client.post(format!("{}/graphql", app.base)).header(CONTENT_TYPE, "application/json").header("X-Api-Key", key);
    let mut answer = serde_json::from_str(&request.body(body).send().await.unwrap().text().await.unwrap()).unwrap();
    forget_sources(&mut answer);
    answer
}

/// How an answer was made may differ.
fn forget_sources(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("source");
            fields.values_mut().for_each(forget_sources);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_sources),
        _ => {}
    }
}

fn random_query(random: &mut StdRng) -> String {
    let id = random.random_range(0..6);
    let allocation = *[
        "spaceAllocation { allocated total utilization }",
        "spaceAllocation { allocated observedAt source }",
        "spaceAllocation(spaceType: 0) { available }",
        "spaceAllocation(maxAge: \"PT2M\") { allocated byType { spaceType total } }",
        "spaceAllocation(onFailure: ERROR) { total }",
        "spaceAllocation(maxAge: \"PT0S\") { total }",
        "name labels { key value }",
    ]
    .choose(random)
    .unwrap();
    let list = *[
        "",
        "(first: 3)",
        "(where: { utilizationAtLeast: 0.4 })",
        "(where: { nameContains: \"2\" })",
        "(orderBy: { by: ALLOCATED, direction: DESC })",
        "(orderBy: { by: UTILIZATION }, first: 2)",
    ]
    .choose(random)
    .unwrap();
    match random.random_range(0..4) {
        0 => format!("{{ tenants{list} {{ totalCount nodes {{ id {allocation} }} }} }}"),
        1 => format!("{{ tenants{list} {{ nodes {{ id }} pageInfo {{ endCursor }} }} }}"),
        2 => "{ tenant { id spaceAllocation { allocated } } }".to_owned(),
        _ => format!("{{ tenant(id: \"t{id}\") {{ id {allocation} }} }}"),
    }
}

/// Something happens to the world.
async fn stir(world: &World, app: &TestApp, random: &mut StdRng) {
    let id = format!("t{}", random.random_range(0..5));
    match random.random_range(0..8) {
        0 | 1 => world.set_values(&id, &[(0, random.random_range(0..100), 100), (1, random.random_range(0..10), 20)]),
        2 => world.set_behaviour(&id, json!({ "status": 503 })),
        3 => world.set_behaviour(&id, json!({})),
        4 => world.advance_s(random.random_range(1..200)),
        5 => {
            world.advance_s(random.random_range(1..400));
            app.collect().await;
        }
        6 => {
            app.collect().await;
        }
        _ => {
            let mut tenants = world.tenants.clone();
            tenants.retain(|tenant| tenant.id == "t0" || !random.next_u32().is_multiple_of(5));
            let watched = tenants.iter().map(|tenant| tenant.watched(&world.simulator)).collect();
            app.handle.replace_tenants(watched).await.unwrap();
        }
    }
}

#[tokio::test]
async fn random_queries_of_random_callers_are_answered_as_if_nothing_were_kept() {
    let mut random = StdRng::seed_from_u64(20_260_302);
    let world = World::new(Database::sqlite(), (0..5).map(|i| tenant(&format!("t{i}"), 10 * i, 100)).collect()).await;
    let app = world.start_with(with_keys).await;
    app.collect().await;
    let queries: Vec<_> = (0..40).map(|_| random_query(&mut random)).collect();
    let body = |query: &str| json!({ "query": query }).to_string();
    for step in 0..1500 {
        if random.random_range(0..4) == 0 {
            stir(&world, &app, &mut random).await;
        }
        let key = *["all", "few", "few-too", "one"].choose(&mut random).unwrap();
        let query = queries.choose(&mut random).unwrap();
        // A request that was never made before is executed. A stale value is refreshed behind, so what is known may change between.
        let before = ask_as(&app, key, body(&format!("{query} # before {step}"))).await;
        let kept = ask_as(&app, key, body(query)).await;
        if kept != before {
            let after = ask_as(&app, key, body(&format!("{query} # after {step}"))).await;
            assert_eq!(kept, after, "step {step}: {key} asked {query}; before: {before}");
        }
    }
    assert!(hits(&app).await > 200, "the test meets kept answers: {}", hits(&app).await);
    app.stop().await;
}
