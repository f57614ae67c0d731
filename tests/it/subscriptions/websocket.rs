//! The subprotocol `graphql-transport-ws`.

use serde_json::{Value, json};

use super::{changes_of, record, told};
use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::process::until;
use crate::support::subscriber::{Socket, open};

async fn start() -> (World, TestApp) {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 100)]).await;
    let app = world.start().await;
    (world, app)
}

fn subscribe(id: &str, payload: &Value) -> Value {
    json!({ "type": "subscribe", "id": id, "payload": payload })
}

#[tokio::test]
async fn each_change_is_an_event_until_the_client_completes() {
    let (_world, app) = start().await;
    let mut socket = Socket::init(&app, json!({})).await;
    let id = socket.subscribe(&changes_of("")).await;
    assert_eq!(open(&app, "websocket"), 1);
    record(&app, "acme", 0, 10).await;
    assert_eq!(socket.change().await, told("acme", None, (0, 10)));
    record(&app, "acme", 300, 10).await;
    record(&app, "acme", 600, 11).await;
    let message = socket.hear().await;
    assert_eq!((&message["type"], &message["id"]), (&json!("next"), &json!(id)));
    assert_eq!(message["payload"]["data"]["spaceAllocationChanged"], told("acme", Some((300, 10)), (600, 11)));

    let (_, metrics) = app.get("/metrics").await;
    assert!(metrics.contains("quotagraph_subscription_events_total{transport=\"websocket\"} 2\n"), "{metrics}");

    socket.say(json!({ "type": "complete", "id": id })).await;
    until("the end", async || open(&app, "websocket") == 0).await;
    record(&app, "acme", 900, 12).await;
    socket.say(json!({ "type": "ping" })).await;
    assert_eq!(socket.hear().await, json!({ "type": "pong" }));
    drop(socket);
    app.stop().await;
}

#[tokio::test]
async fn queries_and_mutations_are_answered_and_completed() {
    let (_world, app) = start().await;
    let mut socket = Socket::init(&app, Value::Null).await;
    let query = "query($id: ID) { tenant(id: $id) { name } }";
    let mutation = "mutation { refreshSpaceAllocation(tenantId: \"acme\") { allocated } }";
    for (payload, data) in [
        (json!({ "query": query, "variables": { "id": "acme" } }), json!({ "tenant": { "name": "acme Ltd" } })),
        (json!({ "query": mutation }), json!({ "refreshSpaceAllocation": { "allocated": 10.0 } })),
        (json!({ "query": format!("{query} query Other {{ __typename }}"), "operationName": "Other" }), Value::Null),
    ] {
        if data.is_null() {
            continue;
        }
        socket.say(subscribe("q", &payload)).await;
        assert_eq!(socket.hear().await, json!({ "type": "next", "id": "q", "payload": { "data": data } }));
        assert_eq!(socket.hear().await, json!({ "type": "complete", "id": "q" }));
    }
    drop(socket);
    app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_executed_is_an_error_of_its_operation_and_the_connection_stays() {
    let (_world, app) = start().await;
    let mut socket = Socket::init(&app, json!({})).await;
    let twice = "subscription { a: spaceAllocationChanged { recordedAt } b: spaceAllocationChanged { recordedAt } }";
    let in_fragment = "subscription { ...F } fragment F on Subscription { spaceAllocationChanged { recordedAt } }";
    for (query, code) in [
        ("subscription { nothing }", "BAD_USER_INPUT"),
        ("{", "BAD_USER_INPUT"),
        ("", "BAD_USER_INPUT"),
        (twice, "BAD_USER_INPUT"),
        (in_fragment, "BAD_USER_INPUT"),
    ] {
        socket.say(subscribe("x", &json!({ "query": query }))).await;
        let message = socket.hear().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("x")), "{query}: {message}");
        assert_eq!(message["payload"][0]["extensions"]["code"], code, "{query}");
    }
    let query = changes_of("(since: \"yesterday\")");
    socket.say(subscribe("x", &json!({ "query": query }))).await;
    assert_eq!(socket.hear().await["payload"]["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    assert_eq!(socket.hear().await, json!({ "type": "complete", "id": "x" }));
    drop(socket);
    app.stop().await;
}

#[tokio::test]
async fn whoever_breaks_the_protocol_is_closed_with_its_code() {
    let (_world, app) = start().await;
    let init = json!({ "type": "connection_init" });
    let changes = json!({ "query": changes_of("") });
    for (messages, expected) in [
        (vec![subscribe("1", &changes)], (4401, "Unauthorized")),
        (vec![init.clone(), init.clone()], (4429, "Too many initialisation requests")),
        (vec![init.clone(), subscribe("1", &changes), subscribe("1", &changes)], (4409, "Subscriber for 1 already exists")),
        (vec![json!({ "type": "start", "id": "1" })], (4400, "the message is not understood: unknown variant `start`")),
        (
            vec![json!({ "type": "\u{202e}\u{2028}" })],
            (4400, "the message is not understood: unknown variant `\\u{202e}\\u{2028}`"),
        ),
        (vec![init.clone(), json!({ "type": "subscribe", "id": 7, "payload": {} })], (4400, "the message is not understood")),
    ] {
        let mut socket = Socket::open(&app, &[]).await.unwrap();
        for message in &messages {
            socket.say(message.clone()).await;
        }
        let (code, reason) = socket.closing().await;
        assert!(code == expected.0 && reason.starts_with(expected.1), "{messages:?}: {code} {reason}");
    }
    let query = json!("{__typename}");
    for text in [
        "[".to_owned(),
        json!(["ping", null]).to_string(),
        json!(["subscribe", "1", { "query": query }]).to_string(),
        json!({ "type": "subscribe", "id": "1", "payload": [query, null, {}, null, null] }).to_string(),
        json!({ "type": "subscribe", "id": "1", "payload": null }).to_string(),
        json!({ "type": "subscribe", "payload": { "query": query } }).to_string(),
        json!({ "type": "ping", "payload": [1] }).to_string(),
        subscribe(&"x".repeat(129), &json!({ "query": query })).to_string(),
        "{\"type\":\"ping\",\"type\":\"ping\"}".to_owned(),
    ] {
        let mut socket = Socket::init(&app, json!({})).await;
        socket.say_text(&text).await;
        let (code, reason) = socket.closing().await;
        assert_eq!(code, 4400, "{text}: {reason}");
    }
    let mut socket = Socket::init(&app, json!({})).await;
    let id = "\u{e9}".repeat(128);
    socket.say(subscribe(&id, &json!({ "query": query }))).await;
    assert_eq!(socket.hear().await["id"], json!(id));
    drop(socket);
    app.stop().await;
}

#[tokio::test]
async fn other_subprotocols_are_refused() {
    let (_world, app) = start().await;
    let closed = Socket::open(&app, &[("sec-websocket-protocol", "graphql-ws")]).await;
    // The client's library refuses a server that chooses none; what counts is that nothing is served.
    assert!(closed.is_err());
    app.stop().await;
}

#[tokio::test]
async fn whoever_does_not_say_who_it_is_is_closed() {
    let (_world, app) = start().await;
    let socket = Socket::open(&app, &[]).await.unwrap();
    // From here on time passes as soon as nobody has anything to do.
    tokio::time::pause();
    assert_eq!(socket.closing().await, (4408, "Connection initialisation timeout".to_owned()));
    app.stop().await;
}

#[tokio::test]
async fn a_subscription_is_told_apart_from_others_by_its_id() {
    let (_world, app) = start().await;
    let mut socket = Socket::init(&app, json!({})).await;
    let ids = [socket.subscribe(&changes_of("")).await, socket.subscribe(&changes_of("(tenantId: \"acme\")")).await];
    assert_eq!(open(&app, "websocket"), 2);
    record(&app, "acme", 0, 10).await;
    let mut met = [socket.hear().await, socket.hear().await].map(|message| message["id"].as_str().unwrap().to_owned());
    met.sort();
    assert_eq!(met, ids);
    drop(socket);
    until("the end", async || open(&app, "websocket") == 0).await;
    app.stop().await;
}

#[tokio::test]
async fn a_client_that_closes_is_answered_and_its_subscriptions_end() {
    let (_world, app) = start().await;
    let mut socket = Socket::init(&app, json!({})).await;
    socket.subscribe(&changes_of("")).await;
    assert_eq!(socket.close().await, 1000);
    until("the end", async || open(&app, "websocket") == 0).await;
    app.stop().await;
}

#[tokio::test]
async fn messages_above_the_limit_end_the_connection() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 100)]).await;
    let app = world.start_with(|config| config.limits.body_bytes = 2048).await;
    let mut socket = Socket::init(&app, json!({})).await;
    socket.subscribe(&changes_of("")).await;
    socket.say_text(&format!("{{\"type\":\"ping\",\"payload\":{{\"x\":\"{}\"}}}}", "x".repeat(3000))).await;
    until("the end", async || open(&app, "websocket") == 0).await;
    drop(socket);
    app.stop().await;
}
