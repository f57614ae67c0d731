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
