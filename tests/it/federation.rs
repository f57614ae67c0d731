//! The service as a subgraph of an Apollo Federation.

use serde_json::json;

use crate::support::app::{Database, World, tenant};

const ENTITIES: &str = "query($these: [_Any!]!) { _entities(representations: $these) {
    ... on Tenant { id name spaceAllocation { allocated source } } } }";

#[tokio::test]
async fn entities_are_tenants_by_their_id_loaded_together_and_null_where_there_is_none() {
    let tenants = (0..50).map(|i| tenant(&format!("t{i}"), i, 100)).collect();
    let world = World::new(Database::postgres().await, tenants).await;
    let app = world.start().await;
    app.collect().await;
    app.stop().await;
    let app = world.start().await;
    let hits = world.simulator.hits();
    let mut these: Vec<_> = (0..50).map(|i| json!({ "__typename": "Tenant", "id": format!("t{i}") })).collect();
    these.push(json!({ "__typename": "Tenant", "id": "nobody" }));
    let answer = app.ask_with(ENTITIES, json!({ "these": these })).await;
    assert!(answer.get("errors").is_none(), "{answer}");
    let entities = answer["data"]["_entities"].as_array().unwrap();
    assert_eq!(entities.len(), 51);
    let seventh = json!({ "id": "t7", "name": "t7 Ltd", "spaceAllocation": { "allocated": 7.0, "source": "STORED" } });
    assert_eq!(entities[7], seventh);
    assert_eq!(entities[50], json!(null));
    assert_eq!(world.simulator.hits(), hits);
    app.stop().await;
}

#[test]
fn the_subgraphs_schema_names_the_entity_and_its_key() {
    let sdl = quotagraph::graphql::federation_sdl();
    assert!(sdl.contains("type Tenant @key(fields: \"id\")"), "{sdl}");
    assert!(sdl.contains("https://specs.apollo.dev/federation/v2"), "{sdl}");
}

#[tokio::test]
async fn gateways_are_told_of_the_subscription_by_the_schema_that_is_printed_and_by_the_one_that_is_asked_for() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 9)]).await;
    let app = world.start().await;
    let answer = app.data("{ _service { sdl } }").await;
    let asked = answer["_service"]["sdl"].as_str().unwrap();
    for sdl in [asked, &quotagraph::graphql::federation_sdl()] {
        let subscription = sdl.split_once("type Subscription {").unwrap_or_else(|| panic!("{sdl}")).1;
        assert!(subscription.contains("spaceAllocationChanged("), "{sdl}");
    }
    app.stop().await;
}

#[tokio::test]
async fn five_hundred_entities_are_loaded_together() {
    let world = World::new(Database::sqlite(), (0..500).map(|i| tenant(&format!("t{i}"), i, 1000)).collect()).await;
    let app = world.start().await;
    app.collect().await;
    let these: Vec<_> = (0..500).map(|i| json!({ "__typename": "Tenant", "id": format!("t{i}") })).collect();
    let answer = app.ask_with(ENTITIES, json!({ "these": these })).await;
    assert!(answer.get("errors").is_none(), "{answer:.300}");
    let allocated = |entity: &serde_json::Value| entity["spaceAllocation"]["allocated"].as_f64().unwrap();
    assert!(answer["data"]["_entities"].as_array().unwrap().iter().map(allocated).eq((0..500).map(f64::from)));
    app.stop().await;
}
