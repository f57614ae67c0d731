//! Versions of HTTP and the end of a file: whoever gets a file must be able to tell a whole one from one that was cut off.

use serde_json::Value;

use super::breaking::{LONG, many};
use crate::support::app::{Database, World, tenant};
use crate::support::process::until;
use crate::support::raw::Raw;

const WHOLE: &[u8] = b"\r\n0\r\n\r\n";

#[tokio::test]
async fn over_http_1_0_nothing_is_exported_and_the_refusal_says_what_to_set() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 100)]).await;
    let app = world.start_with(|config| config.limits.exports = 1).await;
    app.collect().await;
    for kind in ["usage", "snapshots", "snapshots?format=ndjson", "snapshots?format=parquet", "usage?format=parquet"] {
        for headers in [&[][..], &[("Connection", "keep-alive")], &[("Accept-Encoding", "gzip")], &[("TE", "chunked")]] {
            let mut answer = Raw::send(&app, &format!("GET /v1/export/{kind} HTTP/1.0"), headers).await;
            assert_eq!((answer.status, answer.header("upgrade")), (426, Some("http/1.1")), "{kind} {headers:?}: {}", answer.head);
            assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
            let length: usize = answer.header("content-length").unwrap().parse().unwrap();
            while answer.body.len() < length {
                answer.until("}]}").await;
            }
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
            let message = body["errors"][0]["message"].as_str().unwrap();
            assert!(message.contains("exports need HTTP/1.1") && message.contains("proxy_http_version 1.1"), "{message}");
        }
        let head = Raw::send(&app, &format!("HEAD /v1/export/{kind} HTTP/1.0"), &[]).await;
        assert_eq!((head.status, head.body.len()), (426, 0), "{}", head.head);
    }
    // None of them has taken a place.
    assert_eq!(app.get("/v1/export/snapshots").await.0, 200);
    app.stop().await;
}

#[tokio::test]
async fn all_else_over_http_1_0_says_how_long_it_is() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 100)]).await;
    let app = world.start().await;
    for path in ["/graphql?query={tenants{totalCount}}", "/graphql", "/healthz", "/readyz", "/graphiql", "/nowhere"] {
        for headers in [&[][..], &[("Connection", "keep-alive")], &[("Accept-Encoding", "gzip"), ("Accept", "application/json")]] {
            let mut answer = Raw::send(&app, &format!("GET {path} HTTP/1.0"), headers).await;
            let length: usize =
                answer.header("content-length").unwrap_or_else(|| panic!("{path}: {}", answer.head)).parse().unwrap();
            if headers.iter().all(|header| *header != ("Connection", "keep-alive")) {
                answer.read_to_end().await;
                assert_eq!(answer.body.len(), length, "{path}");
            }
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn over_http_1_1_a_whole_file_ends_with_the_last_chunk_also_when_the_connection_is_closed_after_it() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 100)]).await;
    let app = world.start().await;
    app.collect().await;
    for format in ["csv", "ndjson", "parquet"] {
        for encoding in ["identity", "gzip", "br", "zstd"] {
            let headers = [("Connection", "close"), ("Accept-Encoding", encoding)];
            let mut answer = Raw::send(&app, &format!("GET /v1/export/snapshots?format={format} HTTP/1.1"), &headers).await;
            assert_eq!((answer.status, answer.header("transfer-encoding")), (200, Some("chunked")), "{}", answer.head);
            assert_eq!((answer.header("connection"), answer.header("content-length")), (Some("close"), None));
            assert_eq!(answer.header("x-accel-buffering"), Some("no"));
            assert_eq!(answer.header("cache-control"), Some("no-store, no-transform"));
            answer.read_to_end().await;
            assert!(answer.body.ends_with(WHOLE), "{format} {encoding}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn over_http_1_1_a_file_that_is_cut_off_has_no_last_chunk() {
    let (database, way) = Database::cuttable().await;
    let world = many(database).await;
    let app = world.start().await;
    for (connection, encoding) in [("close", "identity"), ("close", "gzip"), ("keep-alive", "zstd")] {
        let headers = [("Connection", connection), ("Accept-Encoding", encoding)];
        let mut answer = Raw::send(&app, &format!("GET {LONG} HTTP/1.1"), &headers).await;
        assert_eq!(answer.status, 200);
        way.cut();
        answer.read_to_end().await;
        assert!(!answer.body.ends_with(b"0\r\n\r\n"), "{encoding}: {} bytes", answer.body.len());
        way.mend();
    }
    app.stop().await;
}

#[tokio::test]
async fn head_tells_what_get_would_and_makes_nothing() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 100)]).await;
    let app = world.start_with(|config| config.limits.exports = 1).await;
    let _running = app.get("/v1/export/usage").await;
    for _ in 0..3 {
        let head = Raw::send(&app, "HEAD /v1/export/usage?format=ndjson HTTP/1.1", &[("Connection", "close")]).await;
        assert_eq!((head.status, head.header("content-type")), (200, Some("application/x-ndjson")));
        assert!(head.header("content-length").is_none(), "{}", head.head);
        assert!(head.header("content-disposition").is_some_and(|name| name.ends_with(".ndjson\"")), "{}", head.head);
    }
    let refused = Raw::send(&app, "HEAD /v1/export/usage?format=xml HTTP/1.1", &[]).await;
    assert_eq!(refused.status, 400);
    assert!(app.get("/metrics").await.1.contains("quotagraph_exports_total{outcome=\"OK\"} 1"));
    assert!(!app.get("/metrics").await.1.contains("quotagraph_exports_total{outcome=\"GONE\"}"));
    app.stop().await;
}

#[tokio::test]
async fn events_come_over_http_1_0_as_well_since_each_has_an_end_of_its_own() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 100)]).await;
    let app = world.start().await;
    app.collect().await;
    let query = "subscription{spaceAllocationChanged(since:\"2026-01-01T00:00:00Z\"){recordedAt}}";
    let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    for version in ["1.0", "1.1"] {
        let headers = [("Accept", "text/event-stream"), ("Accept-Encoding", "gzip")];
        let mut answer = Raw::send(&app, &format!("GET /graphql?query={query} HTTP/{version}"), &headers).await;
        assert_eq!((answer.status, answer.header("content-length")), (200, None), "{}", answer.head);
        assert_eq!(answer.header("x-accel-buffering"), Some("no"));
        assert_eq!(answer.header("cache-control"), Some("no-cache, no-transform"));
        assert_eq!(answer.header("content-encoding"), None);
        answer.until("event: next").await;
    }
    until("the end of both", async || crate::support::subscriber::open(&app, "sse") == 0).await;
    app.stop().await;
}

#[tokio::test]
async fn a_handshake_that_lost_its_upgrade_is_told_so() {
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    for with_keys in [false, true] {
        let app = world
            .start_with(|config| {
                if with_keys {
                    crate::access::with_keys(config);
                }
            })
            .await;
        for version in ["1.0", "1.1"] {
            // As bare nginx and Apache pass it on: the host is another one as well.
            let headers = [
                ("Connection", "close"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ("Sec-WebSocket-Version", "13"),
                ("Origin", "https://quota.example"),
            ];
            let mut answer = Raw::send(&app, &format!("GET /graphql HTTP/{version}"), &headers).await;
            assert_eq!((answer.status, answer.header("upgrade")), (426, Some("websocket")), "{}", answer.head);
            answer.read_to_end().await;
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert!(body["errors"][0]["message"].as_str().unwrap().contains("were lost on the way"), "{body}");
        }
        app.stop().await;
    }
}
