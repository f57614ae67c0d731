//! Several replicas with one database.

use serde_json::json;

use super::{changes_of, record, since, told};
use crate::support::app::{Database, World, tenant};
use crate::support::subscriber::Socket;

#[tokio::test]
async fn what_one_replica_records_reaches_the_subscribers_of_another_and_its_cache() {
    let world = World::new(Database::postgres().await, vec![tenant("acme", 10, 100), tenant("bolt", 20, 100)]).await;
    let (one, other) = (world.start().await, world.start().await);
    record(&one, "acme", 0, 10).await;
    let allocated = "{ tenant(id: \"acme\") { spaceAllocation { allocated } } }";
    assert_eq!(other.data(allocated).await["tenant"]["spaceAllocation"]["allocated"], 10.0);

    let mut socket = Socket::init(&other, json!({})).await;
    socket.subscribe(&since(&world.now().to_string())).await;
    record(&one, "acme", 300, 11).await;
    let change = socket.change().await;
    assert_eq!(change, told("acme", Some((0, 10)), (300, 11)));
    // A finished answer of the other replica is dropped at once.
    assert_eq!(other.data(allocated).await["tenant"]["spaceAllocation"]["allocated"], 11.0);

    // Wherever one goes on, one misses nothing.
    let mut socket = Socket::init(&one, json!({})).await;
    socket.subscribe(&since(change["recordedAt"].as_str().unwrap())).await;
    record(&other, "bolt", 300, 20).await;
    record(&one, "bolt", 600, 21).await;
    let mut bolt = told("bolt", None, (300, 20));
    let recorded_at = "2026-03-02T12:05:00.000001Z";
    (bolt["recordedAt"], bolt["after"]["observedAt"]) = (json!(recorded_at), json!(recorded_at));
    assert_eq!(socket.change().await, bolt);
    assert_eq!(socket.change().await, told("bolt", Some((300, 20)), (600, 21)));
    drop(socket);
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn without_listening_changes_of_other_replicas_are_found_all_the_same() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 100)]).await;
    let (one, other) = (world.start().await, world.start().await);
    let mut socket = Socket::init(&other, json!({})).await;
    socket.subscribe(&changes_of("")).await;
    record(&one, "acme", 0, 10).await;
    assert_eq!(socket.change().await, told("acme", None, (0, 10)));
    drop(socket);
    one.stop().await;
    other.stop().await;
}
