//! Pages in browsers, and proxies in front.

use quotagraph::config::Config;
use reqwest::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, HeaderMap, HeaderName, ORIGIN, VARY,
};
use reqwest::{Method, Response};
use serde_json::Value;

use crate::access::with_keys;
use crate::support::app::{Database, TestApp, World, tenant};

const PORTAL: &str = "https://portal.example";

async fn start(configure: impl FnOnce(&mut Config)) -> (World, TestApp) {
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let app = world.start_with(configure).await;
    (world, app)
}

fn with_portal(config: &mut Config) {
    config.cors.allowed_origins = vec!["http://localhost:3000".to_owned(), PORTAL.to_owned()];
}

async fn send(app: &TestApp, method: Method, headers: &[(HeaderName, &str)]) -> Response {
    let post = method == Method::POST;
    let mut request = app.client.request(method, format!("{}/graphql?query=%7B__typename%7D", app.base));
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let request =
        if post { request.header(CONTENT_TYPE, "application/json").body("{\"query\":\"{__typename}\"}") } else { request };
    request.send().await.unwrap()
}

/// What a browser is told about sharing.
fn sharing(headers: &HeaderMap) -> Vec<String> {
    headers.keys().map(ToString::to_string).filter(|name| name.starts_with("access-control-")).collect()
}

#[tokio::test]
async fn no_page_of_others_may_call_unless_configured() {
    let (_world, app) = start(|_| {}).await;
    let preflight = [(ORIGIN, PORTAL), (ACCESS_CONTROL_REQUEST_METHOD, "POST"), (ACCESS_CONTROL_REQUEST_HEADERS, "content-type")];
    let response = send(&app, Method::OPTIONS, &preflight).await;
    assert!(!response.status().is_success());
    assert_eq!(sharing(response.headers()), Vec::<String>::new());

    let response = send(&app, Method::GET, &[(ORIGIN, PORTAL)]).await;
    assert_eq!((response.status().as_u16(), sharing(response.headers())), (403, Vec::new()));
    let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN");
    let cross_site = (HeaderName::from_static("sec-fetch-site"), "cross-site");
    assert_eq!(send(&app, Method::GET, std::slice::from_ref(&cross_site)).await.status(), 403);
    assert_eq!(send(&app, Method::GET, &[(cross_site.0, "same-origin")]).await.status(), 200);
    assert_eq!(send(&app, Method::GET, &[(ORIGIN, &app.base)]).await.status(), 200, "our own page");
    app.stop().await;
}

#[tokio::test]
async fn pages_of_allowed_origins_may_call_without_cookies() {
    let (_world, app) = start(with_portal).await;
    let preflight = [(ORIGIN, PORTAL), (ACCESS_CONTROL_REQUEST_METHOD, "POST"), (ACCESS_CONTROL_REQUEST_HEADERS, "x-api-key")];
    let response = send(&app, Method::OPTIONS, &preflight).await;
    assert_eq!((response.status().as_u16(), &response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN]), (204, &PORTAL.parse().unwrap()));
    assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_METHODS], "GET, POST");
    let allowed = response.headers()[ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap();
    assert!(["x-api-key", "authorization", "content-type"].iter().all(|name| allowed.split(", ").any(|found| found == *name)));

    for method in [Method::GET, Method::POST] {
        let response = send(&app, method, &[(ORIGIN, PORTAL)]).await;
        assert_eq!((response.status().as_u16(), &response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN]), (200, &PORTAL.parse().unwrap()));
        assert!(response.headers().get_all(VARY).iter().any(|names| names == "Origin"), "{response:?}");
        assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }
    for other in ["https://portal.example.evil.example", "http://portal.example", "null"] {
        let response = send(&app, Method::OPTIONS, &[(ORIGIN, other), (ACCESS_CONTROL_REQUEST_METHOD, "POST")]).await;
        assert_eq!(sharing(response.headers()), Vec::<String>::new(), "{other}");
        assert_eq!(send(&app, Method::GET, &[(ORIGIN, other)]).await.status(), 403);
    }
    app.stop().await;
}

#[tokio::test]
async fn pages_are_nobodys_frame() {
    let (_world, app) = start(|_| {}).await;
    for path in ["/graphiql", "/graphiql/start.js", "/graphiql/react.min.js"] {
        let response = app.client.get(format!("{}{path}", app.base)).send().await.unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(
            ["x-frame-options", "referrer-policy", "x-content-type-options"].map(header),
            ["DENY", "no-referrer", "nosniff"]
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn failed_attempts_count_for_the_address_that_a_trusted_proxy_tells() {
    let forwarded_for = |address| (HeaderName::from_static("x-forwarded-for"), address);
    for trusted in [true, false] {
        let (_world, app) = start(|config| {
            with_keys(config);
            config.server.trusted_proxies = if trusted { vec!["127.0.0.0/8".parse().unwrap()] } else { Vec::new() };
        })
        .await;
        for _ in 0..5 {
            assert_eq!(send(&app, Method::POST, &[forwarded_for("203.0.113.7")]).await.status(), 401);
        }
        assert_eq!(send(&app, Method::POST, &[forwarded_for("1.1.1.1, 203.0.113.7")]).await.status(), 429);
        let other = send(&app, Method::POST, &[forwarded_for("203.0.113.8")]).await.status();
        assert_eq!(other, if trusted { 401 } else { 429 });
        app.stop().await;
    }
}
