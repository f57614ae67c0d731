//! Pages in browsers, and proxies in front.

use quotagraph::config::Config;
use reqwest::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, HeaderMap,
    HeaderName, IF_NONE_MATCH, ORIGIN, VARY,
};
use reqwest::{Method, Response};
use serde_json::Value;

use crate::access::with_keys;
use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::subscriber::Socket;

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
async fn whatever_headers_a_page_of_an_allowed_origin_asks_for_are_allowed() {
    let (_world, app) = start(with_portal).await;
    for asked in [
        "apollographql-client-name,apollographql-client-version,content-type",
        "traceparent,tracestate,baggage,sentry-trace",
        "x-request-id",
        "X-Anything-At-All, authorization",
    ] {
        let preflight = [(ORIGIN, PORTAL), (ACCESS_CONTROL_REQUEST_METHOD, "POST"), (ACCESS_CONTROL_REQUEST_HEADERS, asked)];
        for path in ["/graphql", "/v1/export/usage", "/no/such/route"] {
            let mut request = app.client.request(Method::OPTIONS, format!("{}{path}", app.base));
            for (name, value) in &preflight {
                request = request.header(name, *value);
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 204);
            let allowed = response.headers()[ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap();
            for name in asked.split(',').map(str::trim).chain(["x-api-key"]) {
                assert!(allowed.split(", ").any(|found| found.eq_ignore_ascii_case(name)), "{name}: {allowed}");
            }
            let vary: Vec<_> = response.headers().get_all(VARY).iter().map(|value| value.to_str().unwrap()).collect();
            assert_eq!(vary, ["Origin", "Access-Control-Request-Method, Access-Control-Request-Headers"]);
        }
        let foreign = [(ORIGIN, "https://evil.example"), preflight[1].clone(), preflight[2].clone()];
        assert_eq!(sharing(send(&app, Method::OPTIONS, &foreign).await.headers()), Vec::<String>::new());
    }
    let private = (HeaderName::from_static("access-control-request-private-network"), "true");
    let asks = [(ORIGIN, PORTAL), (ACCESS_CONTROL_REQUEST_METHOD, "GET"), private];
    let response = send(&app, Method::OPTIONS, &asks).await;
    assert_eq!(response.headers()["access-control-allow-private-network"], "true");
    app.stop().await;
}

#[tokio::test]
async fn an_allowed_page_may_read_errors_and_answers_without_a_body_too() {
    let (_world, app) = start(|config| {
        with_portal(config);
        with_keys(config);
        config.limits.body_bytes = 1024;
    })
    .await;
    let key = (HeaderName::from_static("x-api-key"), "key of all");
    let ask = |method: Method, path: &str, headers: &[(HeaderName, &str)], body: String| {
        let mut request = app.client.request(method, format!("{}{path}", app.base)).header(ORIGIN, PORTAL).body(body);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        request.send()
    };
    let json = (CONTENT_TYPE, "application/json");
    let query = "/graphql?query=%7Btenant(id:%22a%22)%7Bname%7D%7D";
    let tag = ask(Method::GET, query, std::slice::from_ref(&key), String::new()).await.unwrap().headers()["etag"].clone();
    let known = (IF_NONE_MATCH, tag.to_str().unwrap());
    for (status, method, path, headers, body) in [
        (401, Method::POST, "/graphql", vec![json.clone()], "{}".to_owned()),
        (403, Method::GET, "/v1/export/usage", vec![key.clone()], String::new()),
        (404, Method::GET, "/no/such/route", vec![], String::new()),
        (405, Method::DELETE, "/graphql", vec![], String::new()),
        (406, Method::GET, "/graphql", vec![(ACCEPT, "text/html")], String::new()),
        (400, Method::GET, "/graphql", vec![key.clone()], String::new()),
        (413, Method::POST, "/graphql", vec![json.clone(), key.clone()], " ".repeat(2000)),
        (415, Method::POST, "/graphql", vec![key.clone()], "{}".to_owned()),
        (304, Method::GET, query, vec![key.clone(), known], String::new()),
        (200, Method::GET, query, vec![key.clone()], String::new()),
    ] {
        let response = ask(method, path, &headers, body).await.unwrap();
        assert_eq!(response.status(), status);
        let headers = response.headers();
        assert_eq!(headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|origin| origin.to_str().unwrap()), Some(PORTAL), "{status}");
        assert!(headers["access-control-expose-headers"].to_str().unwrap().contains("retry-after"), "{status}");
        assert!(headers.get_all(VARY).iter().any(|names| names == "Origin"), "{status}");
    }
    app.stop().await;
}

#[tokio::test]
async fn an_asterisk_allows_the_hosts_below_one_and_apps_have_origins_too() {
    let allowed = ["https://*.portal.example", "capacitor://localhost", "chrome-extension://abcdefgh"];
    let (_world, app) = start(|config| config.cors.allowed_origins = allowed.map(str::to_owned).to_vec()).await;
    for (origin, expected) in [
        ("https://a.portal.example", 200),
        ("https://b.a.portal.example", 200),
        ("capacitor://localhost", 200),
        ("chrome-extension://abcdefgh", 200),
        ("https://portal.example", 403),
        ("https://evilportal.example", 403),
        ("http://a.portal.example", 403),
        ("https://a.portal.example:8443", 403),
        ("https://a.portal.example.evil.example", 403),
        ("chrome-extension://other", 403),
        ("null", 403),
    ] {
        for method in [Method::GET, Method::POST] {
            let response = send(&app, method, &[(ORIGIN, origin)]).await;
            assert_eq!(response.status(), expected, "{origin}");
            let told = response.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|origin| origin.to_str().unwrap());
            assert_eq!(told, (expected == 200).then_some(origin));
        }
    }
    app.stop().await;
}

/// Asks for a WebSocket: what a page of this origin gets with these headers.
async fn connects(app: &TestApp, headers: &[(&'static str, &str)]) -> bool {
    Socket::open(app, headers).await.is_ok()
}

#[tokio::test]
async fn the_services_own_page_is_known_by_its_origin_in_any_spelling() {
    let (_world, app) = start(with_keys).await;
    for (host, origin, own) in [
        ("quota.example", "https://quota.example", true),
        ("quota.example:443", "https://quota.example", true),
        ("quota.example", "https://quota.example:443", true),
        ("QUOTA.example", "https://quota.EXAMPLE", true),
        ("quota.example.:443", "https://quota.example", true),
        ("quota.example:80", "http://quota.example", true),
        ("[2001:db8::1]:8080", "http://[2001:0db8::1]:8080", true),
        ("quota.example:443", "http://quota.example", false),
        ("quota.example:8443", "https://quota.example", false),
        ("quota.example", "https://evil.example", false),
        ("quota.example", "https://quota.example.evil.example", false),
        ("quota.example", "null", false),
    ] {
        assert_eq!(connects(&app, &[("host", host), ("origin", origin)]).await, own, "{host} {origin}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_trusted_proxy_that_changes_the_host_tells_which_page_is_the_services_own() {
    for trusted in [true, false] {
        let (_world, app) = start(|config| {
            with_keys(config);
            config.server.trusted_proxies =
                if trusted { vec!["127.0.0.1".parse::<std::net::IpAddr>().unwrap().into()] } else { Vec::new() };
        })
        .await;
        for (headers, own) in [
            (vec![("x-forwarded-host", "quota.example")], true),
            (vec![("x-forwarded-host", "quota.example:443")], true),
            (vec![("x-forwarded-host", "evil.example, quota.example")], true),
            (vec![("x-forwarded-host", "quota.example"), ("x-forwarded-proto", "https")], true),
            (vec![("forwarded", "for=203.0.113.7;host=quota.example;proto=https")], true),
            (vec![("forwarded", "for=\"[2001:db8::7]:4711\";host=\"quota.example:443\"")], true),
            (vec![("x-forwarded-host", "quota.example"), ("x-forwarded-proto", "http")], false),
            (vec![("x-forwarded-host", "quota.example, evil.example")], false),
            (vec![("x-forwarded-host", "evil.example"), ("forwarded", "host=quota.example")], false),
            (vec![], false),
        ] {
            let headers = [headers, vec![("origin", "https://quota.example")]].concat();
            assert_eq!(connects(&app, &headers).await, own && trusted, "{headers:?}");
        }
        app.stop().await;
    }
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
