//! Routes, media types and status codes.

use std::time::Duration;

use reqwest::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::support::app::{Database, TestApp, World, tenant};

async fn start() -> (World, TestApp) {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 2)]).await;
    let app = world.start().await;
    (world, app)
}

/// Status, content type and body of a POST.
async fn post(app: &TestApp, accept: Option<&str>, content_type: &str, body: impl Into<reqwest::Body>) -> (u16, String, Value) {
    let mut request = app.client.post(format!("{}/graphql", app.base)).body(body);
    if !content_type.is_empty() {
        request = request.header(CONTENT_TYPE, content_type);
    }
    if let Some(accept) = accept {
        request = request.header(ACCEPT, accept);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let content_type = response.headers().get(CONTENT_TYPE).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    let body = serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default();
    (status, content_type, body)
}

const JSON: &str = "application/json";
const NEW: &str = "application/graphql-response+json";

#[tokio::test]
async fn the_status_follows_the_media_type_that_the_caller_accepts() {
    let (_world, app) = start().await;
    let good = r#"{"query":"{ __typename }"}"#;
    let (status, content_type, body) = post(&app, None, JSON, good).await;
    assert_eq!((status, content_type.as_str()), (200, "application/json; charset=utf-8"));
    assert_eq!(body, json!({ "data": { "__typename": "Query" } }));
    let (status, content_type, _) = post(&app, Some(NEW), JSON, good).await;
    assert_eq!((status, content_type.as_str()), (200, "application/graphql-response+json; charset=utf-8"));
    // A document that is not valid: 400 by the new media type, 200 by the old one, and no data in either.
    for (accept, expected) in [(NEW, 400), (JSON, 200)] {
        for document in ["{", "{ nothing }", "query A { __typename } query B { __typename }"] {
            let (status, _, body) = post(&app, Some(accept), JSON, json!({ "query": document }).to_string()).await;
            assert_eq!(status, expected, "{document}");
            assert!(body.get("data").is_none(), "{body}");
            assert_eq!(body["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{body}");
        }
    }
    assert_eq!(post(&app, Some("text/html"), JSON, good).await.0, 406);
    // Who names nothing has no preference.
    for none in ["", " ", ",", " , "] {
        let (status, content_type, _) = post(&app, Some(none), JSON, good).await;
        assert_eq!((status, content_type.as_str()), (200, "application/json; charset=utf-8"), "{none:?}");
    }
    // An empty name of an operation is none, by POST as by GET.
    for name in [json!(""), json!(null)] {
        let body = json!({ "query": "query A { __typename }", "operationName": name, "documentId": name }).to_string();
        assert_eq!(post(&app, None, JSON, body).await.2, json!({ "data": { "__typename": "Query" } }));
    }
    app.stop().await;
}

#[tokio::test]
async fn requests_that_are_not_understood_are_refused_with_what_to_mend() {
    let (_world, app) = start().await;
    for (content_type, body, status, sentence) in [
        ("", r#"{"query":"{ __typename }"}"#, 415, "send the request as application/json in UTF-8"),
        ("text/plain", r#"{"query":"{ __typename }"}"#, 415, "send the request as application/json in UTF-8"),
        ("application/json; charset=latin1", r#"{"query":"{ __typename }"}"#, 415, "send the request as application/json in UTF-8"),
        (JSON, "{", 400, "the request is not understood"),
        (JSON, "{}", 400, "query is missing"),
        (JSON, r#"{"query": 7}"#, 400, "the request is not understood"),
        (JSON, r#"{"query": "{ __typename }", "variables": []}"#, 400, "the request is not understood"),
        (JSON, r#"{"query": "{ __typename }", "operationName": 1}"#, 400, "the request is not understood"),
        (JSON, "[", 400, "the request is not understood"),
        (JSON, "[7]", 400, "the request is not understood"),
        (JSON, r#"[["{ __typename }",null,{},null,null]]"#, 400, "the request is not understood"),
        (JSON, r#"[{"query":"{ __typename }"},["{ __typename }"]]"#, 400, "the request is not understood"),
        (JSON, r#"{"query": "{ __typename }", "variables": "{}"}"#, 400, "the request is not understood"),
        (JSON, r#"{"query": "query($a: Float) { __typename }", "variables": {"a": 1e999}}"#, 400, "the request is not understood"),
    ] {
        let (found, _, answer) = post(&app, None, content_type, body).await;
        assert_eq!(found, status, "{body}");
        assert!(answer["errors"][0]["message"].as_str().unwrap().starts_with(sentence), "{answer}");
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_body_in_another_coding_or_charset_is_refused_by_its_name() {
    let (_world, app) = start().await;
    let good = r#"{"query":"{ __typename }"}"#;
    let post = |name: &'static str, value: &'static str| {
        let content_type = if name == "Content-Type" { value } else { JSON };
        let request = app.client.post(format!("{}/graphql", app.base)).header(CONTENT_TYPE, content_type).body(good);
        if name == "Content-Type" { request.send() } else { request.header(name, value).send() }
    };
    for coding in ["gzip", "br", "zstd", "deflate", "GZIP", "identity, gzip"] {
        let response = post("Content-Encoding", coding).await.unwrap();
        assert_eq!((response.status().as_u16(), response.headers()["accept-encoding"].to_str().unwrap()), (415, "identity"));
        let name = coding.rsplit(' ').next().unwrap();
        let body = response.text().await.unwrap();
        assert!(body.contains(&format!("is coded by \\\"{name}\\\"")), "{body}");
    }
    for charset in ["charset=UTF8", "charset=utf8", "CHARSET=\"UTF-8\"", "charset = Utf-8", "charset=\"utf8\""] {
        let content_type = format!("application/json; {charset}").leak();
        assert_eq!(post("Content-Type", content_type).await.unwrap().status(), 200, "{charset}");
    }
    let response = post("Content-Type", "application/json; charset=utf-16").await.unwrap();
    assert_eq!(response.status(), 415);
    assert!(response.text().await.unwrap().contains("not in the charset \\\"utf-16\\\""));
    assert_eq!(post("Content-Encoding", "identity").await.unwrap().status(), 200);
    app.stop().await;
}

#[tokio::test]
async fn no_answer_may_be_taken_for_another_media_type_than_it_says() {
    let (_world, app) = start().await;
    let query = "/graphql?query=%7B__typename%7D";
    let tag = app.client.get(format!("{}{query}", app.base)).send().await.unwrap().headers()["etag"].clone();
    let tag = tag.to_str().unwrap();
    for (status, method, path, headers) in [
        (200, "GET", query, vec![]),
        (304, "GET", query, vec![("If-None-Match", tag)]),
        (200, "HEAD", query, vec![]),
        (400, "GET", "/graphql", vec![]),
        (200, "GET", query, vec![("Accept", "text/event-stream")]),
        (403, "GET", query, vec![("Sec-Fetch-Site", "cross-site")]),
        (404, "GET", "/no/such/route", vec![]),
        (404, "GET", "/graphiql/no-such-asset.js", vec![]),
        (405, "DELETE", "/graphql", vec![]),
        (406, "GET", query, vec![("Accept", "text/html")]),
        (415, "POST", "/graphql", vec![]),
        (421, "GET", query, vec![("Host", "evil.example")]),
        (400, "GET", "/graphql", vec![("Upgrade", "websocket")]),
        (200, "GET", "/v1/export/usage", vec![]),
        (400, "GET", "/v1/export/usage?format=xml", vec![]),
        (200, "GET", "/", vec![]),
        (200, "GET", "/graphiql", vec![]),
        (200, "GET", "/graphiql/react.min.js", vec![]),
        (308, "GET", "/graphiql/", vec![]),
        (200, "GET", "/healthz", vec![]),
        (200, "GET", "/readyz", vec![]),
        (200, "GET", "/metrics", vec![]),
    ] {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let mut request = client.request(method.parse().unwrap(), format!("{}{path}", app.base));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        let values: Vec<_> = response.headers().get_all("x-content-type-options").iter().collect();
        assert_eq!(values, ["nosniff"], "{method} {path}");
        assert!(!response.headers().contains_key("strict-transport-security"), "plain http");
    }
    let (status, body) = app.get("/v1/export/usages").await;
    assert!(status == 404 && body.contains("there is nothing at this path; GraphQL is at /graphql, "), "{body}");
    app.stop().await;
}

#[tokio::test]
async fn get_answers_queries_and_refuses_mutations() {
    let (world, app) = start().await;
    let get = |query: Vec<(&'static str, &'static str)>| {
        let mut url = reqwest::Url::parse(&format!("{}/graphql", app.base)).unwrap();
        url.query_pairs_mut().extend_pairs(query);
        app.client.get(url).send()
    };
    let response =
        get(vec![("query", "query Q($id: ID) { tenant(id: $id) { name } }"), ("variables", r#"{"id":"acme"}"#)]).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().await.unwrap(), r#"{"data":{"tenant":{"name":"acme Ltd"}}}"#);

    let mutation = "mutation { refreshSpaceAllocation(tenantId: \"acme\") { allocated } }";
    let response = get(vec![("query", mutation)]).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()[ALLOW].to_str().unwrap()), (405, "POST"));
    let two = "query A { __typename } mutation B { refreshSpaceAllocation(tenantId: \"acme\") { allocated } }";
    assert_eq!(get(vec![("query", two), ("operationName", "B")]).await.unwrap().status(), 405);
    assert_eq!(get(vec![("query", two), ("operationName", "A")]).await.unwrap().status(), 200);
    assert_eq!(world.upstream("acme").hits(), 0);
    assert_eq!(get(vec![("query", "{ __typename }"), ("variables", "[]")]).await.unwrap().status(), 400);
    assert_eq!(app.get("/graphql").await.0, 400);
    app.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let (_world, app) = start().await;
    let body = |bytes: usize| {
        let rest = r#"{"query":"{ __typename }"}"#;
        format!("{rest}{}", " ".repeat(bytes - rest.len()))
    };
    assert_eq!(post(&app, None, JSON, body(256 * 1024)).await.0, 200);
    let (status, _, answer) = post(&app, None, JSON, body(256 * 1024 + 1)).await;
    assert_eq!((status, &answer["errors"][0]["message"]), (413, &json!("the request is larger than 262144 bytes")));
    // Without a declared length it is noticed while reading.
    let chunks = (0..30).map(|_| Ok::<_, std::io::Error>(" ".repeat(10_000)));
    let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    assert_eq!(post(&app, None, JSON, stream).await.0, 413);
    app.stop().await;
}

#[tokio::test]
async fn health_tells_that_the_process_lives_and_readiness_that_it_can_work() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 2)]).await;
    // The collector counts for readiness; here it only runs when the test steps it, because its upstream never answers.
    let app = world.start().await;
    assert_eq!(app.get("/healthz").await, (200, r#"{"status":"ok"}"#.to_owned()));
    let (status, body) = app.get("/readyz").await;
    assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()["checks"]["database"]["ok"].clone()), (200, json!(true)));
    app.store.close().await;
    let (status, body) = app.get("/readyz").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["ready"], &body["checks"]["database"]["ok"]), (503, &json!(false), &json!(false)));
    assert!(body["checks"]["database"]["reason"].as_str().unwrap().starts_with("the database cannot be used"));
    assert_eq!(app.get("/healthz").await.0, 200);
    app.handle.stop();
}

#[tokio::test]
async fn readiness_fails_when_the_collector_lags() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 2)]).await;
    world.set_behaviour("acme", json!({ "delay_ms": 600_000 }));
    let app = world
        .start_with(|config| {
            config.collector.enabled = true;
            config.server.shutdown_timeout = Duration::from_millis(500);
        })
        .await;
    assert_eq!(app.get("/readyz").await.0, 200);
    world.advance_s(601);
    let (status, body) = app.get("/readyz").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["checks"]["collector"]["lagSeconds"]), (503, &json!(601)));
    app.handle.stop();
}

#[tokio::test]
async fn metrics_are_in_the_text_format_of_open_metrics() {
    let (_world, app) = start().await;
    app.data("{ tenant { spaceAllocation { allocated } } }").await;
    app.ask("{ nothing }").await;
    let (status, text) = app.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n"));
    for line in [
        "quotagraph_graphql_requests_total 2",
        "quotagraph_graphql_errors_total{code=\"BAD_USER_INPUT\"} 1",
        "quotagraph_cache_misses_total 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("secret of acme"));
    app.stop().await;
}

#[tokio::test]
async fn the_ide_loads_nothing_from_elsewhere() {
    let (_world, app) = start().await;
    let response = app.client.get(format!("{}/graphiql", app.base)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'self'"));
    let page = response.text().await.unwrap();
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("\"//"), "{page}");
    let addresses = page.split(['"']).filter(|part| part.starts_with("graphiql/"));
    for address in addresses {
        let response = app.client.get(format!("{}/{address}", app.base)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{address}");
        assert!(!response.bytes().await.unwrap().is_empty());
    }
    app.stop().await;
}

#[tokio::test]
async fn a_browser_that_is_pointed_at_the_service_is_shown_the_ways_on() {
    let (_world, app) = start().await;
    let response = app.client.get(&app.base).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    let page = response.text().await.unwrap();
    let ways: Vec<_> = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(ways, ["data:,", "graphiql", "graphql?query=%7B__typename%7D", "readyz", "metrics"]);
    for way in &ways[1..] {
        assert_eq!(app.client.get(format!("{}/{way}", app.base)).send().await.unwrap().status(), 200, "{way}");
    }
    app.stop().await;
}

#[tokio::test]
async fn head_answers_as_get_without_a_body_and_does_nothing_more() {
    let (world, app) = start().await;
    let head = |query: &str| app.client.head(format!("{}/graphql?query={query}", app.base)).send();
    assert_eq!(head("%7B__typename%7D").await.unwrap().status(), 200);
    let mutation = "mutation%7BrefreshSpaceAllocation(tenantId:%22acme%22)%7Ballocated%7D%7D";
    assert_eq!(head(mutation).await.unwrap().status(), 405);
    assert_eq!(world.upstream("acme").hits(), 0);
    app.stop().await;
}
