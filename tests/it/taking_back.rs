//! What was granted ends when it is taken back, for those too who are in the middle of something.

use quotagraph::access::{JwksError, ReplaceError};
use quotagraph::config::{Auth, AuthMode, KeyConfig};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::access::key;
use crate::subscriptions::{changes_of, record};
use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::issuer::{JwksServer, SigningKey, jwt_auth};
use crate::support::process::{patiently, until};
use crate::support::subscriber::{Events, Socket, open};
use crate::tokens::claims;

const WITHDRAWN: &str = "the credentials are no longer valid";

fn keys(keys: Vec<KeyConfig>) -> Auth {
    Auth { mode: AuthMode::Keys, failed_attempts_per_minute: 1000, keys, jwt: None }
}

async fn start(auth: Auth) -> (World, TestApp) {
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100), tenant("b", 20, 200)]).await;
    let app = world.start_with(|config| config.auth = Some(auth)).await;
    (world, app)
}

const SEEN: &str = "{ tenants { nodes { id name } } }";

/// What a caller sees of the tenants, or the status that refuses it.
async fn seen(app: &TestApp, header: (&str, &str)) -> Result<Vec<String>, u16> {
    let body = json!({ "query": SEEN }).to_string();
    let request = app.client.post(format!("{}/graphql", app.base)).header(CONTENT_TYPE, "application/json").body(body);
    let response = request.header(header.0, header.1).send().await.unwrap();
    if response.status() != 200 {
        return Err(response.status().as_u16());
    }
    let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let nodes = answer["data"]["tenants"]["nodes"].as_array().unwrap_or_else(|| panic!("{answer}"));
    Ok(nodes.iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect())
}

async fn seen_by(app: &TestApp, name: &str) -> Result<Vec<String>, u16> {
    seen(app, ("X-Api-Key", &format!("key of {name}"))).await
}

async fn subscribers(app: &TestApp, name: &str) -> (Socket, Events) {
    let api_key = format!("key of {name}");
    let mut socket = Socket::init(app, json!({ "apiKey": api_key })).await;
    socket.subscribe(&changes_of("")).await;
    let events = Events::subscribe(app, &changes_of(""), &[("x-api-key", &api_key)]).await;
    (socket, events)
}

#[tokio::test]
async fn a_key_that_is_removed_ends_for_requests_kept_answers_sockets_and_streams_and_others_stay() {
    let (gone, stays) = (key("gone", &["*"], &["READ"]), key("stays", &["*"], &["READ"]));
    let (_world, app) = start(keys(vec![gone, stays.clone()])).await;
    for name in ["gone", "stays"] {
        for _ in 0..2 {
            assert_eq!(seen_by(&app, name).await.unwrap(), ["a", "b"]);
        }
    }
    let hits = app.metric("quotagraph_answer_hits_total").await;
    let (socket, mut events) = subscribers(&app, "gone").await;
    let idle = Socket::init(&app, json!({ "apiKey": "key of gone" })).await;
    let (mut others_socket, mut others_events) = subscribers(&app, "stays").await;

    app.handle.replace_auth(Some(&keys(vec![stays]))).unwrap();
    assert_eq!(seen_by(&app, "gone").await, Err(401));
    for socket in [socket, idle] {
        assert_eq!(socket.closing_next().await, (4403, WITHDRAWN.to_owned()));
    }
    assert_eq!(events.next().await, None, "without an end of the operation, so that its client comes back and is told");
    until("the end", async || open(&app, "sse") + open(&app, "websocket") == 2).await;

    assert_eq!(seen_by(&app, "stays").await.unwrap(), ["a", "b"]);
    assert_eq!(app.metric("quotagraph_answer_hits_total").await, hits + 1, "what was kept for others is kept");
    record(&app, "b", 300, 7).await;
    assert_eq!(others_socket.change().await["after"]["allocated"], 7.0);
    assert_eq!(others_events.change().await["after"]["allocated"], 7.0);
    app.stop().await;
}

#[tokio::test]
async fn a_list_of_tenants_that_is_narrowed_or_widened_counts_for_open_connections_too() {
    let (_world, app) = start(keys(vec![key("k", &["a", "b"], &["READ"])])).await;
    assert_eq!(seen_by(&app, "k").await.unwrap(), ["a", "b"]);
    let (mut socket, mut events) = subscribers(&app, "k").await;

    app.handle.replace_auth(Some(&keys(vec![key("k", &["a"], &["READ"])]))).unwrap();
    assert_eq!(seen_by(&app, "k").await.unwrap(), ["a"]);
    record(&app, "b", 300, 7).await;
    record(&app, "a", 600, 8).await;
    for change in [socket.change().await, events.change().await] {
        assert_eq!(change["tenant"]["id"], "a", "and nothing of b");
    }
    socket.say(json!({ "type": "subscribe", "id": "q", "payload": { "query": SEEN } })).await;
    assert_eq!(socket.hear().await["payload"]["data"]["tenants"]["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(socket.hear().await["type"], "complete");

    app.handle.replace_auth(Some(&keys(vec![key("k", &["*"], &["READ"])]))).unwrap();
    record(&app, "b", 900, 9).await;
    for change in [socket.change().await, events.change().await] {
        assert_eq!((&change["tenant"]["id"], &change["after"]["allocated"]), (&json!("b"), &json!(9.0)));
    }
    app.stop().await;
}

#[tokio::test]
async fn a_role_that_is_lost_ends_what_needs_it() {
    let (_world, app) = start(keys(vec![key("k", &["*"], &["READ", "REFRESH"])])).await;
    let (mut socket, mut events) = subscribers(&app, "k").await;
    app.handle.replace_auth(Some(&keys(vec![key("k", &["*"], &["REFRESH"])]))).unwrap();
    let forbidden = |payload: &Value| payload["errors"][0]["extensions"]["code"] == "FORBIDDEN";
    // The key counts, so the connection stays, and its client need not come back.
    let told = socket.hear().await;
    assert!(told["type"] == "next" && forbidden(&told["payload"]), "{told}");
    assert_eq!(socket.hear().await["type"], "complete");
    let told = events.next().await.unwrap();
    assert!(forbidden(&serde_json::from_str(&told.data.unwrap()).unwrap()));
    assert_eq!(events.next().await.unwrap().event, "complete");
    socket.say(json!({ "type": "subscribe", "id": "q", "payload": { "query": SEEN } })).await;
    assert!(forbidden(&socket.hear().await["payload"]));
    drop(socket);
    app.stop().await;
}

#[tokio::test]
async fn nobody_is_let_in_by_one_version_to_the_tenants_of_another() {
    let (world, app) = start(keys(vec![key("k", &["a"], &["READ"])])).await;
    let versions: Vec<_> = [("a", ["mine", "theirs"]), ("b", ["theirs", "mine"])]
        .into_iter()
        .map(|(id, names)| {
            let watched = world.tenants.iter().zip(names).map(|(setup, name)| {
                let mut watched = setup.watched(&world.simulator);
                name.clone_into(&mut watched.tenant.name);
                watched
            });
            (keys(vec![key("k", &[id], &["READ"])]), watched.collect::<Vec<_>>())
        })
        .collect();
    app.handle.replace_auth_and_tenants(Some(&versions[0].0), versions[0].1.clone()).unwrap();
    let replacing = tokio::spawn({
        let (handle, versions) = (app.handle.clone(), versions.clone());
        async move {
            for number in 0..400 {
                let (auth, watched) = &versions[number % 2];
                handle.replace_auth_and_tenants(Some(auth), watched.clone()).unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    let names = async || {
        let body = json!({ "query": "{ tenants { nodes { name } } }" }).to_string();
        let request = app.client.post(format!("{}/graphql", app.base)).header(CONTENT_TYPE, "application/json").body(body);
        let response = request.header("X-Api-Key", "key of k").send().await.unwrap();
        serde_json::from_str::<Value>(&response.text().await.unwrap()).unwrap()
    };
    while !replacing.is_finished() {
        assert_eq!(names().await, json!({ "data": { "tenants": { "nodes": [{ "name": "mine" }] } } }));
    }
    replacing.await.unwrap();
    app.stop().await;
}

#[tokio::test]
async fn an_export_under_way_ends_when_its_key_its_role_or_one_of_its_tenants_is_taken_back() {
    let world = World::new(Database::sqlite(), (0..400).map(|number| tenant(&format!("t{number}"), 1, 2)).collect()).await;
    let exporter = |tenants: &[&str], roles: &[&str]| keys(vec![key("k", tenants, roles), key("other", &["*"], &["EXPORT"])]);
    let two = &["t1", "t2"];
    for (before, after, is_cut) in [
        (exporter(&["*"], &["EXPORT"]), keys(vec![key("other", &["*"], &["EXPORT"])]), true),
        (exporter(&["*"], &["EXPORT"]), exporter(&["*"], &["READ"]), true),
        (exporter(&["*"], &["EXPORT"]), exporter(two, &["EXPORT"]), true),
        (exporter(&["*"], &["EXPORT"]), exporter(&["*"], &["ADMIN"]), false),
    ] {
        let app = world.start_with(|config| config.auth = Some(before)).await;
        let url = format!("{}/v1/export/usage?from=2026-02-01T00:00:00Z&to=2026-03-01T00:00:00Z&interval=PT30M", app.base);
        let mut response = app.client.get(url).header("X-Api-Key", "key of k").send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.chunk().await.unwrap().is_some());
        // No more than the buffers hold is made meanwhile.
        app.handle.replace_auth(Some(&after)).unwrap();
        let mut bytes = 0;
        let broken = loop {
            match patiently("a piece", response.chunk()).await {
                Ok(Some(piece)) => bytes += piece.len(),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        assert_eq!(broken, is_cut, "{after:?}");
        // A row has some 50 bytes, and what was made ahead is as nothing.
        assert!(!is_cut || bytes < 400 * 28 * 48 * 20, "{bytes} bytes came");
        let metrics = app.handle.metrics().encode().unwrap();
        assert_eq!(metrics.contains("quotagraph_exports_total{outcome=\"TAKEN_BACK\"} 1"), is_cut, "{metrics}");
        app.stop().await;
    }
}

#[tokio::test]
async fn the_door_is_never_opened_to_everybody_while_the_service_runs() {
    let (_world, app) = start(keys(vec![key("k", &["*"], &["READ"])])).await;
    let none = Auth { mode: AuthMode::None, ..keys(Vec::new()) };
    for open_to_all in [None, Some(&none)] {
        let refused = app.handle.replace_auth(open_to_all).unwrap_err();
        assert!(
            matches!(refused, ReplaceError::OpenDoor) && refused.to_string().contains("restart it if that is meant"),
            "{refused}"
        );
        assert_eq!((seen_by(&app, "nobody").await, seen_by(&app, "k").await.is_ok()), (Err(401), true));
    }
    // The last key can be taken away.
    app.handle.replace_auth(Some(&keys(Vec::new()))).unwrap();
    assert_eq!(seen_by(&app, "k").await, Err(401));
    app.stop().await;
}

#[tokio::test]
async fn a_door_that_was_open_can_be_closed_and_whoever_came_in_without_a_proof_goes() {
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let app = world.start().await;
    let mut socket = Socket::init(&app, json!({})).await;
    socket.subscribe(&changes_of("")).await;
    let mut events = Events::subscribe(&app, &changes_of(""), &[]).await;
    app.handle.replace_auth(Some(&keys(vec![key("k", &["*"], &["READ"])]))).unwrap();
    assert_eq!(socket.closing_next().await, (4403, WITHDRAWN.to_owned()));
    assert_eq!((events.next().await, seen(&app, ("Accept", "application/json")).await), (None, Err(401)));
    assert_eq!(seen_by(&app, "k").await.unwrap(), ["a"]);
    app.stop().await;
}

#[tokio::test]
async fn modes_can_be_switched_and_tokens_stay_as_long_as_what_judges_them_is_the_same() {
    let signing = SigningKey::ed25519("k");
    let server = JwksServer::start(&[&signing]).await;
    let tokens = jwt_auth(AuthMode::Jwt, &server.url);
    let both = Auth { mode: AuthMode::KeysAndJwt, keys: vec![key("k", &["*"], &["READ"])], ..tokens.clone() };
    let (world, app) = start(tokens).await;
    let bearer = format!("Bearer {}", signing.token(&claims(&world)));
    let by_token = async || seen(&app, ("Authorization", &bearer)).await;
    let mut socket = Socket::init(&app, json!({ "authorization": bearer })).await;
    socket.subscribe(&changes_of("")).await;
    assert_eq!((by_token().await.unwrap(), seen_by(&app, "k").await), (vec!["a".to_owned()], Err(401)));

    app.handle.replace_auth(Some(&both)).unwrap();
    assert_eq!((by_token().await.unwrap().len(), seen_by(&app, "k").await.unwrap().len()), (1, 2));
    record(&app, "a", 300, 7).await;
    assert_eq!(socket.change().await["after"]["allocated"], 7.0);
    assert_eq!(server.asked(), 1, "the issuer's keys are known");

    // For another audience the same token does not count.
    let mut other = both.clone();
    other.jwt.as_mut().unwrap().audience = "other".to_owned();
    app.handle.replace_auth(Some(&other)).unwrap();
    assert_eq!(socket.closing_next().await, (4403, WITHDRAWN.to_owned()));
    assert_eq!((by_token().await, seen_by(&app, "k").await.is_ok(), server.asked()), (Err(401), true, 1));

    app.handle.replace_auth(Some(&keys(vec![key("k", &["b"], &["READ"])]))).unwrap();
    assert_eq!((by_token().await, seen_by(&app, "k").await.unwrap()), (Err(401), vec!["b".to_owned()]));

    let mut bad = both.clone();
    bad.jwt.as_mut().unwrap().jwks_url = None;
    bad.jwt.as_mut().unwrap().jwks_file = Some("/nowhere/jwks.json".into());
    let refused = app.handle.replace_auth(Some(&bad)).unwrap_err();
    assert!(matches!(refused, ReplaceError::Keys(JwksError::File { .. })), "{refused}");
    assert_eq!(seen_by(&app, "k").await.unwrap(), ["b"], "all stays as it was");
    app.stop().await;
}

#[tokio::test]
async fn a_token_never_takes_of_what_is_counted_for_an_api_key_of_its_name() {
    let signing = SigningKey::ed25519("k");
    let server = JwksServer::start(&[&signing]).await;
    let auth = Auth {
        mode: AuthMode::KeysAndJwt,
        keys: vec![key("alice", &["*"], &["READ"])],
        ..jwt_auth(AuthMode::KeysAndJwt, &server.url)
    };
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let configure = |config: &mut quotagraph::config::Config| {
        config.auth = Some(auth);
        config.limits.requests_per_second = Some(4);
        config.limits.sockets_per_principal = 1;
        config.limits.subscriptions_per_principal = 1;
    };
    let app = world.start_with(configure).await;
    let bearer = format!("Bearer {}", signing.token(&claims(&world)));
    let mut by_token = Socket::init(&app, json!({ "authorization": bearer })).await;
    by_token.subscribe(&changes_of("")).await;
    let mut second = Socket::open(&app, &[]).await.unwrap();
    assert!(!second.is_let_in(json!({ "authorization": bearer })).await);
    world.advance_s(1);
    until("the end of the token", async || {
        let request = app.client.get(format!("{}/graphql?query=%7B__typename%7D", app.base)).header(AUTHORIZATION, &bearer);
        request.send().await.unwrap().status() != 200
    })
    .await;

    let mut by_key = Socket::init(&app, json!({ "apiKey": "key of alice" })).await;
    by_key.subscribe(&changes_of("")).await;
    assert!(seen_by(&app, "alice").await.is_ok());
    record(&app, "a", 300, 7).await;
    assert_eq!(by_key.change().await["after"]["allocated"], 7.0);
    drop((by_token, by_key));
    app.stop().await;
}

#[tokio::test]
async fn a_request_whose_body_comes_late_has_the_rights_of_then() {
    let keyed = |roles: &[&str], tenants: &[&str]| keys(vec![key("k", tenants, roles), key("other", &["*"], &["READ"])]);
    let narrowed = keyed(&["READ"], &["a"]);
    let gone = keys(vec![key("other", &["*"], &["READ"])]);
    let read = json!({ "query": SEEN }).to_string();
    let refresh = json!({ "query": "mutation { refreshSpaceAllocation(tenantId: \"b\") { allocated } }" }).to_string();
    for (after, body, expected) in
        [(&gone, &read, "HTTP/1.1 401 "), (&narrowed, &read, "{\"nodes\":[{\"id\":\"a\","), (&narrowed, &refresh, "\"FORBIDDEN\"")]
    {
        let (world, app) = start(keyed(&["READ", "REFRESH"], &["*"])).await;
        let mut connection = TcpStream::connect(app.base.trim_start_matches("http://")).await.unwrap();
        let head = format!(
            "POST /graphql HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: key of k\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        // The body is asked for as soon as the caller is let in.
        let mut told = [0; 25];
        patiently("the caller to be let in", connection.read_exact(&mut told)).await.unwrap();
        assert_eq!(told, *b"HTTP/1.1 100 Continue\r\n\r\n");
        app.handle.replace_auth(Some(after)).unwrap();
        connection.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        patiently("an answer", connection.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.contains(expected) && !answer.contains("\"id\":\"b\""), "{answer}");
        assert_eq!(world.upstream("b").hits(), 0);
        app.stop().await;
    }
}

#[tokio::test]
async fn an_answer_goes_to_nobody_who_may_no_longer_have_it() {
    let (world, app) = start(keys(vec![key("k", &["*"], &["READ"]), key("other", &["*"], &["READ"])])).await;
    let document = "{ tenant(id: \"b\") { spaceAllocation(maxAge: \"PT0S\") { allocated } } }";
    let body = json!({ "query": document }).to_string();
    for (after, expected) in [
        (keys(vec![key("k", &["*"], &["READ", "EXPORT"]), key("other", &["*"], &["READ"])]), 200),
        (keys(vec![key("k", &["a"], &["READ"]), key("other", &["*"], &["READ"])]), 401),
        (keys(vec![key("other", &["*"], &["READ"])]), 401),
    ] {
        app.handle.replace_auth(Some(&keys(vec![key("k", &["*"], &["READ"]), key("other", &["*"], &["READ"])]))).unwrap();
        let before = world.upstream("b").hits();
        world.set_behaviour("b", json!({ "delay_ms": 400 }));
        let request = app.client.post(format!("{}/graphql", app.base)).header(CONTENT_TYPE, "application/json");
        let asking = tokio::spawn(request.header("X-Api-Key", "key of k").body(body.clone()).send());
        until("the call", async || world.upstream("b").hits() > before).await;
        app.handle.replace_auth(Some(&after)).unwrap();
        assert_eq!(patiently("an answer", asking).await.unwrap().unwrap().status(), expected, "{after:?}");
    }
    app.stop().await;
}
