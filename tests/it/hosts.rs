//! By which hosts the service may be called: no page gets at it by a name of its own that it resolves to our address.

use quotagraph::config::{Auth, AuthMode, Config};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::access::with_keys;
use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::process::patiently;
use crate::support::subscriber::Socket;

async fn start(configure: impl FnOnce(&mut Config)) -> (World, TestApp) {
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let app = world.start_with(configure).await;
    (world, app)
}

const REFRESH: &str = "mutation { refreshSpaceAllocation(tenantId: \"a\") { allocated } }";

/// Everything that tells or does something.
const WAYS: [(&str, &str, &str); 9] = [
    ("POST", "/graphql", "application/json"),
    ("POST", "/graphql", "text/event-stream"),
    ("GET", "/graphql?query=%7B__typename%7D", "application/json"),
    ("GET", "/v1/export/usage", "*/*"),
    ("GET", "/v1/export/snapshots", "*/*"),
    ("GET", "/metrics", "*/*"),
    ("GET", "/graphiql", "*/*"),
    ("GET", "/readyz", "*/*"),
    ("GET", "/no/such/route", "*/*"),
];

/// Status and body of the answer to a request with these headers.
async fn send(app: &TestApp, way: (&str, &str, &str), headers: &[(&str, &str)]) -> (u16, String) {
    let (method, path, accept) = way;
    let mut request = app.client.request(method.parse().unwrap(), format!("{}{path}", app.base)).header("Accept", accept);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if method == Method::POST {
        request = request.header("Content-Type", "application/json").body(json!({ "query": REFRESH }).to_string());
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// The first line of the answer to a request, byte for byte the same.
async fn say(app: &TestApp, request: &str) -> String {
    let mut stream = TcpStream::connect(app.base.trim_start_matches("http://")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    patiently("an answer", stream.read_exact(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn port(app: &TestApp) -> &str {
    app.base.rsplit_once(':').unwrap().1
}

#[tokio::test]
async fn without_authentication_only_hosts_that_nobody_else_can_have_are_served() {
    let (world, app) = start(|_| {}).await;
    let port = port(&app);
    for host in [
        format!("evil.example:{port}"),
        "evil.example".to_owned(),
        format!("localhost.evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("evillocalhost:{port}"),
        format!("quotagraph:{port}"),
        format!("0.0.0.0:{port}"),
        format!("10.0.0.1:{port}"),
    ] {
        for way in WAYS {
            let (status, body) = send(&app, way, &[("Host", &host)]).await;
            assert_eq!(status, 421, "{host} {way:?}");
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["errors"][0]["extensions"]["code"], "FORBIDDEN");
            let sentence = body["errors"][0]["message"].as_str().unwrap();
            assert!(sentence.contains(&host) && sentence.contains("server.hosts"), "{sentence}");
        }
        assert!(Socket::open(&app, &[("host", &host)]).await.is_err(), "{host}");
        let origin = format!("http://{host}");
        assert!(Socket::open(&app, &[("host", &host), ("origin", &origin)]).await.is_err(), "{host}");
    }
    assert_eq!(world.upstream("a").hits(), 0);
    for host in ["localhost", "LOCALHOST:1", "localhost.", "app.localhost", "127.0.0.1", "127.1.2.3:80", "[::1]:80"] {
        for way in WAYS.into_iter().filter(|(_, path, _)| *path != "/no/such/route") {
            assert_eq!(send(&app, way, &[("Host", host)]).await.0, 200, "{host} {way:?}");
        }
        Socket::open(&app, &[("host", host)]).await.unwrap();
    }
    app.stop().await;
}

#[tokio::test]
async fn a_target_that_names_a_host_counts_as_one_too() {
    let (_world, app) = start(|_| {}).await;
    for (target, host, expected) in [
        ("http://evil.example/metrics", "localhost", "421"),
        ("http://localhost/metrics", "evil.example", "421"),
        ("http://localhost:80/metrics", "localhost", "200"),
        ("/metrics", "evil.example", "421"),
        ("/metrics", "localhost", "200"),
        ("//evil.example/metrics", "localhost", "404"),
    ] {
        let answer = say(&app, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(answer, format!("HTTP/1.1 {expected}"), "{target} {host}");
    }
    app.stop().await;
}

#[tokio::test]
async fn without_authentication_pages_of_other_hosts_may_not_even_ask() {
    let (world, app) = start(|config| config.cors.allowed_origins = vec!["https://portal.example".to_owned()]).await;
    let post = WAYS[0];
    for origin in ["http://evil.example", "https://localhost.evil.example", "null", "chrome-extension://abc"] {
        for headers in [vec![("Origin", origin)], vec![("Origin", origin), ("Sec-Fetch-Site", "cross-site"), ("X-Api-Key", "k")]] {
            let (status, body) = send(&app, post, &headers).await;
            assert_eq!(status, 403, "{headers:?}");
            assert!(body.contains("cors.allowed_origins"), "{body}");
        }
        assert!(Socket::open(&app, &[("origin", origin)]).await.is_err());
    }
    assert_eq!(world.upstream("a").hits(), 0);
    for origin in [app.base.as_str(), "https://portal.example", "http://localhost:3000"] {
        assert_eq!(send(&app, post, &[("Origin", origin)]).await.0, 200, "{origin}");
    }
    app.stop().await;
}

#[tokio::test]
async fn other_hosts_count_when_they_are_named_or_callers_prove_who_they_are() {
    let (_world, app) = start(|config| config.server.hosts = vec!["Quota.example".to_owned()]).await;
    let get = WAYS[2];
    assert_eq!(send(&app, get, &[("Host", "quota.example:8443")]).await.0, 200);
    assert_eq!(send(&app, get, &[("Host", "quota.example"), ("Origin", "http://quota.example")]).await.0, 200);
    assert_eq!(send(&app, get, &[("Host", "other.example")]).await.0, 421);
    assert_eq!(send(&app, get, &[("Host", "a.quota.example")]).await.0, 421);
    app.stop().await;

    let (_world, app) = start(with_keys).await;
    assert_eq!(send(&app, get, &[("Host", "any.example"), ("X-Api-Key", "key of all")]).await.0, 200);
    assert_eq!(send(&app, WAYS[6], &[("Host", "any.example")]).await.0, 200);
    app.stop().await;

    // Somebody has written down that nobody needs to prove anything.
    let nobody = |config: &mut Config| {
        config.auth = Some(Auth { mode: AuthMode::None, failed_attempts_per_minute: 1, keys: Vec::new(), jwt: None });
    };
    let (_world, app) = start(nobody).await;
    assert_eq!(send(&app, get, &[("Host", "any.example")]).await.0, 200);
    app.stop().await;
    let (_world, app) = start(|config| {
        nobody(config);
        config.server.hosts = vec!["quota.example".to_owned()];
    })
    .await;
    assert_eq!(send(&app, get, &[("Host", "any.example")]).await.0, 421);
    assert_eq!(send(&app, get, &[("Host", "quota.example")]).await.0, 200);
    assert_eq!(send(&app, get, &[("Host", "localhost")]).await.0, 200);
    app.stop().await;
}

#[tokio::test]
async fn a_host_that_a_trusted_proxy_tells_counts_as_well() {
    let (_world, app) = start(|config| config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let get = WAYS[2];
    for (headers, expected) in [
        (vec![("X-Forwarded-Host", "localhost")], 200),
        (vec![("X-Forwarded-Host", "evil.example")], 421),
        (vec![("X-Forwarded-Host", "localhost, evil.example")], 421),
        (vec![("Forwarded", "host=evil.example")], 421),
        (vec![("Host", "evil.example"), ("X-Forwarded-Host", "localhost")], 421),
        (vec![("X-Forwarded-Host", "evil.example"), ("Origin", "http://evil.example")], 421),
        // Over TLS nobody can show the certificate of the proxy's name but the proxy.
        (vec![("X-Forwarded-Host", "quota.example"), ("X-Forwarded-Proto", "https")], 200),
        (vec![("Forwarded", "host=quota.example;proto=https")], 200),
        (vec![("X-Forwarded-Host", "quota.example"), ("Origin", "https://quota.example")], 200),
        (vec![("X-Forwarded-Host", "quota.example"), ("Origin", "https://evil.example")], 421),
        (vec![("X-Forwarded-Host", "quota.example"), ("Sec-Fetch-Site", "same-origin")], 200),
    ] {
        assert_eq!(send(&app, get, &headers).await.0, expected, "{headers:?}");
    }
    app.stop().await;
}
