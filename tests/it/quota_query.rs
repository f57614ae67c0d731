//! A portal asks for a tenant's quota.

use serde_json::json;

use crate::support::app::{Database, World, tenant};

const QUOTA: &str = "{ tenant { spaceAllocation { allocated total utilization } } }";

#[tokio::test]
async fn the_literal_query_of_the_portals_is_answered_by_one_signed_call() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1000, 2000)]).await;
    let app = world.start().await;
    let answer = app.data(QUOTA).await;
    assert_eq!(answer, json!({ "tenant": { "spaceAllocation": { "allocated": 1000.0, "total": 2000.0, "utilization": 0.5 } } }));
    app.data(QUOTA).await;
    assert_eq!((world.upstream("acme").hits(), world.upstream("acme").refused()), (1, 0));
    app.stop().await;
}

#[tokio::test]
async fn sizes_convert_by_powers_of_two_and_types_are_kept_apart() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 0, 0)]).await;
    world.set_values("acme", &[(0, 1536, 2048), (7, 4096, 1024)]);
    let app = world.start().await;
    let answer = app
        .data(
            "{ tenant(id: \"acme\") { spaceAllocation { allocated(unit: TB) total(unit: MB) available bytes: allocated(unit: BYTE)
                 byType { spaceType allocated(unit: KB) total(unit: PB) available utilization } } } }",
        )
        .await;
    let expected = json!({
        "allocated": 5.5, "total": 3_145_728.0, "available": -2560.0, "bytes": 5632.0 * 1_073_741_824.0,
        "byType": [
            { "spaceType": 0, "allocated": 1_610_612_736.0, "total": 0.001_953_125, "available": 512.0, "utilization": 0.75 },
            { "spaceType": 7, "allocated": 4_294_967_296.0, "total": 0.000_976_562_5, "available": -3072.0, "utilization": 4.0 },
        ],
    });
    assert_eq!(answer["tenant"]["spaceAllocation"], expected);
    app.stop().await;
}

#[tokio::test]
async fn one_space_type_can_be_asked_for_and_one_that_is_not_listed_is_null() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 0, 0)]).await;
    world.set_values("acme", &[(0, 100, 200), (2, 7, 0)]);
    let app = world.start().await;
    let answer = app
        .data(
            "{ tenant { two: spaceAllocation(spaceType: 2) { allocated total utilization byType { spaceType } }
                        three: spaceAllocation(spaceType: 3) { allocated } } }",
        )
        .await;
    let two = json!({ "allocated": 7.0, "total": 0.0, "utilization": null, "byType": [{ "spaceType": 2 }] });
    assert_eq!(answer["tenant"], json!({ "two": two, "three": null }));
    app.stop().await;
}

#[tokio::test]
async fn sums_of_64_bit_sizes_do_not_overflow() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 0, 0)]).await;
    world.set_values("acme", &[(0, i64::MAX, i64::MAX), (1, i64::MAX, i64::MAX)]);
    let app = world.start().await;
    let answer = app.data("{ tenant { spaceAllocation { allocated available utilization } } }").await;
    let allocated = answer["tenant"]["spaceAllocation"]["allocated"].as_f64().unwrap();
    assert_eq!(allocated.to_bits(), 18_446_744_073_709_551_614.0_f64.to_bits());
    assert_eq!(answer["tenant"]["spaceAllocation"]["available"], 0.0);
    app.stop().await;
}

#[tokio::test]
async fn a_tenant_that_does_not_exist_is_null() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 2)]).await;
    let app = world.start().await;
    assert_eq!(app.data("{ tenant(id: \"nobody\") { id } }").await, json!({ "tenant": null }));
    assert_eq!(app.data("{ tenant(id: \"not an id!\") { id } }").await, json!({ "tenant": null }));
    app.stop().await;
}

#[tokio::test]
async fn without_an_id_the_default_tenant_is_meant_or_the_only_one_and_else_it_is_an_error() {
    let world = World::new(Database::sqlite(), vec![tenant("a", 1, 2), tenant("b", 3, 4)]).await;
    let app = world.start_with(|config| config.server.default_tenant = Some("b".parse().unwrap())).await;
    assert_eq!(app.data("{ tenant { id } }").await, json!({ "tenant": { "id": "b" } }));
    app.stop().await;
    let app = world.start().await;
    let (code, message) = app.error("{ tenant { id } }").await;
    assert_eq!(code, "BAD_USER_INPUT");
    assert_eq!(message, "id is required: you may see several tenants, and none of them is server.default_tenant");
    app.stop().await;
}

/// Behaviour of the upstream, then the code and the upstream's own code that the caller sees, and how often the upstream is hit by a
/// query with two retries.
#[tokio::test]
async fn each_failure_of_the_upstream_has_its_code_and_its_number_of_hits() {
    let cases = [
        (json!({ "code": 13_000_301 }), "UPSTREAM_REJECTED", Some("13000301"), 1),
        (json!({ "code": 13_000_102 }), "UPSTREAM_REJECTED", Some("13000102"), 1),
        (json!({ "status": 400 }), "UPSTREAM_REJECTED", None, 1),
        (json!({ "status": 401 }), "UPSTREAM_REJECTED", None, 1),
        (json!({ "status": 403 }), "UPSTREAM_REJECTED", None, 1),
        (json!({ "status": 404 }), "UPSTREAM_REJECTED", None, 1),
        (json!({ "status": 429 }), "UPSTREAM_OVERLOADED", None, 3),
        (json!({ "status": 429, "retry_after_s": 3600 }), "UPSTREAM_OVERLOADED", None, 1),
        (json!({ "status": 500 }), "UPSTREAM_UNAVAILABLE", None, 3),
        (json!({ "status": 502 }), "UPSTREAM_UNAVAILABLE", None, 3),
        (json!({ "status": 503 }), "UPSTREAM_UNAVAILABLE", None, 3),
        (json!({ "status": 504 }), "UPSTREAM_UNAVAILABLE", None, 3),
        (json!({ "status": 302 }), "UPSTREAM_INVALID", None, 1),
        (json!({ "garbage": "html" }), "UPSTREAM_INVALID", None, 1),
        (json!({ "garbage": "not_json" }), "UPSTREAM_INVALID", None, 1),
        (json!({ "garbage": "negative" }), "UPSTREAM_INVALID", None, 1),
        (json!({ "garbage": "duplicate_type" }), "UPSTREAM_INVALID", None, 1),
        (json!({ "garbage": "too_large" }), "UPSTREAM_INVALID", None, 1),
    ];
    let tenants = (0..cases.len()).map(|i| tenant(&format!("t{i}"), 1, 2)).collect();
    let world = World::new(Database::sqlite(), tenants).await;
    let app = world.start_with(|config| config.upstream.retries = 2).await;
    let asks = cases.iter().enumerate().map(|(i, (behaviour, code, upstream_code, hits))| {
        let (world, app) = (&world, &app);
        async move {
            let id = format!("t{i}");
            world.set_behaviour(&id, behaviour.clone());
            let query = format!("{{ tenant(id: \"{id}\") {{ name spaceAllocation {{ allocated }} }} }}");
            let answer = app.ask(&query).await;
            // One field is null; the rest of the document answers.
            assert_eq!(answer["data"]["tenant"], json!({ "name": format!("{id} Ltd"), "spaceAllocation": null }), "{behaviour}");
            let error = &answer["errors"][0];
            assert_eq!(error["extensions"]["code"], *code, "{behaviour}: {answer}");
            assert_eq!(error["path"], json!(["tenant", "spaceAllocation"]));
            if let Some(upstream_code) = upstream_code {
                assert_eq!(error["extensions"]["upstreamCode"], *upstream_code, "{behaviour}");
            }
            assert_eq!(world.upstream(&id).hits(), *hits, "{behaviour}");
        }
    });
    futures_util::future::join_all(asks).await;
    app.stop().await;
}

#[tokio::test]
async fn history_still_answers_while_the_upstream_is_down() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 20)]).await;
    let app = world.start().await;
    app.collect().await;
    world.advance_s(600);
    world.set_behaviour("acme", json!({ "status": 503 }));
    let answer = app
        .ask(
            "{ tenant { now: spaceAllocation(maxAge: \"PT0S\", onFailure: ERROR) { allocated }
                        snapshots { nodes { allocated observations } } collection { consecutiveFailures } } }",
        )
        .await;
    assert_eq!(answer["data"]["tenant"]["now"], json!(null));
    assert_eq!(answer["data"]["tenant"]["snapshots"]["nodes"], json!([{ "allocated": 10.0, "observations": 1 }]));
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UPSTREAM_UNAVAILABLE");
    app.stop().await;
}

#[tokio::test]
async fn a_refresh_asks_the_upstream_records_the_snapshot_and_is_limited_per_tenant() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 20), tenant("other", 1, 2)]).await;
    let app = world.start_with(|config| config.limits.refreshes_per_minute = 2).await;
    let refresh = "mutation { refreshSpaceAllocation(tenantId: \"acme\") { allocated source } }";
    let first = app.data(refresh).await;
    assert_eq!(first["refreshSpaceAllocation"], json!({ "allocated": 10.0, "source": "LIVE" }));
    world.set_values("acme", &[(0, 11, 20)]);
    world.advance_s(1);
    assert_eq!(app.data(refresh).await["refreshSpaceAllocation"]["allocated"], 11.0);
    let (code, message) = app.error(refresh).await;
    assert_eq!(code, "RATE_LIMITED");
    assert!(message.contains("try again in 29 s"), "{message}");
    assert_eq!(world.upstream("acme").hits(), 2);
    app.data("mutation { refreshSpaceAllocation(tenantId: \"other\") { allocated } }").await;
    world.advance_s(29);
    app.data(refresh).await;

    let snapshots = app.data("{ tenant(id: \"acme\") { snapshots { nodes { allocated } } } }").await;
    assert_eq!(snapshots["tenant"]["snapshots"]["nodes"], json!([{ "allocated": 10.0 }, { "allocated": 11.0 }]));
    let (code, message) = app.error("mutation { refreshSpaceAllocation(tenantId: \"nobody\") { allocated } }").await;
    assert_eq!((code.as_str(), message.as_str()), ("BAD_USER_INPUT", "tenantId: there is no such tenant"));
    app.stop().await;
}
