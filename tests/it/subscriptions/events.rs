//! Server-sent events, in the distinct connections mode of graphql-sse.

use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::{at, changes_of, record, since, told};
use crate::support::app::{Database, START, TestApp, World, tenant};
use crate::support::process::{patiently, until};
use crate::support::subscriber::{Events, SentEvent, open};
use crate::support::wire::{connect, head};

async fn start() -> (World, TestApp) {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 100)]).await;
    let app = world.start().await;
    (world, app)
}

async fn get(app: &TestApp, query: &str, headers: &[(&'static str, &str)]) -> reqwest::Response {
    let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let mut request = app.client.get(format!("{}/graphql?query={query}", app.base));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn each_change_is_an_event_until_the_client_goes() {
    let (_world, app) = start().await;
    let mut events = Events::subscribe(&app, &changes_of(""), &[("accept-encoding", "gzip, br, zstd")]).await;
    record(&app, "acme", 0, 10).await;
    let SentEvent { event, id, data } = events.next().await.unwrap();
    assert_eq!((event.as_str(), id), ("next", Some(at(0).to_string())));
    let expected = json!({ "data": { "spaceAllocationChanged": told("acme", None, (0, 10)) } });
    assert_eq!(serde_json::from_str::<Value>(&data.unwrap()).unwrap(), expected);
    record(&app, "acme", 300, 11).await;
    assert_eq!(events.change().await, told("acme", Some((0, 10)), (300, 11)));
    drop(events);
    until("the end", async || open(&app, "sse") == 0).await;
    app.stop().await;
}

#[tokio::test]
async fn a_browser_goes_on_after_the_last_event_that_it_tells() {
    let (_world, app) = start().await;
    for (seconds, allocated) in [(0, 10), (300, 11), (600, 12)] {
        record(&app, "acme", seconds, allocated).await;
    }
    let mut events = Events::of(get(&app, &since(START), &[("accept", "text/event-stream")]).await);
    let id = events.next().await.unwrap().id.unwrap();
    assert_eq!(id, at(300).to_string());
    let mut events = Events::of(get(&app, &since(START), &[("accept", "text/event-stream"), ("last-event-id", &id)]).await);
    assert_eq!(events.change().await, told("acme", Some((300, 11)), (600, 12)));
    let refused = get(&app, &since(START), &[("accept", "text/event-stream"), ("last-event-id", "7")]).await;
    assert_eq!(refused.status(), 400);
    app.stop().await;
}

#[tokio::test]
async fn a_query_is_answered_by_one_event_and_completed() {
    let (_world, app) = start().await;
    for response in [
        get(&app, "{ tenant { id } }", &[("accept", "text/event-stream")]).await,
        Events::post(&app, "{ tenant { id } }", &[]).await,
    ] {
        assert!(!response.headers().contains_key(CONTENT_ENCODING));
        let mut events = Events::of(response);
        let next = events.next().await.unwrap();
        assert_eq!((next.event.as_str(), next.data.as_deref()), ("next", Some(r#"{"data":{"tenant":{"id":"acme"}}}"#)));
        assert_eq!(events.next().await.unwrap(), SentEvent { event: "complete".to_owned(), id: None, data: Some(String::new()) });
        assert_eq!(events.next().await, None);
    }
    let mut events = Events::of(Events::post(&app, "subscription { nothing }", &[]).await);
    let next: Value = serde_json::from_str(&events.next().await.unwrap().data.unwrap()).unwrap();
    assert_eq!((next.get("data"), &next["errors"][0]["extensions"]["code"]), (None, &json!("BAD_USER_INPUT")));
    assert_eq!(events.next().await.unwrap().event, "complete");

    // To the letter: there are clients that read a second line of data as JSON, and such that pass over an event without any.
    let text = Events::post(&app, "subscription { nothing }", &[]).await.text().await.unwrap();
    let (next, complete) = text.split_once("\n\n").unwrap();
    assert!(next.starts_with("event: next\ndata: {\"errors\":[") && next.lines().count() == 2, "{text}");
    assert_eq!(complete, "event: complete\ndata:\n\n");
    app.stop().await;
}

#[tokio::test]
async fn of_callers_who_accept_both_only_subscriptions_get_events() {
    let (_world, app) = start().await;
    let both = ("accept", "application/graphql-response+json, application/json, text/event-stream");
    let response = Events::post(&app, "{ tenant { id } }", &[both]).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "application/graphql-response+json; charset=utf-8");
    Events::subscribe(&app, &changes_of(""), &[both]).await;
    for accept in ["application/json", "*/*"] {
        let response = Events::post(&app, &changes_of(""), &[("accept", accept)]).await;
        assert_eq!(response.status(), 400);
        let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(
            answer["errors"][0]["message"],
            "subscriptions are answered by events: accept text/event-stream, or connect by graphql-transport-ws"
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn mutations_are_not_done_by_get() {
    let (world, app) = start().await;
    let mutation = "mutation { refreshSpaceAllocation(tenantId: \"acme\") { allocated } }";
    assert_eq!(get(&app, mutation, &[("accept", "text/event-stream")]).await.status(), 405);
    assert_eq!(world.upstream("acme").hits(), 0);
    let mut events = Events::of(Events::post(&app, mutation, &[]).await);
    assert_eq!(events.next().await.unwrap().data.unwrap(), r#"{"data":{"refreshSpaceAllocation":{"allocated":10.0}}}"#);
    app.stop().await;
}

#[tokio::test]
async fn a_list_of_operations_is_not_answered_by_events() {
    let (_world, app) = start().await;
    let request = app.client.post(format!("{}/graphql", app.base)).header(CONTENT_TYPE, "application/json");
    let response = request.header(ACCEPT, "text/event-stream").body("[{\"query\":\"{ __typename }\"}]").send().await.unwrap();
    assert_eq!(response.status(), 400);
    app.stop().await;
}

#[tokio::test]
async fn an_event_that_finds_no_room_is_told_when_the_client_comes_back() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 100)]).await;
    let app = world
        .start_with(|config| {
            config.limits.answer_bytes = 1 << 20;
            config.limits.unsent_bytes = 2 << 20;
            config.limits.aliases = 2000;
        })
        .await;
    let names: Vec<_> = (0..30).map(|number| format!("{}{number:03}:id", "x".repeat(797))).collect();
    let names = format!("fragment N on Tenant {{ {} }}", names.join(" "));
    let large = format!("subscription {{ spaceAllocationChanged {{ tenant {{ ...N }} after {{ allocated }} }} }} {names}");
    let mut events = Events::of(Events::post(&app, &large, &[]).await);
    record(&app, "acme", 0, 10).await;
    let place = events.next().await.unwrap().id.unwrap();
    // Somebody of the same name takes all but five kilobytes, and does not read them.
    let tenants: Vec<_> = (0..43).map(|number| format!("a{number:02}: tenant {{ ...N }}")).collect();
    let body = json!({ "query": format!("{{ {} }} {names}", tenants.join(" ")) }).to_string();
    let mut slow = connect(&app).await;
    let request = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    slow.write_all(format!("{request}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
    assert!(head(&mut slow).await.starts_with("HTTP/1.1 200 "));
    record(&app, "acme", 300, 11).await;
    assert!(events.next().await.is_none(), "nothing is told of it, and nothing after it");
    drop(slow);
    let event = patiently("the event", async {
        loop {
            // The other one's end is noticed a moment later.
            let mut events = Events::of(Events::post(&app, &large, &[("last-event-id", &place)]).await);
            if let Some(event) = events.next().await {
                return event;
            }
        }
    })
    .await;
    let data: Value = serde_json::from_str(&event.data.unwrap()).unwrap();
    assert_eq!(data["data"]["spaceAllocationChanged"]["after"]["allocated"], 11.0);
    app.stop().await;
}
