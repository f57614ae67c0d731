//! The end of the service, and outages of the database.

use super::{changes_of, record, since, told};
use crate::support::app::{Database, World, tenant};
use crate::support::subscriber::{Events, Socket};
use serde_json::json;

#[tokio::test]
async fn the_end_of_the_service_closes_connections_in_order_and_completes_nothing() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 100)]).await;
    let app = world.start().await;
    let mut socket = Socket::init(&app, json!({})).await;
    socket.subscribe(&changes_of("")).await;
    let mut events = Events::subscribe(&app, &changes_of(""), &[]).await;
    app.handle.stop();
    assert_eq!(socket.closing().await, (1001, "the service is stopping".to_owned()));
    assert_eq!(events.next().await, None);
    app.stop().await;
}

#[tokio::test]
async fn subscribers_stay_while_the_database_is_away_and_miss_nothing() {
    let (database, way) = Database::cuttable().await;
    let world = World::new(database, vec![tenant("acme", 10, 100)]).await;
    let app = world.start().await;
    let mut socket = Socket::init(&app, json!({})).await;
    socket.subscribe(&changes_of("")).await;
    record(&app, "acme", 0, 10).await;
    assert_eq!(socket.change().await, told("acme", None, (0, 10)));

    way.cut();
    // Somebody who asks for history now waits for it.
    let mut late = Socket::init(&app, json!({})).await;
    late.subscribe(&since(&super::at(-300).to_string())).await;
    assert!(app.store.record(&[super::seen("acme", 300_000, 11)]).await.is_err());
    way.mend();
    record(&app, "acme", 300, 11).await;
    assert_eq!(socket.change().await, told("acme", Some((0, 10)), (300, 11)));
    assert_eq!(late.change().await, told("acme", None, (0, 10)));
    assert_eq!(late.change().await, told("acme", Some((0, 10)), (300, 11)));
    drop((socket, late));
    app.stop().await;
}
