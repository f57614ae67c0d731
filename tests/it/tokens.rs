//! JSON Web Tokens, with real keys and a real issuer.

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::SignedDuration;
use quotagraph::access::KeyDigest;
use quotagraph::app::{App, AppError};
use quotagraph::config::{Auth, AuthMode, Config, KeyConfig};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::issuer::{ISSUER, JwksServer, SigningKey, base64url, jwt_auth, set_of};
use crate::support::log::Log;

/// Two tenants, and callers with tokens whose keys stand at `source`.
pub(crate) async fn start(source: &str) -> (World, TestApp) {
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100), tenant("b", 20, 200)]).await;
    let app = world.start_with(|config| config.auth = Some(jwt_auth(AuthMode::Jwt, source))).await;
    (world, app)
}

/// The claims of somebody who may read tenant `a`, for an hour.
pub(crate) fn claims(world: &World) -> Value {
    let now = world.now().as_second();
    json!({ "iss": ISSUER, "aud": "quotagraph", "sub": "alice", "exp": now + 3600, "iat": now, "tenants": ["a"], "roles": ["READ"] })
}

pub(crate) fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

async fn ask(app: &TestApp, authorization: Option<&str>, query: &str) -> (u16, Value) {
    let body = json!({ "query": query }).to_string();
    let mut request = app.client.post(format!("{}/graphql", app.base)).header(CONTENT_TYPE, "application/json").body(body);
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

/// The status of a small question with a token.
pub(crate) async fn status(app: &TestApp, token: &str) -> u16 {
    ask(app, Some(&format!("Bearer {token}")), "{ __typename }").await.0
}

#[tokio::test]
async fn tokens_of_each_algorithm_let_in_with_the_rights_that_they_name() {
    let keys = [SigningKey::rsa("r"), SigningKey::p256("p"), SigningKey::ed25519("e")];
    let server = JwksServer::start(&keys.iter().collect::<Vec<_>>()).await;
    let (world, app) = start(&server.url).await;
    for key in &keys {
        let token = key.token(&claims(&world));
        let bearer = format!("Bearer {token}");
        let (status, answer) = ask(&app, Some(&bearer), "{ tenants { nodes { id } } }").await;
        assert_eq!((status, &answer["data"]["tenants"]["nodes"]), (200, &json!([{ "id": "a" }])), "{}", key.algorithm());
        let (_, answer) = ask(&app, Some(&bearer), "mutation { refreshSpaceAllocation(tenantId: \"a\") { allocated } }").await;
        assert_eq!(answer["errors"][0]["message"], "this needs the role REFRESH, which alice does not have");
    }
    let boss = with(with(claims(&world), "tenants", json!(["*"])), "roles", json!(["ADMIN", "KING"]));
    let (_, answer) = ask(&app, Some(&format!("bearer {}", keys[1].token(&boss))), "{ tenants { totalCount } }").await;
    assert_eq!(answer["data"]["tenants"]["totalCount"], 2);
    assert_eq!(server.asked(), 1);
    app.stop().await;
}

#[tokio::test]
async fn times_are_checked_by_our_clock_with_a_minutes_leeway() {
    let key = SigningKey::ed25519("e");
    let server = JwksServer::start(&[&key]).await;
    let (world, app) = start(&server.url).await;
    let now = world.now().as_second();
    for (claim, offset, expected) in
        [("exp", -60, 401), ("exp", -59, 200), ("nbf", 60, 200), ("nbf", 61, 401), ("exp", 1_000_000, 200), ("nbf", -1, 200)]
    {
        let token = key.token(&with(claims(&world), claim, (now + offset).into()));
        assert_eq!(status(&app, &token).await, expected, "{claim} {offset}");
    }
    for (claim, value) in [("exp", json!("soon")), ("exp", json!(-1)), ("nbf", json!("now")), ("nbf", json!(null))] {
        assert_eq!(status(&app, &key.token(&with(claims(&world), claim, value.clone()))).await, 401, "{claim} {value}");
    }
    // A token that was let in before ends too.
    let token = key.token(&claims(&world));
    assert_eq!(status(&app, &token).await, 200);
    world.advance_s(3659);
    assert_eq!(status(&app, &token).await, 200);
    world.advance_s(1);
    assert_eq!(status(&app, &token).await, 401);
    app.stop().await;
}

#[tokio::test]
async fn tokens_of_others_for_others_or_without_what_must_be_there_are_refused() {
    let key = SigningKey::p256("p");
    let server = JwksServer::start(&[&key]).await;
    let (world, app) = start(&server.url).await;
    let good = claims(&world);
    for accepted in [json!("quotagraph"), json!(["other", "quotagraph"])] {
        assert_eq!(status(&app, &key.token(&with(good.clone(), "aud", accepted))).await, 200);
    }
    for (claim, value) in [
        ("iss", json!("https://idp.example/")),
        ("iss", json!([ISSUER])),
        ("iss", json!([ISSUER, "https://other.example"])),
        ("iss", json!(7)),
        ("aud", json!("other")),
        ("aud", json!([])),
        ("sub", json!("")),
        ("sub", json!("line\nbreak")),
        ("sub", json!("x".repeat(300))),
    ] {
        assert_eq!(status(&app, &key.token(&with(good.clone(), claim, value.clone()))).await, 401, "{claim} {value}");
    }
    for claim in ["iss", "aud", "sub", "exp"] {
        assert_eq!(status(&app, &key.token(&without(good.clone(), claim))).await, 401, "without {claim}");
    }
    let (status, answer) =
        ask(&app, Some(&format!("Bearer {}", key.token(&without(good, "tenants")))), "{ tenants { totalCount } }").await;
    assert_eq!((status, &answer["data"]["tenants"]["totalCount"]), (200, &json!(0)), "no tenants claim, no tenants");
    app.stop().await;
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let keys = [SigningKey::rsa("r"), SigningKey::p256("p"), SigningKey::ed25519("e")];
    let server = JwksServer::start(&keys.iter().collect::<Vec<_>>()).await;
    let (world, app) = start(&server.url).await;
    let good = claims(&world);
    let mut forged = Vec::new();
    for key in &keys {
        let token = key.token(&good);
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = message.split_once('.').unwrap();
        let more = base64url(with(good.clone(), "tenants", json!(["*"])).to_string());
        forged.push(("other claims", format!("{header}.{more}.{signature}")));
        forged.push(("no signature", format!("{message}.")));
        forged.push(("no third part", message.to_owned()));
        forged.push(("a fourth part", format!("{token}.")));
        for alg in ["none", "None", "NONE"] {
            let header = base64url(json!({ "alg": alg, "kid": key.id }).to_string());
            forged.push(("alg none", format!("{header}.{}.", base64url(good.to_string()))));
            forged.push(("alg none, signed", key.token_with(&json!({ "alg": alg, "kid": key.id }), &good)));
        }
        // The public key, in whatever form, as a shared secret.
        for secret in [key.public_bytes(), key.public_jwk().to_string().into_bytes()] {
            let header = base64url(json!({ "alg": "HS256", "kid": key.id }).to_string());
            let message = format!("{header}.{}", base64url(good.to_string()));
            let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
            mac.update(message.as_bytes());
            forged.push(("HS256 by the public key", format!("{message}.{}", base64url(mac.finalize().into_bytes()))));
        }
        for alg in ["RS256", "ES256", "EdDSA", "PS256", "RS512", "ES384"].into_iter().filter(|alg| *alg != key.algorithm()) {
            forged.push(("another algorithm", key.token_with(&json!({ "alg": alg, "kid": key.id }), &good)));
        }
        let critical = json!({ "alg": key.algorithm(), "kid": key.id, "crit": ["b64"], "b64": false });
        forged.push(("a critical extension", key.token_with(&critical, &good)));
        let own = json!({ "alg": key.algorithm(), "kid": key.id, "jwk": SigningKey::ed25519("e").public_jwk() });
        assert_eq!(status(&app, &key.token_with(&own, &good)).await, 200, "a key in the header is not looked at");
    }
    forged.push(("another's key", SigningKey::ed25519("e").token(&good)));
    forged.push(("another's key", SigningKey::p256("p").token(&good)));
    forged.push(("too long", keys[2].token(&with(good.clone(), "padding", "x".repeat(20_000).into()))));
    forged.push(("nothing", String::new()));
    for (how, token) in forged {
        assert_eq!(status(&app, &token).await, 401, "{how}: {token}");
    }
    assert_eq!(ask(&app, Some("Basic YTpi"), "{ __typename }").await.0, 401);
    app.stop().await;
}

#[tokio::test]
async fn a_token_with_any_character_changed_is_refused() {
    let key = SigningKey::p256("p");
    let server = JwksServer::start(&[&key]).await;
    let (world, app) = start(&server.url).await;
    let token = key.token(&claims(&world));
    for i in 0..token.len() {
        let other = match token.as_bytes()[i] {
            b'.' => "a",
            b'A' => "B",
            _ => "A",
        };
        let changed = format!("{}{other}{}", &token[..i], &token[i + 1..]);
        // One that names another key may be good, for all that is known.
        let status = status(&app, &changed).await;
        assert!(status == 401 || (status == 503 && i < token.find('.').unwrap()), "{status} {i}: {changed}");
    }
    assert_eq!(status(&app, &token).await, 200);
    app.stop().await;
}

#[tokio::test]
async fn an_unknown_key_makes_one_fetch_and_finds_keys_that_are_new() {
    let (old, new, made_up) = (SigningKey::ed25519("old"), SigningKey::p256("new"), SigningKey::ed25519("made-up"));
    let server = JwksServer::start(&[&old]).await;
    let (world, app) = start(&server.url).await;
    assert_eq!(status(&app, &old.token(&claims(&world))).await, 200);
    assert_eq!(server.asked(), 1);

    // The issuer has a new key; callers come with it all at once.
    server.publish(&[&old, &new]);
    world.advance_s(10);
    let token = new.token(&claims(&world));
    let statuses = futures_util::future::join_all((0..20).map(|_| status(&app, &token))).await;
    assert_eq!(statuses, [200; 20]);
    assert_eq!(server.asked(), 2);

    // Made-up keys do not make us ask more often than every 10 s; meanwhile nobody knows whether the issuer has them.
    for _ in 0..20 {
        assert_eq!(status(&app, &made_up.token(&claims(&world))).await, 503);
    }
    assert_eq!(server.asked(), 2);
    world.advance_s(10);
    for i in 0..20 {
        assert_eq!(status(&app, &made_up.token(&claims(&world))).await, if i == 0 { 401 } else { 503 });
    }
    assert_eq!(server.asked(), 3);
    app.stop().await;
}

/// Asks until a fetch behind has had its effect; that takes moments, not time by the clock.
async fn until(app: &TestApp, token: &str, expected: u16) {
    for _ in 0..1000 {
        if status(app, token).await == expected {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the token is not answered with {expected}");
}

#[tokio::test]
async fn a_key_that_is_withdrawn_ends_its_tokens_even_those_let_in_before() {
    let (withdrawn, kept) = (SigningKey::ed25519("withdrawn"), SigningKey::ed25519("kept"));
    let server = JwksServer::start(&[&withdrawn, &kept]).await;
    let (world, app) = start(&server.url).await;
    let token = withdrawn.token(&claims(&world));
    assert_eq!(status(&app, &token).await, 200);
    server.publish(&[&kept]);
    world.advance_s(599);
    assert_eq!(status(&app, &token).await, 200);
    assert_eq!(server.asked(), 1, "a set of less than 10 minutes is used as it is");
    world.advance_s(1);
    until(&app, &token, 401).await;
    assert_eq!(status(&app, &kept.token(&claims(&world))).await, 200);
    app.stop().await;
}

#[tokio::test]
async fn while_the_issuer_is_away_or_talks_nonsense_the_former_keys_stay() {
    let (key, next) = (SigningKey::ed25519("k"), SigningKey::ed25519("next"));
    let server = JwksServer::start(&[&key]).await;
    let (world, app) = start(&server.url).await;
    let long = with(claims(&world), "exp", (world.now().as_second() + 1_000_000).into());
    assert_eq!(status(&app, &key.token(&long)).await, 200);
    let huge = " ".repeat(300 * 1024) + &set_of(&[&next]);
    for (code, body) in [(503, ""), (200, "<html>"), (200, "{\"keys\":null}"), (200, &*huge), (302, &*set_of(&[&next]))] {
        server.answer(code, body);
        let asked = server.asked();
        world.advance_s(600);
        assert_eq!(status(&app, &next.token(&long)).await, 503, "this one is looked for");
        assert_eq!(server.asked(), asked + 1);
        assert_eq!(status(&app, &key.token(&long)).await, 200);
    }
    server.publish(&[&next]);
    world.advance_s(10);
    until(&app, &next.token(&long), 200).await;
    app.stop().await;
}

#[tokio::test]
async fn a_service_whose_issuer_is_away_starts_and_lets_in_as_soon_as_it_is_back() {
    let key = SigningKey::ed25519("k");
    let server = JwksServer::start(&[&key]).await;
    server.answer(500, "");
    let (world, app) = start(&server.url).await;
    let token = key.token(&claims(&world));
    assert_eq!(status(&app, &token).await, 503);
    server.publish(&[&key]);
    world.clock.advance(SignedDuration::from_secs(10));
    assert_eq!(status(&app, &token).await, 200);
    app.stop().await;
}

#[tokio::test]
async fn keys_come_from_a_file_too_and_a_bad_one_stops_the_start() {
    let key = SigningKey::ed25519("k");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, set_of(&[&key])).unwrap();
    let (world, app) = start(file.to_str().unwrap()).await;
    assert_eq!(status(&app, &key.token(&claims(&world))).await, 200);
    let next = SigningKey::p256("next");
    std::fs::write(&file, set_of(&[&next])).unwrap();
    world.advance_s(10);
    assert_eq!(status(&app, &next.token(&claims(&world))).await, 200);
    app.stop().await;

    std::fs::write(&file, "{}").unwrap();
    let mut config = Config::default();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.auth = Some(jwt_auth(AuthMode::Jwt, file.to_str().unwrap()));
    let built = App::build(&config, Vec::new(), world.database.open().await, std::sync::Arc::new(world.clock.clone())).await;
    let Err(AppError::TokenKeys(error)) = built else { panic!("it starts without keys") };
    assert_eq!(
        error.to_string(),
        format!("auth.jwt.jwks_file: {} is not a JWK Set: missing field `keys` at line 1 column 2", file.display())
    );
}

#[tokio::test]
async fn keys_and_tokens_can_both_be_accepted_and_the_challenge_names_what_is() {
    let key = SigningKey::ed25519("k");
    let server = JwksServer::start(&[&key]).await;
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    for (mode, challenge) in [
        (AuthMode::Jwt, "Bearer realm=\"quotagraph\""),
        (AuthMode::KeysAndJwt, "Bearer realm=\"quotagraph\", ApiKey realm=\"quotagraph\""),
    ] {
        let api_key = KeyConfig {
            name: "portal".to_owned(),
            sha256: KeyDigest::of("the key").to_string(),
            tenants: vec!["*".to_owned()],
            roles: vec!["READ".to_owned()],
        };
        let auth = Auth { keys: vec![api_key], ..jwt_auth(mode, &server.url) };
        let app = world.start_with(|config| config.auth = Some(auth)).await;
        let token = key.token(&claims(&world));
        let mut outcomes = Vec::new();
        for (api_key, token) in [
            (None, None),
            (Some("the key"), None),
            (None, Some(&token)),
            (Some("the key"), Some(&token)),
            (Some("no"), Some(&token)),
        ] {
            let mut request = app.client.get(format!("{}/graphql?query=%7B__typename%7D", app.base));
            if let Some(api_key) = api_key {
                request = request.header("X-Api-Key", api_key);
            }
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let response = request.send().await.unwrap();
            if response.status() == 401 {
                assert_eq!(response.headers()[WWW_AUTHENTICATE], challenge);
            }
            outcomes.push(response.status().as_u16());
        }
        let expected = if mode == AuthMode::Jwt { [401, 401, 200, 200, 200] } else { [401, 200, 200, 200, 401] };
        assert_eq!(outcomes, expected, "{mode:?}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_token_that_was_sent_and_does_not_count_is_called_invalid_and_one_that_was_not_sent_is_not() {
    let key = SigningKey::ed25519("k");
    let server = JwksServer::start(&[&key]).await;
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let good = key.token(&claims(&world));
    let expired = key.token(&with(claims(&world), "exp", json!(world.now().as_second() - 3600)));
    let foreign = SigningKey::ed25519("k").token(&claims(&world));
    let plain = "Bearer realm=\"quotagraph\"";
    let invalid = "Bearer realm=\"quotagraph\", error=\"invalid_token\"";
    let also_by_key = |challenge: &str| format!("{challenge}, ApiKey realm=\"quotagraph\"");
    let only_by_key = || Some("ApiKey realm=\"quotagraph\"".to_owned());
    for mode in [AuthMode::Jwt, AuthMode::KeysAndJwt, AuthMode::Keys] {
        let api_key = KeyConfig {
            name: "portal".to_owned(),
            sha256: KeyDigest::of("the key").to_string(),
            tenants: vec!["*".to_owned()],
            roles: vec!["READ".to_owned()],
        };
        let keys = if mode == AuthMode::Jwt { Vec::new() } else { vec![api_key] };
        let auth = Auth { keys, ..jwt_auth(mode, &server.url) };
        let auth = if mode == AuthMode::Keys { Auth { jwt: None, ..auth } } else { auth };
        let app = world.start_with(|config| config.auth = Some(auth)).await;
        let challenge = async |path: &str, headers: &[(&str, String)]| {
            let mut request = app.client.get(format!("{}{path}", app.base));
            for (name, value) in headers {
                request = request.header(*name, value);
            }
            let response = request.send().await.unwrap();
            let challenge = response.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(challenge.is_some(), response.status() == 401, "{path} {headers:?}");
            challenge
        };
        let bearer = |token: &str| ("Authorization", format!("Bearer {token}"));
        let unknown_key = ("X-Api-Key", "no".to_owned());
        let of_mode = |challenge: &str| match mode {
            AuthMode::Jwt => Some(challenge.to_owned()),
            AuthMode::KeysAndJwt => Some(also_by_key(challenge)),
            _ => only_by_key(),
        };
        for path in ["/graphql?query=%7B__typename%7D", "/v1/export/usage"] {
            for refused in ["a.b.c", &expired, &foreign] {
                assert_eq!(challenge(path, &[bearer(refused)]).await, of_mode(invalid), "{mode:?} {path} {refused}");
            }
            let (basic, empty) = (("Authorization", "Basic YTpi".to_owned()), ("Authorization", "Bearer".to_owned()));
            for headers in [&[][..], &[basic], &[empty], std::slice::from_ref(&unknown_key)] {
                assert_eq!(challenge(path, headers).await, of_mode(plain), "{mode:?} {path} {headers:?}");
            }
        }
        // Where both count, the key is what counts of both.
        let of_both = challenge("/graphql?query=%7B__typename%7D", &[unknown_key, bearer(&expired)]).await;
        assert_eq!(of_both, if mode == AuthMode::Jwt { of_mode(invalid) } else { of_mode(plain) }, "{mode:?}");
        let of_good = challenge("/graphql?query=%7B__typename%7D", &[bearer(&good)]).await;
        assert_eq!(of_good, if mode == AuthMode::Keys { only_by_key() } else { None }, "{mode:?}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_token_that_gives_no_right_is_told_so_in_one_line_however_often_it_comes() {
    let (key, second) = (SigningKey::ed25519("k"), SigningKey::ed25519("second"));
    let server = JwksServer::start(&[&key]).await;
    let (world, app) = start(&server.url).await;
    let log = Log::keep();
    let lines = || {
        log.of("quotagraph::audit")
            .into_iter()
            .filter(|line| line["tenants_claim"] != json!(null) || line["roles_claim"] != json!(null))
    };
    let of = |tenants: Value, roles: Value, id: usize| {
        let claims = with(with(with(claims(&world), "tenants", tenants), "roles", roles), "jti", json!(id));
        key.token(&with(claims, "exp", json!(world.now().as_second() + 100_000)))
    };
    let mut expected = 0;
    for (tenants, roles, lacking) in [
        (json!(["nope"]), json!(["READ"]), "no tenant;"),
        (json!("openid profile"), json!("READ"), "no tenant;"),
        (json!([]), json!([]), "no tenant and no role;"),
        (json!("nope"), json!("user"), "no tenant and no role;"),
        (json!(["a"]), json!("user"), "no role;"),
        (json!([]), json!(["METRICS"]), ""),
        (json!("openid a"), json!("openid READ"), ""),
    ] {
        let token = of(tenants.clone(), roles.clone(), 0);
        // Also when many come at once, and when it is verified anew because the issuer has other keys.
        for keys in [&[&key, &second][..], &[&key], &[&key, &second]] {
            server.publish(keys);
            world.advance_s(600);
            let statuses = futures_util::future::join_all((0..5).map(|_| status(&app, &token))).await;
            assert_eq!(statuses, [200; 5]);
        }
        expected += usize::from(!lacking.is_empty());
        assert_eq!(lines().count(), expected, "{tenants} {roles}");
        if !lacking.is_empty() {
            let line = lines().next_back().unwrap();
            assert!(line["message"].as_str().unwrap().starts_with(&format!("the token gives {lacking}")), "{line}");
        }
    }
    for id in 1..=40 {
        assert_eq!(status(&app, &of(json!([]), json!([]), id)).await, 200);
    }
    assert_eq!(lines().count(), expected + 40, "each token is told of");
    app.stop().await;
}

#[tokio::test]
async fn keys_as_careless_issuers_write_them_verify_tokens() {
    let (rsa, curve, okp) = (SigningKey::rsa("7"), SigningKey::p256("p"), SigningKey::ed25519("e"));
    let standard = |part: &Value| {
        let text = part.as_str().unwrap().replace('-', "+").replace('_', "/");
        let padding = "=".repeat((4 - text.len() % 4) % 4);
        json!(text + &padding)
    };
    let with_zero = |part: &Value| {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part.as_str().unwrap()).unwrap();
        json!(base64url([&[0], &bytes[..]].concat()))
    };
    let of = |key: &SigningKey, changes: &[(&str, Value)]| {
        let mut jwk = key.public_jwk();
        for (name, value) in changes {
            jwk[*name] = value.clone();
        }
        jwk
    };
    let n = &rsa.public_jwk()["n"];
    let numbered = json!({ "alg": "RS256", "kid": 7 });
    let server = JwksServer::start(&[]).await;
    for (how, jwk, key, header) in [
        ("padded", of(&rsa, &[("n", standard(n)), ("e", json!("AQAB"))]), &rsa, None),
        ("a zero before", of(&rsa, &[("n", with_zero(n)), ("e", with_zero(&json!("AQAB")))]), &rsa, None),
        ("x5c is no list", of(&rsa, &[("x5c", json!("MII")), ("x5t", json!(1)), ("x5u", json!([]))]), &rsa, None),
        ("a number as a name", of(&rsa, &[("kid", json!(7))]), &rsa, None),
        ("a number as a name in both", of(&rsa, &[("kid", json!(7))]), &rsa, Some(&numbered)),
        ("padded", of(&curve, &[("x", standard(&curve.public_jwk()["x"]))]), &curve, None),
        ("a zero before", of(&curve, &[("y", with_zero(&curve.public_jwk()["y"]))]), &curve, None),
        ("Ed25519", of(&okp, &[("alg", json!("Ed25519"))]), &okp, None),
        ("Ed25519 in both", of(&okp, &[("alg", json!("Ed25519"))]), &okp, Some(&json!({ "alg": "Ed25519", "kid": "e" }))),
    ] {
        for mark in ["", "\u{feff}"] {
            server.answer(200, &format!("{mark}{}", json!({ "keys": [jwk] })));
            let (world, app) = start(&server.url).await;
            let token = header.map_or_else(|| key.token(&claims(&world)), |header| key.token_with(header, &claims(&world)));
            assert_eq!(status(&app, &token).await, 200, "{how}: {jwk}");
            app.stop().await;
        }
    }
}
