//! The keys of an issuer: which of them are tried, what is said while they cannot be had, and for how long they count.

use std::time::{Duration, Instant};

use quotagraph::config::{AuthMode, Config};
use reqwest::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::access::key;
use crate::subscriptions::{changes_of, record};
use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::issuer::{JwksServer, SigningKey, base64url, jwt_auth};
use crate::support::log::Log;
use crate::support::process::until;
use crate::support::subscriber::{Events, Socket};
use crate::tokens::{claims, start, status, with};

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn jwk(key: &SigningKey, more: &Value) -> Value {
    let mut jwk = key.public_jwk();
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Null => _ = jwk.as_object_mut().unwrap().remove(name),
            value => jwk[name] = value.clone(),
        }
    }
    jwk
}

#[tokio::test]
async fn every_key_that_may_have_signed_a_token_is_tried() {
    let (a, b, other) = (SigningKey::ed25519("k"), SigningKey::ed25519("k"), SigningKey::ed25519("k"));
    let (curve, rsa) = (SigningKey::p256("k"), SigningKey::rsa("k"));
    let server = JwksServer::start(&[]).await;
    let nothing = json!({});
    let no_name = json!({ "kid": null });
    let nameless = |key: &SigningKey, claims: &Value| key.token_with(&json!({ "alg": key.algorithm() }), claims);
    for (how, keys, good, bad) in [
        ("the same key twice", vec![jwk(&a, &nothing), jwk(&a, &nothing)], vec![&a], vec![&b]),
        ("two keys of one name", vec![jwk(&a, &nothing), jwk(&b, &nothing)], vec![&a, &b], vec![&other]),
        (
            "keys of all kinds of one name",
            vec![jwk(&curve, &nothing), jwk(&a, &nothing), jwk(&rsa, &nothing)],
            vec![&a, &curve, &rsa],
            vec![&b],
        ),
        ("another of its name is for encryption", vec![jwk(&b, &json!({ "use": "enc" })), jwk(&a, &nothing)], vec![&a], vec![&b]),
        (
            "another of its name is for another algorithm",
            vec![jwk(&rsa, &json!({ "alg": "RS512" })), jwk(&rsa, &json!({ "alg": "RS256" }))],
            vec![&rsa],
            vec![&a],
        ),
        ("another of its name is not understood", vec![json!({ "kty": "AKP", "kid": "k" }), jwk(&a, &nothing)], vec![&a], vec![&b]),
        ("keys without a name", vec![jwk(&a, &no_name), jwk(&b, &no_name)], vec![&a, &b], vec![&other]),
        ("keys of other names", vec![jwk(&a, &json!({ "kid": "x" })), jwk(&b, &no_name)], vec![&b], vec![&a]),
    ] {
        server.answer(200, &set(&keys));
        let (world, app) = start(&server.url).await;
        until("the keys", async || ready(&app).await == (200, json!(true))).await;
        for key in good {
            assert_eq!(status(&app, &key.token(&claims(&world))).await, 200, "{how}: {}", key.algorithm());
            assert_eq!(status(&app, &nameless(key, &claims(&world))).await, 200, "{how}, no name: {}", key.algorithm());
        }
        world.advance_s(10);
        for key in bad {
            assert_eq!(status(&app, &key.token(&claims(&world))).await, 401, "{how}: {}", key.algorithm());
        }
        app.stop().await;
    }
}

#[tokio::test]
async fn no_more_than_some_keys_are_tried_for_one_token() {
    let many: Vec<_> = (0..70).map(|_| SigningKey::ed25519("k")).collect();
    let server = JwksServer::start(&many.iter().collect::<Vec<_>>()).await;
    let (world, app) = start(&server.url).await;
    let log = Log::keep();
    for header in [json!({ "alg": "EdDSA" }), json!({ "alg": "EdDSA", "kid": "k" })] {
        let status_of = async |key: &SigningKey| status(&app, &key.token_with(&header, &claims(&world))).await;
        assert_eq!((status_of(&many[19]).await, status_of(&many[63]).await), (200, 200));
        world.advance_s(10);
        assert_eq!(status_of(&many[64]).await, 401);
        let refused = log.of("quotagraph::audit").pop().unwrap();
        assert!(refused["reason"].as_str().unwrap().contains("any of 64 keys"), "{refused}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_good_token_by_a_new_key_is_never_called_invalid_however_soon_it_comes() {
    let (known, new, made_up) = (SigningKey::ed25519("known"), SigningKey::p256("new"), SigningKey::ed25519("made-up"));
    let forged = SigningKey::ed25519("known");
    let nameless = json!({ "alg": "ES256" });
    for is_away in [false, true] {
        let server = JwksServer::start(&[&known]).await;
        let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
        let few = quotagraph::config::Auth { failed_attempts_per_minute: 3, ..jwt_auth(AuthMode::Jwt, &server.url) };
        let app = world.start_with(|config| config.auth = Some(few)).await;
        until("the keys", async || status(&app, &known.token(&claims(&world))).await == 200).await;
        if is_away {
            server.answer(503, "");
        } else {
            server.publish(&[&known, &new]);
        }
        let asked = server.asked();
        for _ in 0..6 {
            assert_eq!(told(&app, &new.token(&claims(&world))).await, away(10));
            assert_eq!(told(&app, &new.token_with(&nameless, &claims(&world))).await, away(10));
            assert_eq!(told(&app, &made_up.token(&claims(&world))).await, away(10), "nobody can tell");
        }
        assert_eq!(server.asked(), asked, "made-up tokens do not hammer the issuer");
        world.advance_s(3);
        assert_eq!(told(&app, &new.token(&claims(&world))).await, away(7));
        // None of these can be good, whatever keys there are.
        let stale = with(claims(&world), "exp", json!(world.now().as_second() - 100));
        assert_eq!(told(&app, &forged.token(&claims(&world))).await.0, 401, "forged by the name of a known key");
        assert_eq!(told(&app, &new.token(&stale)).await.0, 401);
        assert_eq!(told(&app, &new.token(&with(claims(&world), "aud", json!("other")))).await.0, 401);
        world.advance_s(60);
        if is_away {
            assert_eq!(told(&app, &new.token(&claims(&world))).await, away(10));
        } else {
            assert_eq!(told(&app, &made_up.token(&claims(&world))).await.0, 401, "it was looked for");
            assert_eq!(told(&app, &new.token(&claims(&world))).await.0, 200);
        }
        app.stop().await;
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_break_off_the_fetch_that_it_caused() {
    let key = SigningKey::ed25519("k");
    let server = JwksServer::start(&[&key]).await;
    let (world, app) = start(&server.url).await;
    until("the keys", async || status(&app, &key.token(&claims(&world))).await == 200).await;
    let hold = server.hold().await;
    world.advance_s(10);
    let new = SigningKey::ed25519("new").token(&claims(&world));
    let asked = server.asked();
    for _ in 0..5 {
        let gone = tokio::time::timeout(Duration::from_millis(100), told(&app, &new));
        assert!(gone.await.is_err(), "it waits for the issuer");
    }
    assert_eq!(server.asked(), asked + 1);
    drop(hold);
    app.stop().await;
}

#[tokio::test]
async fn however_often_the_keys_are_to_be_fetched_anew_a_token_waits_for_one_fetch_at_most() {
    let key = SigningKey::ed25519("k");
    let server = JwksServer::start(&[&key]).await;
    let (world, app) = start(&server.url).await;
    until("the keys", async || status(&app, &key.token(&claims(&world))).await == 200).await;
    let hold = server.hold().await;
    let asked = server.asked();
    for _ in 0..8 {
        app.handle.refresh_keys();
    }
    let started = Instant::now();
    assert_eq!(told(&app, &SigningKey::ed25519("new").token(&claims(&world))).await.0, 503);
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    drop(hold);
    until("the second fetch", async || server.asked() == asked + 2).await;
    assert_eq!(status(&app, &key.token(&claims(&world))).await, 200);
    app.stop().await;
}

#[tokio::test]
async fn a_service_that_can_let_in_nobody_is_not_ready() {
    let signing = SigningKey::ed25519("k");
    let server = JwksServer::start(&[&signing]).await;
    let portal = || key("portal", &["a"], &["READ"]);
    let with_keys = |mode, keys| quotagraph::config::Auth { keys, ..jwt_auth(mode, &server.url) };
    let small = json!({ "kty": "RSA", "kid": "k", "n": base64url([0xff; 128]), "e": "AQAB" });
    let (none, unusable) = (set(&[]), set(&[small, jwk(&signing, &json!({ "use": "enc" }))]));
    for (mode, keys, published, expected) in [
        (AuthMode::Jwt, vec![], (200, &*none), (503, json!(false))),
        (AuthMode::Jwt, vec![], (200, &*unusable), (503, json!(false))),
        (AuthMode::KeysAndJwt, vec![portal()], (200, &*none), (200, json!(false))),
    ] {
        server.answer(published.0, published.1);
        let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
        let app = world.start_with(|config| config.auth = Some(with_keys(mode, keys))).await;
        until("what the issuer has", async || {
            ready(&app).await == expected && app.get("/readyz").await.1.contains("has no public key")
        })
        .await;
        app.stop().await;
    }
    // What counts can be taken away while the service runs.
    server.answer(503, "");
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let app = world.start_with(|config| config.auth = Some(with_keys(AuthMode::KeysAndJwt, vec![portal()]))).await;
    assert_eq!(ready(&app).await, (200, json!(false)));
    app.handle.replace_auth(Some(&with_keys(AuthMode::KeysAndJwt, vec![]))).unwrap();
    assert_eq!(ready(&app).await, (503, json!(false)));
    let only_keys = |keys| quotagraph::config::Auth { jwt: None, ..with_keys(AuthMode::Keys, keys) };
    app.handle.replace_auth(Some(&only_keys(vec![portal()]))).unwrap();
    assert_eq!(ready(&app).await, (200, json!(null)));
    app.handle.replace_auth(Some(&only_keys(vec![]))).unwrap();
    let (status, report) = app.get("/readyz").await;
    assert!(status == 503 && report.contains("nobody can call"), "{report}");
    app.stop().await;
}

#[tokio::test]
async fn known_keys_stay_when_only_how_they_are_had_is_changed() {
    let key = SigningKey::ed25519("k");
    let server = JwksServer::start(&[&key]).await;
    let (world, app) = start(&server.url).await;
    let token = key.token(&with(claims(&world), "exp", json!(world.now().as_second() + 1_000_000)));
    until("the keys", async || status(&app, &token).await == 200).await;
    let (mut socket, mut events) = subscribers(&app, &token).await;
    server.answer(503, "");
    let auth = |change: &dyn Fn(&mut quotagraph::config::JwtConfig)| {
        let mut auth = jwt_auth(AuthMode::Jwt, &server.url);
        change(auth.jwt.as_mut().unwrap());
        auth
    };
    let ca = tempfile::NamedTempFile::new().unwrap();
    let certificate = rcgen::generate_simple_self_signed(["idp.test".to_owned()]).unwrap();
    std::fs::write(ca.path(), certificate.cert.pem()).unwrap();
    world.advance_s(1800);
    for changed in [
        auth(&|jwt| jwt.keys_kept_for = Duration::from_hours(1)),
        auth(&|jwt| jwt.proxy = quotagraph::config::ProxySetting::None),
        auth(&|jwt| jwt.ca_file = Some(ca.path().to_owned())),
    ] {
        let asked = server.asked();
        app.handle.replace_auth(Some(&changed)).unwrap();
        assert_eq!(status(&app, &token).await, 200);
        assert_eq!(told(&app, &key.token(&claims(&world))).await.0, 200, "a token not seen before");
        until("another try", async || server.asked() > asked).await;
    }
    record(&app, "a", 300, 7).await;
    assert_eq!(socket.change().await["after"]["allocated"], 7.0);
    assert_eq!(events.change().await["after"]["allocated"], 7.0);
    // They are as old as they are.
    app.handle.replace_auth(Some(&auth(&|jwt| jwt.keys_kept_for = Duration::from_mins(30)))).unwrap();
    assert_eq!(told(&app, &token).await.0, 503);
    assert_eq!(socket.closing_next().await.0, 1013);
    app.handle.replace_auth(Some(&auth(&|jwt| jwt.keys_kept_for = Duration::from_mins(31)))).unwrap();
    assert_eq!(told(&app, &token).await.0, 200);
    app.stop().await;
}

#[tokio::test]
async fn keys_that_are_kept_for_the_shortest_time_count_all_the_time_while_the_issuer_answers() {
    let key = SigningKey::ed25519("k");
    let server = JwksServer::start(&[&key]).await;
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let mut auth = jwt_auth(AuthMode::Jwt, &server.url);
    auth.jwt.as_mut().unwrap().keys_kept_for = Duration::from_mins(1);
    let app = world.start_with(|config| config.auth = Some(auth)).await;
    until("the keys", async || status(&app, &key.token(&claims(&world))).await == 200).await;
    for _ in 0..120 {
        world.advance_s(5);
        assert_eq!(status(&app, &key.token(&claims(&world))).await, 200);
    }
    assert!((10..60).contains(&server.asked()), "{}", server.asked());
    app.stop().await;
}

#[tokio::test]
async fn a_key_that_took_the_place_of_another_of_its_name_is_found() {
    let (old, new) = (SigningKey::p256("k"), SigningKey::p256("k"));
    let server = JwksServer::start(&[&old]).await;
    let (world, app) = start(&server.url).await;
    assert_eq!(status(&app, &old.token(&claims(&world))).await, 200);
    server.publish(&[&new]);
    assert_eq!(status(&app, &new.token(&claims(&world))).await, 401, "a key of that name is known");
    world.advance_s(10);
    assert_eq!(status(&app, &new.token(&claims(&world))).await, 200);
    assert_eq!(status(&app, &old.token(&claims(&world))).await, 401);
    app.stop().await;
}

/// The answer to a token: its status, its code, and whether it says when to come back and what to prove oneself by.
async fn told(app: &TestApp, token: &str) -> (u16, String, Option<u64>, bool) {
    let request = app.client.get(format!("{}/graphql?query=%7B__typename%7D", app.base));
    let response = request.header(AUTHORIZATION, format!("Bearer {token}")).send().await.unwrap();
    let retry_after = response.headers().get(RETRY_AFTER).map(|seconds| seconds.to_str().unwrap().parse().unwrap());
    let (status, challenged) = (response.status().as_u16(), response.headers().contains_key(WWW_AUTHENTICATE));
    let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    (status, answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned(), retry_after, challenged)
}

fn away(seconds: u64) -> (u16, String, Option<u64>, bool) {
    (503, "ISSUER_UNAVAILABLE".to_owned(), Some(seconds), false)
}

async fn ready(app: &TestApp) -> (u16, Value) {
    let (status, report) = app.get("/readyz").await;
    (status, serde_json::from_str::<Value>(&report).unwrap()["checks"]["issuer"]["ok"].take())
}

#[tokio::test]
async fn while_the_issuer_is_away_at_the_start_tokens_cannot_be_judged_and_are_not_called_invalid() {
    let key = SigningKey::ed25519("k");
    let server = JwksServer::start(&[&key]).await;
    for (code, body) in [(503, ""), (404, "not here"), (200, "<html>"), (200, "{}"), (200, ""), (302, "")] {
        server.answer(code, body);
        let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
        let auth = jwt_auth(AuthMode::Jwt, &server.url);
        let few = quotagraph::config::Auth { failed_attempts_per_minute: 3, ..auth };
        let app = world.start_with(|config| config.auth = Some(few)).await;
        for _ in 0..10 {
            assert_eq!(told(&app, &key.token(&claims(&world))).await, away(10), "{code} {body}");
        }
        world.advance_s(4);
        assert_eq!(told(&app, &key.token(&claims(&world))).await, away(6), "{code} {body}");
        assert_eq!(ready(&app).await, (503, json!(false)));
        // None of these could count whatever keys there were.
        let now = world.now().as_second();
        for never in [
            key.token(&with(claims(&world), "exp", json!(now - 100))),
            key.token(&with(claims(&world), "iss", json!("https://other.example"))),
            "a.b.c".to_owned(),
        ] {
            assert_eq!(told(&app, &never).await.0, 401, "{code} {body}: {never}");
        }
        let mut socket = Socket::open(&app, &[]).await.unwrap();
        let authorization = format!("Bearer {}", key.token(&claims(&world)));
        socket.say(json!({ "type": "connection_init", "payload": { "authorization": authorization } })).await;
        let (close, reason) = socket.closing().await;
        assert_eq!((close, reason.contains("the keys of its issuer cannot be fetched")), (1013, true), "{reason}");

        server.publish(&[&key]);
        world.advance_s(10);
        assert_eq!(told(&app, &key.token(&claims(&world))).await.0, 200);
        assert_eq!(ready(&app).await, (200, json!(true)));
        app.stop().await;
    }
}

#[tokio::test]
async fn an_issuer_that_hangs_or_is_not_there_is_away_too() {
    let key = SigningKey::ed25519("k");
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let [at_hanging, at_gone] = [&hanging, &gone].map(|listener| format!("http://{}/jwks", listener.local_addr().unwrap()));
    drop(gone);
    for source in [at_gone, at_hanging] {
        let (world, app) = start(&source).await;
        let started = Instant::now();
        let token = key.token(&claims(&world));
        let answers = futures_util::future::join_all((0..50).map(|_| told(&app, &token))).await;
        assert_eq!(answers, vec![away(10); 50], "{source}");
        assert!(started.elapsed() < Duration::from_secs(30), "all wait for the same fetch");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_new_key_of_an_issuer_that_is_away_cannot_be_judged_and_the_known_ones_go_on() {
    let (known, new) = (SigningKey::ed25519("known"), SigningKey::ed25519("new"));
    let forged = SigningKey::ed25519("known");
    let server = JwksServer::start(&[&known]).await;
    let (world, app) = start(&server.url).await;
    assert_eq!(told(&app, &known.token(&claims(&world))).await.0, 200);
    server.answer(503, "");
    world.advance_s(10);
    assert_eq!(told(&app, &new.token(&claims(&world))).await, away(10));
    assert_eq!(told(&app, &known.token(&claims(&world))).await.0, 200);
    assert_eq!(told(&app, &known.token(&with(claims(&world), "jti", json!(1)))).await.0, 200, "a token not seen before");
    assert_eq!(told(&app, &forged.token(&claims(&world))).await.0, 401, "forged by the name of a known key");
    let (_, report) = app.get("/readyz").await;
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["ready"], &report["checks"]["issuer"]["ok"]), (&json!(true), &json!(true)), "{report}");
    assert!(report["checks"]["issuer"]["reason"].as_str().unwrap().contains("the former ones are used"), "{report}");
    app.stop().await;
}

#[tokio::test]
async fn with_api_keys_too_the_service_is_ready_without_the_issuer_and_lets_in_by_them() {
    let server = JwksServer::start(&[]).await;
    server.answer(503, "");
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let configure = |config: &mut Config| {
        let mut auth = jwt_auth(AuthMode::KeysAndJwt, &server.url);
        auth.keys = vec![key("portal", &["a"], &["READ"])];
        config.auth = Some(auth);
    };
    let app = world.start_with(configure).await;
    assert_eq!(ready(&app).await, (200, json!(false)));
    let request = app.client.get(format!("{}/graphql?query=%7B__typename%7D", app.base)).header("X-Api-Key", "key of portal");
    assert_eq!(request.send().await.unwrap().status(), 200);
    app.stop().await;
}

/// A subscriber by each transport, let in by a token.
async fn subscribers(app: &TestApp, token: &str) -> (Socket, Events) {
    let bearer = format!("Bearer {token}");
    let mut socket = Socket::init(app, json!({ "authorization": bearer })).await;
    socket.subscribe(&changes_of("")).await;
    let events = Events::subscribe(app, &changes_of(""), &[("authorization", &bearer)]).await;
    (socket, events)
}

const WITHDRAWN: &str = "the credentials are no longer valid";

#[tokio::test]
async fn keys_that_an_issuer_leaves_out_end_what_they_signed_and_nothing_else() {
    let (withdrawn, kept) = (SigningKey::ed25519("withdrawn"), SigningKey::p256("kept"));
    for emptied in [false, true] {
        let server = JwksServer::start(&[&withdrawn, &kept]).await;
        let (world, app) = start(&server.url).await;
        let tokens =
            [&withdrawn, &kept].map(|key| key.token(&with(claims(&world), "exp", json!(world.now().as_second() + 100_000))));
        let (socket, mut events) = subscribers(&app, &tokens[0]).await;
        let (mut kept_socket, mut kept_events) = subscribers(&app, &tokens[1]).await;
        let left = [&kept];
        server.publish(if emptied { &[] } else { &left });
        // Nobody comes with a token meanwhile.
        world.advance_s(600);
        assert_eq!(socket.closing_next().await, (4403, WITHDRAWN.to_owned()));
        assert_eq!(events.next().await, None);
        assert_eq!(status(&app, &tokens[0]).await, 401);
        if emptied {
            assert_eq!(kept_socket.closing_next().await, (4403, WITHDRAWN.to_owned()));
            assert_eq!((kept_events.next().await, status(&app, &tokens[1]).await), (None, 401));
            assert_eq!(ready(&app).await, (503, json!(false)), "nobody is let in");
        } else {
            record(&app, "a", 600, 7).await;
            assert_eq!(kept_socket.change().await["after"]["allocated"], 7.0);
            assert_eq!(kept_events.change().await["after"]["allocated"], 7.0);
            assert_eq!(status(&app, &tokens[1]).await, 200);
        }
        app.stop().await;
    }
}

#[tokio::test]
async fn the_keys_of_an_issuer_that_is_away_count_for_a_while_and_then_nothing_can_be_judged() {
    let key = SigningKey::ed25519("k");
    let server = JwksServer::start(&[&key]).await;
    let (world, app) = start(&server.url).await;
    let token = key.token(&with(claims(&world), "exp", json!(world.now().as_second() + 1_000_000)));
    assert_eq!(status(&app, &token).await, 200);
    server.answer(503, "");
    world.advance_s(24 * 3600 - 1);
    assert_eq!(status(&app, &token).await, 200);
    let (socket, mut events) = subscribers(&app, &token).await;
    world.advance_s(1);
    assert_eq!(told(&app, &token).await.0, 503);
    assert_eq!(socket.closing_next().await.0, 1013);
    assert_eq!(events.next().await, None);
    assert_eq!(ready(&app).await, (503, json!(false)));
    server.publish(&[&key]);
    world.advance_s(10);
    until("the keys", async || status(&app, &token).await == 200).await;
    app.stop().await;
}
