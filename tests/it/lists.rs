//! Lists of tenants: filters, orders, pages, and that they load in batches.

use serde_json::{Value, json};

use crate::support::app::{Database, TestApp, World, tenant};

/// Ten tenants `t0` to `t9`; `t3` has no known allocation.
async fn world(database: Database) -> (World, TestApp) {
    let names = ["Nova", "alpha", "Zeta", "beta", "Gamma", "delta", "Eta", "theta", "Iota", "Kappa"];
    let tenants = (0..).zip(names).map(|(i, name)| {
        let mut setup = tenant(&format!("t{i}"), (i * 7 % 10) * 10, 100);
        setup.name = format!("{name} Co");
        setup.labels = vec![("region", if i % 2 == 0 { "north" } else { "south" }), ("plan", if i < 5 { "basic" } else { "pro" })];
        setup
    });
    let world = World::new(database, tenants.collect()).await;
    world.set_behaviour("t3", json!({ "status": 401 }));
    let app = world.start().await;
    assert_eq!(app.collect().await, 10);
    (world, app)
}

async fn ids(app: &TestApp, arguments: &str) -> Vec<String> {
    let data = app.data(&format!("{{ tenants{arguments} {{ nodes {{ id }} }} }}")).await;
    data["tenants"]["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn tenants_are_filtered_by_every_condition() {
    let (_world, app) = world(Database::sqlite()).await;
    assert_eq!(ids(&app, "").await, ["t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9"]);
    assert_eq!(ids(&app, "(where: { ids: [\"t7\", \"t2\", \"no\"] })").await, ["t2", "t7"]);
    assert_eq!(ids(&app, "(where: { nameContains: \"ETA\" })").await, ["t2", "t3", "t6", "t7"]);
    assert_eq!(
        ids(&app, "(where: { labels: [{ key: \"region\", value: \"south\" }, { key: \"plan\", value: \"pro\" }] })").await,
        ["t5", "t7", "t9"]
    );
    assert_eq!(ids(&app, "(where: { utilizationAtLeast: 0.8 })").await, ["t4", "t7"]);
    assert_eq!(ids(&app, "(where: { utilizationBelow: 0.1 })").await, ["t0"], "a tenant without a known value meets no condition");
    let both = "(where: { utilizationAtLeast: 0.4, utilizationBelow: 0.6, nameContains: \"e\" })";
    assert_eq!(ids(&app, both).await, ["t2", "t5"]);
    app.stop().await;
}

#[tokio::test]
async fn tenants_are_sorted_and_unknown_ones_come_last() {
    let (_world, app) = world(Database::sqlite()).await;
    let by = |sort: &str, direction: &str| format!("(orderBy: {{ by: {sort}, direction: {direction} }})");
    assert_eq!(ids(&app, &by("ID", "DESC")).await.first().unwrap(), "t9");
    assert_eq!(ids(&app, &by("NAME", "ASC")).await, ["t1", "t3", "t5", "t6", "t4", "t8", "t9", "t0", "t7", "t2"]);
    // Allocated is 0 70 40 - 80 50 20 90 60 30 for t0 to t9.
    assert_eq!(ids(&app, &by("ALLOCATED", "ASC")).await, ["t0", "t6", "t9", "t2", "t5", "t8", "t1", "t4", "t7", "t3"]);
    assert_eq!(ids(&app, &by("UTILIZATION", "DESC")).await, ["t7", "t4", "t1", "t8", "t5", "t2", "t9", "t6", "t0", "t3"]);
    assert_eq!(ids(&app, &by("AVAILABLE", "DESC")).await, ["t0", "t6", "t9", "t2", "t5", "t8", "t1", "t4", "t7", "t3"]);
    assert_eq!(ids(&app, &by("TOTAL", "DESC")).await, ["t0", "t1", "t2", "t4", "t5", "t6", "t7", "t8", "t9", "t3"]);
    app.stop().await;
}

#[tokio::test]
async fn pages_forwards_and_backwards_hold_every_tenant_once() {
    let (_world, app) = world(Database::sqlite()).await;
    let order = "orderBy: { by: UTILIZATION, direction: DESC }";
    let all = ids(&app, &format!("({order})")).await;
    let page = |arguments: String| {
        let app = &app;
        async move {
            let query = format!(
                "{{ tenants({order}, {arguments}) {{ totalCount edges {{ cursor node {{ id }} }}
                     pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
            );
            app.data(&query).await["tenants"].clone()
        }
    };
    let page_ids = |page: &Value| -> Vec<String> {
        page["edges"].as_array().unwrap().iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()).collect()
    };

    let mut forwards = Vec::new();
    let mut arguments = "first: 4".to_owned();
    loop {
        let page = page(arguments).await;
        assert_eq!(page["totalCount"], 10);
        assert_eq!(page["pageInfo"]["hasPreviousPage"], !forwards.is_empty());
        forwards.extend(page_ids(&page));
        assert!(forwards.len() <= all.len(), "{forwards:?}");
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        arguments = format!("first: 4, after: {}", page["pageInfo"]["endCursor"]);
    }
    assert_eq!(forwards, all);

    let mut backwards = Vec::new();
    let mut arguments = "last: 3".to_owned();
    loop {
        let page = page(arguments).await;
        backwards.splice(0..0, page_ids(&page));
        assert!(backwards.len() <= all.len(), "{backwards:?}");
        if page["pageInfo"]["hasPreviousPage"] == false {
            break;
        }
        arguments = format!("last: 3, before: {}", page["pageInfo"]["startCursor"]);
    }
    assert_eq!(backwards, all);
    app.stop().await;
}

#[tokio::test]
async fn wrong_page_arguments_are_refused_by_name() {
    let (_world, app) = world(Database::sqlite()).await;
    for (arguments, sentence) in [
        ("first: -1", "first: must not be negative"),
        ("last: -1", "last: must not be negative"),
        ("first: 1001", "first: must be at most 1000"),
        ("first: 1, last: 1", "last: cannot go with first; give one of them"),
        ("after: \"!\"", "after: is not a cursor of this list"),
        ("before: \"czoxOjE\"", "before: is not a cursor of this list"),
        ("after: \"dDowOjE6dDE6LQ\"", "after: is a cursor of another order"),
    ] {
        let (code, message) = app.error(&format!("{{ tenants({arguments}) {{ totalCount }} }}")).await;
        assert_eq!((code.as_str(), message.as_str()), ("BAD_USER_INPUT", sentence));
    }
    assert_eq!(ids(&app, "(first: 0)").await, Vec::<String>::new());
    app.stop().await;
}

#[tokio::test]
async fn a_hundred_known_tenants_are_listed_without_a_call_to_the_upstream() {
    let tenants = (0..120).map(|i| tenant(&format!("t{i:03}"), i, 1000)).collect();
    let world = World::new(Database::postgres().await, tenants).await;
    let app = world.start().await;
    app.collect().await;
    app.stop().await;
    // Another process: its memory is empty, the database is not.
    let app = world.start().await;
    let hits = world.simulator.hits();
    for _ in 0..2 {
        let list = app
            .data("{ tenants(first: 100) { nodes { id spaceAllocation { allocated source } collection { lastSuccessAt } } } }")
            .await;
        let nodes = list["tenants"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 100);
        assert!(
            nodes
                .iter()
                .all(|node| node["spaceAllocation"]["source"] == "STORED" && node["collection"]["lastSuccessAt"].is_string())
        );
        assert_eq!(nodes[42]["spaceAllocation"]["allocated"], 42.0);
    }
    assert_eq!(world.simulator.hits(), hits);
    app.stop().await;
}

#[tokio::test]
async fn the_snapshots_of_many_tenants_are_loaded_together_and_paged_each_by_itself() {
    for database in [Database::sqlite(), Database::postgres().await] {
        let (world, app) = world(database).await;
        world.advance_s(300);
        world.set_values("t1", &[(0, 71, 100), (4, 1, 1)]);
        app.collect().await;
        let list = app
            .data("{ tenants { nodes { id snapshots(first: 2) { nodes { spaceType allocated } pageInfo { hasNextPage } } } } }")
            .await;
        let of = |i: usize| list["tenants"]["nodes"][i]["snapshots"].clone();
        let two = json!([{ "spaceType": 0, "allocated": 70.0 }, { "spaceType": 0, "allocated": 71.0 }]);
        assert_eq!(of(1), json!({ "nodes": two, "pageInfo": { "hasNextPage": true } }));
        assert_eq!(of(2), json!({ "nodes": [{ "spaceType": 0, "allocated": 40.0 }], "pageInfo": { "hasNextPage": false } }));
        assert_eq!(of(3), json!({ "nodes": [], "pageInfo": { "hasNextPage": false } }));
        app.stop().await;
    }
}
