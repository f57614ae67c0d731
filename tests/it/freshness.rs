//! Which answers the cache gives, at which age, and how often it asks the upstream for them. The test's clock stands still.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::outage::Flow;

async fn ask(app: &TestApp, arguments: &str) -> (Value, Value) {
    let query = format!("{{ tenant {{ spaceAllocation{arguments} {{ allocated source }} }} }}");
    let mut data = app.data(&query).await;
    let answer = data["tenant"]["spaceAllocation"].take();
    (answer["allocated"].clone(), answer["source"].clone())
}

/// Waits until the refresh behind an answer has reached the cache, by asking for it.
async fn settle(app: &TestApp) {
    // A demand that memory cannot meet joins the call under way.
    app.ask("{ tenant { spaceAllocation(maxAge: \"PT1S\") { allocated } } }").await;
}

#[tokio::test]
async fn a_fresh_answer_is_served_a_stale_one_is_served_and_refreshed_behind_an_old_one_is_awaited() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 9)]).await;
    let app = world.start().await;
    let upstream = world.upstream("acme");
    assert_eq!(ask(&app, "").await, (json!(1.0), json!("LIVE")));
    assert_eq!(ask(&app, "").await, (json!(1.0), json!("CACHE")));

    world.set_values("acme", &[(0, 2, 9)]);
    world.advance_s(360);
    assert_eq!(ask(&app, "").await, (json!(1.0), json!("CACHE")), "fresh_for is inclusive");
    assert_eq!(upstream.hits(), 1);

    world.advance_s(1);
    assert_eq!(ask(&app, "").await, (json!(1.0), json!("STALE")), "served at once");
    settle(&app).await;
    assert_eq!(upstream.hits(), 2, "refreshed behind, once");
    assert_eq!(ask(&app, "").await, (json!(2.0), json!("CACHE")));

    world.set_values("acme", &[(0, 3, 9)]);
    world.advance_s(24 * 3600 + 1);
    assert_eq!(ask(&app, "").await, (json!(3.0), json!("LIVE")), "past stale_for it is awaited");
    assert_eq!(upstream.hits(), 3);
    app.stop().await;
}

#[tokio::test]
async fn max_age_decides_what_will_do() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 9)]).await;
    let app = world.start().await;
    ask(&app, "").await;
    world.advance_s(60);
    assert_eq!(ask(&app, "(maxAge: \"PT1M\")").await.1, "CACHE");
    assert_eq!(ask(&app, "(maxAge: \"PT59S\")").await.1, "LIVE");
    assert_eq!(ask(&app, "(maxAge: \"PT0S\")").await.1, "LIVE", "zero always asks the upstream");
    assert_eq!(world.upstream("acme").hits(), 3);
    world.advance_s(3 * 24 * 3600);
    assert_eq!(ask(&app, "(maxAge: \"P1W\")").await.1, "STALE", "the caller may allow more than stale_for");
    app.stop().await;
}

#[tokio::test]
async fn when_the_upstream_fails_the_last_value_is_served_and_marked_or_the_error_as_the_caller_wants() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 9)]).await;
    let app = world.start().await;
    ask(&app, "").await;
    world.set_behaviour("acme", json!({ "status": 500 }));
    world.advance_s(2 * 24 * 3600);
    assert_eq!(ask(&app, "").await, (json!(1.0), json!("STALE")));
    assert_eq!(ask(&app, "(maxAge: \"PT0S\")").await, (json!(1.0), json!("STALE")));
    let (code, _) = app.error("{ tenant { spaceAllocation(onFailure: ERROR) { allocated } } }").await;
    assert_eq!(code, "UPSTREAM_UNAVAILABLE");
    app.stop().await;
}

#[tokio::test]
async fn a_failure_is_never_kept_as_a_value() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 9)]).await;
    let app = world.start().await;
    for behaviour in [json!({ "code": 13_000_301 }), json!({ "status": 401 }), json!({ "garbage": "negative" })] {
        world.set_behaviour("acme", behaviour);
        app.error("{ tenant { spaceAllocation { allocated } } }").await;
    }
    world.set_behaviour("acme", json!({}));
    assert_eq!(ask(&app, "").await, (json!(1.0), json!("LIVE")));
    let snapshots = app.data("{ tenant { snapshots { nodes { observations } } } }").await;
    assert!(snapshots["tenant"]["snapshots"]["nodes"].as_array().unwrap().len() <= 1, "failures leave no snapshot");
    app.stop().await;
}

#[tokio::test]
async fn five_hundred_concurrent_readers_make_one_call() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 9)]).await;
    world.set_behaviour("acme", json!({ "delay_ms": 1000 }));
    let app = world.start().await;
    // Demands that differ, so that each reader waits for itself.
    let demands: Vec<_> = (0..500).map(|i| format!("(maxAge: \"PT{}S\")", 3600 + i)).collect();
    let answers = join_all(demands.iter().map(|demand| ask(&app, demand))).await;
    assert!(answers.iter().all(|(allocated, _)| *allocated == json!(1.0)));
    assert_eq!(world.upstream("acme").hits(), 1);
    assert!(app.metric("quotagraph_cache_coalesced_waits_total").await > 0);
    app.stop().await;
}

#[tokio::test]
async fn readers_that_demand_a_live_answer_share_the_call_under_way() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 9)]).await;
    world.set_behaviour("acme", json!({ "delay_ms": 500 }));
    let app = world.start().await;
    let answers = join_all((0..50).map(|_| ask(&app, "(maxAge: \"PT0S\")"))).await;
    assert!(answers.iter().all(|answer| *answer == (json!(1.0), json!("LIVE"))));
    assert!(world.upstream("acme").hits() < 10, "{} calls for 50 readers", world.upstream("acme").hits());
    app.stop().await;
}

#[tokio::test]
async fn the_cache_counts_hits_misses_and_stale_answers() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 9)]).await;
    // Without finished answers in front of it, which would take the repeated query.
    let app = world.start_with(|config| config.cache.answer_bytes = 0).await;
    ask(&app, "").await;
    ask(&app, "").await;
    ask(&app, "").await;
    world.advance_s(400);
    ask(&app, "").await;
    assert_eq!(app.metric("quotagraph_cache_misses_total").await, 1);
    assert_eq!(app.metric("quotagraph_cache_hits_total").await, 2);
    assert_eq!(app.metric("quotagraph_cache_stale_answers_total").await, 1);
    app.stop().await;
}

async fn the_newest_stored_run_is_known_after_a_restart(database: Database) {
    let world = World::new(database, vec![tenant("acme", 1, 9)]).await;
    let app = world.start().await;
    app.collect().await;
    world.set_values("acme", &[(0, 5, 9), (3, 1, 1)]);
    world.advance_s(300);
    app.collect().await;
    app.stop().await;

    world.set_behaviour("acme", json!({ "status": 503 }));
    let hits = world.upstream("acme").hits();
    let app = world.start().await;
    world.advance_s(60);
    assert_eq!(ask(&app, "").await, (json!(6.0), json!("STORED")));
    assert_eq!(world.upstream("acme").hits(), hits, "fresh enough, so nobody was asked");
    world.advance_s(3600);
    assert_eq!(ask(&app, "").await, (json!(6.0), json!("STORED")));
    world.advance_s(48 * 3600);
    assert_eq!(ask(&app, "").await, (json!(6.0), json!("STORED")), "the last known value, of whatever age");
    assert!(world.upstream("acme").hits() > hits);
    app.stop().await;
}

#[tokio::test]
async fn the_newest_stored_run_is_known_after_a_restart_with_sqlite() {
    the_newest_stored_run_is_known_after_a_restart(Database::sqlite()).await;
}

#[tokio::test]
async fn the_newest_stored_run_is_known_after_a_restart_with_postgres() {
    the_newest_stored_run_is_known_after_a_restart(Database::postgres().await).await;
}

#[tokio::test]
async fn a_replica_finds_what_another_one_recorded_before_it_asks_the_upstream() {
    let world = World::new(Database::postgres().await, vec![tenant("acme", 1, 9)]).await;
    let (one, other) = (world.start().await, world.start().await);
    assert_eq!(ask(&one, "").await.1, "LIVE");
    one.data("mutation { refreshSpaceAllocation(tenantId: \"acme\") { allocated } }").await;
    let hits = world.upstream("acme").hits();
    assert_eq!(ask(&other, "").await, (json!(1.0), json!("STORED")));
    assert_eq!(world.upstream("acme").hits(), hits);
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn nothing_that_was_cached_for_a_former_credential_is_served_for_a_new_one() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 9), tenant("other", 5, 9)]).await;
    let app = world.start().await;
    app.data("{ tenants { nodes { spaceAllocation { allocated } } } }").await;
    // The tenant acme is given the account of the other one.
    let mut moved = world.tenants[0].watched(&world.simulator);
    moved.account.credential = world.tenants[1].watched(&world.simulator).account.credential;
    app.handle.replace_tenants(vec![moved]).await.unwrap();
    let answer = app.data("{ tenant { spaceAllocation { source } } }").await;
    assert_ne!(answer["tenant"]["spaceAllocation"]["source"], "CACHE");
    assert_eq!(ask(&app, "(maxAge: \"PT0S\")").await, (json!(5.0), json!("LIVE")));
    app.stop().await;
}

/// What is said of the value 1, a minute old and fresh for others, by demands that it meets and that it does not.
const WHILE_THE_UPSTREAM_IS_AWAY: [(&str, bool); 7] = [
    ("", true),
    ("(maxAge: \"PT1M\")", true),
    ("(maxAge: \"P292Y\")", true),
    ("(maxAge: \"PT59S\")", false),
    ("(maxAge: \"PT0.5S\")", false),
    ("(maxAge: \"PT0S\")", false),
    ("(maxAge: \"PT59S\", spaceType: 0)", false),
];

#[tokio::test]
async fn an_answer_that_is_older_than_its_reader_demands_is_stale_however_fresh_it_is_for_others() {
    let world = World::new(Database::postgres().await, vec![tenant("acme", 1, 9)]).await;
    let app = world.start().await;
    app.collect().await;
    world.advance_s(60);
    world.set_behaviour("acme", json!({ "status": 500 }));
    let restarted = world.start().await;
    for (app, met) in [(&app, "CACHE"), (&restarted, "STORED")] {
        // Twice: neither is it kept as an answer.
        for (arguments, is_met) in WHILE_THE_UPSTREAM_IS_AWAY.iter().chain(&WHILE_THE_UPSTREAM_IS_AWAY) {
            let expected = if *is_met { met } else { "STALE" };
            assert_eq!(ask(app, arguments).await, (json!(1.0), json!(expected)), "{arguments}");
            let places = [
                format!("{{ tenants {{ nodes {{ spaceAllocation{arguments} {{ source }} }} }} }}"),
                format!("{{ fleet {{ top {{ tenant {{ spaceAllocation{arguments} {{ source }} }} }} }} }}"),
                format!(
                    "{{ _entities(representations: [{{ __typename: \"Tenant\", id: \"acme\" }}]) {{ ... on Tenant {{ spaceAllocation{arguments} {{ source }} }} }} }}"
                ),
            ];
            for query in places {
                let answer = app.data(&query).await.to_string();
                assert!(answer.contains(&format!("\"source\":\"{expected}\"")), "{query}: {answer}");
            }
        }
        let (code, _) = app.error("{ tenant { spaceAllocation(maxAge: \"PT59S\", onFailure: ERROR) { allocated } } }").await;
        assert_eq!(code, "UPSTREAM_UNAVAILABLE");
    }
    world.set_behaviour("acme", json!({}));
    world.advance_s(120);
    assert_eq!(ask(&app, "(maxAge: \"PT59S\")").await.1, "LIVE", "as soon as it can be had");
    // What the one has recorded by now the other may find.
    let source = ask(&restarted, "(maxAge: \"PT59S\")").await.1;
    assert!(source == "LIVE" || source == "STORED", "{source}");
    app.stop().await;
    restarted.stop().await;
}

#[tokio::test]
async fn what_a_refresh_behind_finds_in_the_database_is_no_live_answer() {
    let (database, way) = Database::cuttable().await;
    let world = World::new(database, vec![tenant("acme", 1, 9)]).await;
    let (app, other) = (world.start().await, world.start().await);
    assert_eq!(ask(&app, "").await.1, "LIVE");
    world.advance_s(361);
    // An equal sample, of which no other replica is told.
    other.data("mutation { refreshSpaceAllocation(tenantId: \"acme\") { allocated } }").await;
    world.set_values("acme", &[(0, 2, 9)]);
    way.set_flow(Flow::Slow(Duration::from_millis(40)));
    assert_eq!(ask(&app, "").await, (json!(1.0), json!("STALE")), "and it is looked for in the database, behind");
    assert_eq!(ask(&app, "(maxAge: \"PT0S\")").await, (json!(2.0), json!("LIVE")));
    way.set_flow(Flow::Free);
    app.stop().await;
    other.stop().await;
}
