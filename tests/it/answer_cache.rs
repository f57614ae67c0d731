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
    let app = world.start_with(|config| config.limits.refreshes_per_minute = 1000).await;
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
        let body = json!({ "query": query, "variables": {} });
        for _ in 0..3 {
            app.ask(query).await;
            app.post(&json!([body, body])).await;
        }
        assert_eq!(hits(&app).await, 0, "{query}");
    }
    app.stop().await;
}

#[tokio::test]
async fn an_operation_of_a_list_has_the_kept_answer_of_a_lone_one_and_the_other_way_round() {
    let world = World::new(Database::sqlite(), vec![tenant("t0", 1, 9)]).await;
    let app = world.start().await;
    app.collect().await;
    let misses = async || app.metric("quotagraph_answer_misses_total").await;
    let (quota, name) = (json!({ "query": QUOTA }), json!({ "query": "{ tenant(id: \"t0\") { name } }" }));
    let answers = [
        json!({ "data": { "tenant": { "spaceAllocation": { "allocated": 1.0, "total": 9.0 } } } }),
        json!({ "data": { "tenant": { "name": "t0 Ltd" } } }),
    ];
    assert_eq!(app.post(&quota).await, (200, answers[0].clone()));
    assert_eq!((hits(&app).await, misses().await), (0, 1));
    assert_eq!(app.post(&json!([quota, name])).await, (200, json!(answers)));
    assert_eq!((hits(&app).await, misses().await), (1, 2), "the list as a whole is not looked for");
    assert_eq!(app.post(&json!([name, quota, name])).await, (200, json!([answers[1], answers[0], answers[1]])));
    assert_eq!(app.post(&name).await, (200, answers[1].clone()));
    assert_eq!((hits(&app).await, misses().await), (5, 2));

    world.set_values("t0", &[(0, 2, 9)]);
    world.advance_s(300);
    app.collect().await;
    let (_, changed) = app.post(&json!([quota, name])).await;
    assert_eq!((&changed[0]["data"]["tenant"]["spaceAllocation"]["allocated"], &changed[1]), (&json!(2.0), &answers[1]));
    assert_eq!(hits(&app).await, 6);
    app.stop().await;
}

#[tokio::test]
async fn a_list_is_refused_as_a_whole_for_a_member_that_is_no_operation_whatever_is_kept_of_the_others() {
    let world = World::new(Database::sqlite(), vec![tenant("t0", 1, 9)]).await;
    let app = world.start().await;
    app.collect().await;
    let quota = json!({ "query": QUOTA });
    // Its members' values without their names are no operation.
    let odd = json!([QUOTA, null, null, null, null]);
    for _ in 0..2 {
        for list in [json!([quota, odd]), json!([quota, 7]), json!([quota, { "query": 7 }]), odd.clone()] {
            let (status, answer) = app.post(&list).await;
            assert_eq!((status, answer["errors"].as_array().unwrap().len()), (400, 1), "{list}");
            let message = answer["errors"][0]["message"].as_str().unwrap();
            assert!(message.starts_with("the request is not understood: "), "{message}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn the_kept_answers_of_one_caller_are_not_those_of_another_in_a_list_either() {
    let world = World::new(Database::sqlite(), (0..4).map(|i| tenant(&format!("t{i}"), i, 9)).collect()).await;
    let app = world.start_with(with_keys).await;
    app.collect().await;
    let names = json!({ "query": "{ tenants { totalCount } }" }).to_string();
    let list = format!("[{names},{}]", json!({ "query": QUOTA }));
    for _ in 0..2 {
        for (key, count, sees) in [("all", 4, true), ("few", 3, true), ("one", 1, false), ("few-too", 3, true)] {
            let answer = ask_as(&app, key, list.clone()).await;
            assert_eq!(answer[0], json!({ "data": { "tenants": { "totalCount": count } } }), "{key}");
            assert_eq!(answer[1]["data"]["tenant"].is_object(), sees, "{key}");
            assert_eq!(ask_as(&app, key, names.clone()).await, answer[0]);
        }
    }
    assert!(hits(&app).await >= 12, "{}", hits(&app).await);
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
    let operation = |query: &str| json!({ "query": query }).to_string();
    for step in 0..1500 {
        if random.random_range(0..4) == 0 {
            stir(&world, &app, &mut random).await;
        }
        let key = *["all", "few", "few-too", "one"].choose(&mut random).unwrap();
        let count = *[1, 1, 1, 2, 3].choose(&mut random).unwrap();
        let asked: Vec<_> = (0..count).map(|_| queries.choose(&mut random).unwrap().clone()).collect();
        // A request that was never made before is executed. A stale value is refreshed in the background, so what is known may change between.
        let execute = async |place: &str| {
            let mut answers = Vec::new();
            for query in &asked {
                answers.push(ask_as(&app, key, operation(&format!("{query} # {place} {step} {}", answers.len()))).await);
            }
            answers
        };
        let before = execute("before").await;
        let list: Vec<_> = asked.iter().map(|query| operation(query)).collect();
        let kept = match &*list {
            [alone] => vec![ask_as(&app, key, alone.clone()).await],
            _ => ask_as(&app, key, format!("[{}]", list.join(", "))).await.as_array().unwrap().clone(),
        };
        if kept != before {
            let after = execute("after").await;
            for place in 0..count {
                let expected = [&before[place], &after[place]];
                assert!(expected.contains(&&kept[place]), "step {step}: {key} asked {asked:?}: {kept:?}, but {expected:?}");
            }
        }
    }
    assert!(hits(&app).await > 200, "the test meets kept answers: {}", hits(&app).await);
    app.stop().await;
}
