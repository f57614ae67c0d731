//! Who gets which events.

use quotagraph::config::AuthMode;
use serde_json::{Value, json};

use super::{changes_of, record, since, told};
use crate::access::with_keys;
use crate::support::app::{Database, START, TestApp, World, tenant};
use crate::support::issuer::{JwksServer, SigningKey, jwt_auth};
use crate::support::process::until;
use crate::support::subscriber::{Events, Socket, open};

async fn start() -> (World, TestApp) {
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100), tenant("b", 20, 200)]).await;
    let app = world.start_with(with_keys).await;
    (world, app)
}

#[tokio::test]
async fn a_caller_gets_the_events_of_its_tenants_only() {
    let (_world, app) = start().await;
    record(&app, "b", 0, 77).await;
    let mut socket = Socket::init(&app, json!({ "x-api-key": "key of a" })).await;
    socket.subscribe(&since(&super::at(-600).to_string())).await;
    let mut events = Events::subscribe(&app, &since(&super::at(-600).to_string()), &[("x-api-key", "key of a")]).await;
    record(&app, "b", 300, 78).await;
    record(&app, "a", 600, 10).await;
    assert_eq!(socket.change().await, told("a", None, (600, 10)));
    assert_eq!(events.change().await, told("a", None, (600, 10)));
    drop(socket);
    app.stop().await;
}

#[tokio::test]
async fn a_tenant_that_may_not_be_seen_looks_like_one_that_does_not_exist() {
    let (_world, app) = start().await;
    let mut told = Vec::new();
    for id in ["b", "c"] {
        let mut socket = Socket::init(&app, json!({ "authorization": "", "X-API-KEY": "key of a" })).await;
        let query = changes_of(&format!("(tenantId: \"{id}\")"));
        socket.say(json!({ "type": "subscribe", "id": "1", "payload": { "query": query } })).await;
        told.push(json!([socket.hear().await, socket.hear().await]));
    }
    assert_eq!(told[0], told[1]);
    let error = &told[0][0]["payload"]["errors"][0];
    assert_eq!(
        (&error["message"], &error["extensions"]["code"]),
        (&json!("tenantId: there is no such tenant"), &json!("BAD_USER_INPUT"))
    );
    assert_eq!(told[0][1]["type"], "complete");

    let mut socket = Socket::init(&app, json!({ "apiKey": "key of exporter" })).await;
    socket.subscribe(&changes_of("")).await;
    assert_eq!(socket.hear().await["payload"]["errors"][0]["extensions"]["code"], "FORBIDDEN");
    drop(socket);
    app.stop().await;
}

#[tokio::test]
async fn tenants_that_come_and_go_do_so_for_subscriptions_too() {
    let (world, app) = start().await;
    let watched = |ids: &[usize]| ids.iter().map(|i| world.tenants[*i].watched(&world.simulator)).collect::<Vec<_>>();
    let mut socket = Socket::init(&app, json!({ "apiKey": "key of all" })).await;
    socket.subscribe(&changes_of("")).await;
    record(&app, "b", 0, 20).await;
    assert_eq!(socket.change().await["tenant"]["id"], "b");
    app.handle.replace_tenants(watched(&[0])).await.unwrap();
    record(&app, "b", 300, 21).await;
    record(&app, "a", 600, 10).await;
    assert_eq!(socket.change().await["tenant"]["id"], "a");
    app.handle.replace_tenants(watched(&[0, 1])).await.unwrap();
    record(&app, "b", 900, 22).await;
    assert_eq!(socket.change().await, {
        let mut change = told("b", Some((0, 20)), (900, 22));
        change["after"]["total"] = json!(100.0);
        change
    });
    drop(socket);
    app.stop().await;
}

#[tokio::test]
async fn a_subscription_to_one_tenant_ends_with_that_tenant() {
    let (world, app) = start().await;
    let mut socket = Socket::init(&app, json!({ "apiKey": "key of all" })).await;
    socket.subscribe(&changes_of("(tenantId: \"b\")")).await;
    record(&app, "b", 0, 20).await;
    assert_eq!(socket.change().await["tenant"]["id"], "b");
    app.handle.replace_tenants(vec![world.tenants[0].watched(&world.simulator)]).await.unwrap();
    let error = &socket.hear().await["payload"]["errors"][0];
    assert_eq!(
        (&error["message"], &error["extensions"]["code"]),
        (&json!("tenantId: there is no such tenant"), &json!("BAD_USER_INPUT"))
    );
    assert_eq!(socket.hear().await["type"], "complete");
    drop(socket);
    app.stop().await;
}

#[tokio::test]
async fn whoever_has_no_valid_credentials_is_not_let_in() {
    let (_world, app) = start().await;
    for payload in [json!({}), json!({ "apiKey": "guess" }), json!({ "authorization": "Bearer x.y.z" })] {
        let mut socket = Socket::open(&app, &[]).await.unwrap();
        socket.say(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.closing().await, (4403, "give a valid API key as apiKey in the payload of connection_init".to_owned()));
    }
    // Headers count where the first message has none of the kind.
    let with_header = [("x-api-key", "key of a")];
    for (payload, expected) in [(json!({}), "connection_ack"), (json!({ "apiKey": "key of b" }), "")] {
        let mut socket = Socket::open(&app, &with_header).await.unwrap();
        socket.say(json!({ "type": "connection_init", "payload": payload })).await;
        if expected.is_empty() {
            assert_eq!(socket.closing().await.0, 4403);
        } else {
            assert_eq!(socket.hear().await["type"], expected);
        }
    }
    let response = Events::post(&app, &changes_of(""), &[("x-api-key", "guess")]).await;
    assert_eq!(response.status(), 401);
    let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    app.stop().await;
}

/// Whether a caller is acknowledged, or the code with which it is closed.
async fn answered(app: &TestApp, payload: Value) -> Result<(), u16> {
    let mut socket = Socket::open(app, &[]).await.unwrap();
    socket.say(json!({ "type": "connection_init", "payload": payload })).await;
    match socket.try_hear().await {
        Ok(message) => {
            assert_eq!(message["type"], "connection_ack");
            Ok(())
        }
        Err((code, _)) => Err(code),
    }
}

#[tokio::test]
async fn whoever_comes_too_often_may_come_back_and_is_not_told_that_its_credentials_are_bad() {
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let limited = |config: &mut quotagraph::config::Config| {
        with_keys(config);
        config.limits.requests_per_second = Some(2);
    };
    let app = world.start_with(limited).await;
    let good = || json!({ "apiKey": "key of a" });
    for _ in 0..2 {
        assert_eq!(answered(&app, good()).await, Ok(()));
    }
    assert_eq!(answered(&app, good()).await, Err(1013), "more than its requests a second");
    world.advance_s(1);
    assert_eq!(answered(&app, good()).await, Ok(()));
    // Too many failed attempts of an address: the next one is not looked at, so nobody knows whether it was good.
    let mut codes = Vec::new();
    for _ in 0..7 {
        codes.push(answered(&app, json!({ "apiKey": "guess" })).await.unwrap_err());
    }
    assert_eq!(codes, [4403, 4403, 4403, 4403, 4403, 1013, 1013]);
    assert_eq!(answered(&app, json!({ "apiKey": "key of b" })).await, Err(1013));
    world.advance_s(1);
    assert_eq!(answered(&app, good()).await, Ok(()));
    app.stop().await;
}

#[tokio::test]
async fn of_a_payload_and_a_handshake_with_several_credentials_the_same_count_as_over_http() {
    let signing = SigningKey::ed25519("k");
    let server = JwksServer::start(&[&signing]).await;
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let bearer = format!("Bearer {}", signing.token(&crate::tokens::claims(&world)));
    let key_header = [("x-api-key", "key of a")];
    let token_header = [("authorization", bearer.as_str())];
    for mode in [AuthMode::Keys, AuthMode::Jwt, AuthMode::KeysAndJwt] {
        let (by_key, by_token) = (mode != AuthMode::Jwt, mode != AuthMode::Keys);
        let configure = |config: &mut quotagraph::config::Config| {
            let jwt = jwt_auth(mode, &server.url).jwt.filter(|_| by_token);
            let keys = if by_key { vec![crate::access::key("a", &["a"], &["READ"])] } else { Vec::new() };
            config.auth = Some(quotagraph::config::Auth { mode, failed_attempts_per_minute: 1000, keys, jwt });
        };
        let app = world.start_with(configure).await;
        for (headers, payload, expected) in [
            (&[][..], json!({ "authorization": "Bearer x", "headers": { "X-Api-Key": "key of a" } }), by_key),
            (&[], json!({ "authorization": bearer, "headers": { "X-Api-Key": "key of a" } }), true),
            (&[], json!({ "authorization": bearer, "headers": { "X-Api-Key": "guess" } }), !by_key),
            (&key_header, json!({ "token": "csrf" }), by_key),
            (&key_header, json!({ "authorization": bearer }), true),
            (&key_header, json!({ "apiKey": "guess" }), false),
            (&token_header, json!({ "token": "csrf" }), by_token),
            (&token_header, json!({ "apiKey": "key of a" }), true),
            (&token_header, json!({ "apiKey": "guess" }), !by_key),
        ] {
            let mut socket = Socket::open(&app, headers).await.unwrap();
            assert_eq!(socket.is_let_in(payload.clone()).await, expected, "{mode:?} {headers:?} {payload}");
        }
        app.stop().await;
    }
}

#[tokio::test]
async fn pages_of_others_may_not_connect() {
    let (_world, app) = start().await;
    for (headers, refused) in [
        (vec![("origin", "https://evil.example")], true),
        (vec![("sec-fetch-site", "cross-site")], true),
        (vec![("origin", app.base.as_str())], false),
        (vec![], false),
    ] {
        assert_eq!(Socket::open(&app, &headers).await.is_err(), refused, "{headers:?}");
        let response = Events::post(&app, "{ __typename }", &headers).await;
        assert_ne!(response.status(), 403, "a POST of JSON needs the browser's permission");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_subscription_ends_with_the_token_of_its_caller() {
    let key = SigningKey::ed25519("e");
    let server = JwksServer::start(&[&key]).await;
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let auth = jwt_auth(AuthMode::Jwt, &server.url);
    let app = world.start_with(|config| config.auth = Some(auth)).await;
    let expires = world.now().as_second() + 600;
    let claims = json!({ "iss": "https://idp.example", "aud": "quotagraph", "sub": "alice", "exp": expires, "tenants": ["a"], "roles": ["READ"] });
    let bearer = format!("Bearer {}", key.token(&claims));

    let mut socket = Socket::init(&app, json!({ "Authorization": bearer })).await;
    socket.subscribe(&since(START)).await;
    let mut events = Events::subscribe(&app, &since(START), &[("authorization", &bearer)]).await;
    record(&app, "a", 300, 10).await;
    assert_eq!(socket.change().await["after"]["allocated"], 10.0);
    assert_eq!(events.change().await["after"]["allocated"], 10.0);

    // A minute's leeway.
    world.advance_s(660);
    record(&app, "a", 660, 11).await;
    // Neither an error nor an end of the operation: its client gets a new token and comes back.
    let ended = (4403, "the token has expired; come back with a new one".to_owned());
    assert_eq!(socket.closing_next().await, ended);
    assert_eq!(events.next().await, None);
    until("the end", async || open(&app, "sse") + open(&app, "websocket") == 0).await;
    app.stop().await;
}
