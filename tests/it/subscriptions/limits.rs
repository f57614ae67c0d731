//! What holds for queries holds for subscriptions, and how many there may be.

use serde_json::{Value, json};

use super::changes_of;
use crate::access::with_keys;
use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::process::{patiently, until};
use crate::support::subscriber::{Events, Socket, open};

async fn start(configure: impl FnOnce(&mut quotagraph::config::Config)) -> (World, TestApp) {
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100), tenant("b", 20, 200)]).await;
    let app = world.start_with(configure).await;
    (world, app)
}

/// The first error of a subscription over either transport.
async fn refusals(app: &TestApp, query: &str) -> [Value; 2] {
    let mut socket = Socket::init(app, json!({})).await;
    socket.say(json!({ "type": "subscribe", "id": "1", "payload": { "query": query } })).await;
    let message = socket.hear().await;
    let over_socket = if message["type"] == "error" { &message["payload"][0] } else { &message["payload"]["errors"][0] };
    let response = Events::post(app, query, &[]).await;
    let over_events: Value = if response.status() == 200 {
        serde_json::from_str(&Events::of(response).next().await.unwrap().data.unwrap()).unwrap()
    } else {
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    };
    [over_socket.clone(), over_events["errors"][0].clone()]
}

#[tokio::test]
async fn documents_are_limited_as_those_of_queries_are() {
    let (_world, app) = start(|config| {
        config.limits.depth = 4;
        config.limits.tokens = 60;
    })
    .await;
    let deep = "subscription { spaceAllocationChanged { tenant { spaceAllocation { byType { allocated } } } } }";
    let long = format!("subscription {{ spaceAllocationChanged {{ {} }} }}", "recordedAt ".repeat(60));
    for query in [deep, &long] {
        for error in refusals(&app, query).await {
            assert_eq!(error["extensions"]["code"], "QUERY_TOO_COMPLEX", "{query}: {error}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn only_trusted_documents_are_executed_where_no_others_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("documents.json");
    std::fs::write(&file, json!({ "changes": changes_of("") }).to_string()).unwrap();
    let (_world, app) = start(|config| {
        config.graphql.trusted_documents = quotagraph::config::TrustedDocuments::Only;
        config.graphql.trusted_documents_file = Some(file);
    })
    .await;
    for error in refusals(&app, "subscription { spaceAllocationChanged { recordedAt } }").await {
        assert_eq!(error["extensions"]["code"], "FORBIDDEN");
    }
    let mut socket = Socket::init(&app, json!({})).await;
    socket.say(json!({ "type": "subscribe", "id": "1", "payload": { "documentId": "changes" } })).await;
    until("the subscription", async || open(&app, "websocket") == 1).await;
    drop(socket);
    app.stop().await;
}

#[tokio::test]
async fn subscriptions_of_a_principal_and_of_all_are_limited() {
    let (_world, app) = start(|config| {
        with_keys(config);
        config.limits.subscriptions = 3;
        config.limits.subscriptions_per_principal = 2;
    })
    .await;
    let try_as = async |name: &str| {
        let mut socket = Socket::init(&app, json!({ "apiKey": format!("key of {name}") })).await;
        socket.subscribe(&changes_of("")).await;
        socket
    };
    let refusal = async |mut socket: Socket| socket.hear().await["payload"]["errors"][0].clone();
    let (first, _second) = (try_as("a").await, try_as("a").await);
    let error = refusal(try_as("a").await).await;
    assert_eq!(error["extensions"]["code"], "RATE_LIMITED");
    assert_eq!(
        error["message"],
        "you have 2 subscriptions already, as many as limits.subscriptions_per_principal allows; end one first"
    );
    let _other = try_as("all").await;
    let error = refusal(try_as("boss").await).await;
    assert_eq!(error["message"], "there are 3 subscriptions already, as many as limits.subscriptions allows; try again later");
    drop(first);
    until("room", async || open(&app, "websocket") == 2).await;
    try_as("a").await;
    until("the third", async || open(&app, "websocket") <= 3).await;
    app.stop().await;
}

#[tokio::test]
async fn open_connections_of_a_principal_and_of_all_are_limited_whether_they_subscribe_or_not() {
    let (_world, app) = start(|config| {
        with_keys(config);
        config.limits.sockets = 3;
        config.limits.sockets_per_principal = 2;
    })
    .await;
    let open_as = async |name: &str| Socket::init(&app, json!({ "apiKey": format!("key of {name}") })).await;
    let refused_as = async |name: &str| {
        let mut socket = Socket::open(&app, &[]).await.unwrap();
        socket.say(json!({ "type": "connection_init", "payload": { "apiKey": format!("key of {name}") } })).await;
        socket.closing().await
    };
    let (first, _second) = (open_as("a").await, open_as("a").await);
    let own = "you have 2 sockets already, as many as limits.sockets_per_principal allows; end one first";
    assert_eq!(refused_as("a").await, (1013, own.to_owned()));
    // Those that have not said who they are take nobody's place.
    let _silent = [Socket::open(&app, &[]).await.unwrap(), Socket::open(&app, &[]).await.unwrap()];
    let mut other = open_as("all").await;
    let all = "there are 3 sockets already, as many as limits.sockets allows; try again later";
    assert_eq!(refused_as("all").await, (1013, all.to_owned()));
    other.subscribe(&changes_of("")).await;
    assert_eq!(first.close().await, 1000);
    until_open(&app, "a").await;
    app.stop().await;
}

/// A connection as soon as there is room for one.
async fn until_open(app: &TestApp, name: &str) -> Socket {
    let trying = Box::pin(async {
        loop {
            let mut socket = Socket::open(app, &[]).await.unwrap();
            if socket.is_let_in(json!({ "apiKey": format!("key of {name}") })).await {
                return socket;
            }
        }
    });
    patiently("room", trying).await
}

#[tokio::test]
async fn against_the_rate_each_operation_of_a_connection_counts() {
    let (world, app) = start(|config| {
        with_keys(config);
        config.limits.requests_per_second = Some(3);
    })
    .await;
    let mut socket = Socket::init(&app, json!({ "apiKey": "key of a" })).await;
    let mut ask = async || {
        socket.say(json!({ "type": "subscribe", "id": "1", "payload": { "query": "{ __typename }" } })).await;
        let message = socket.hear().await;
        if message["type"] == "next" {
            assert_eq!(socket.hear().await["type"], "complete");
        }
        message
    };
    assert_eq!(ask().await["type"], "next");
    assert_eq!(ask().await["type"], "next");
    let refused = ask().await;
    assert_eq!((&refused["type"], &refused["payload"][0]["extensions"]["code"]), (&json!("error"), &json!("RATE_LIMITED")));
    world.advance_s(1);
    assert_eq!(ask().await["type"], "next");
    drop(socket);
    app.stop().await;
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_a_subscription_does_not_need_is_not_held_for_it() {
    let (_world, app) = start(|_| {}).await;
    let values = format!("[{}1]", "1,".repeat(120_000));
    let mut socket = Socket::init(&app, json!({})).await;
    let before = resident_kib();
    for number in 0..60 {
        // Named in a comment, it is declared no more than else.
        let (query, what) = match number % 3 {
            0 => (changes_of(""), "variables"),
            1 => (format!("{} # $a", changes_of("")), "variables"),
            _ => (changes_of(""), "extensions"),
        };
        let query = json!(query);
        let message = format!(
            "{{\"type\":\"subscribe\",\"id\":\"{number}\",\"payload\":{{\"query\":{query},\"{what}\":{{\"a\":{values}}}}}}}"
        );
        socket.say_text(&message).await;
    }
    until("all subscriptions", async || open(&app, "websocket") == 60).await;
    // As values they took more than 8 MB each. Other tests run in this process too.
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 200 * 1024, "{grown} KiB more");
    drop(socket);
    app.stop().await;
}

#[tokio::test]
async fn what_the_operations_of_a_connection_hold_is_limited_together() {
    let (_world, app) = start(|_| {}).await;
    let mut socket = Socket::init(&app, json!({})).await;
    let long = format!("{} # {}", changes_of(""), "x".repeat(200_000));
    let first = socket.subscribe(&long).await;
    socket.say(json!({ "type": "subscribe", "id": "second", "payload": { "query": long } })).await;
    let refused = socket.hear().await;
    assert_eq!((&refused["type"], &refused["payload"][0]["extensions"]["code"]), (&json!("error"), &json!("RATE_LIMITED")));
    socket.say(json!({ "type": "complete", "id": first })).await;
    until("the end", async || open(&app, "websocket") == 0).await;
    socket.subscribe(&long).await;
    drop(socket);
    app.stop().await;
}
