//! What happens when a file cannot be finished, or nobody takes it.

use std::fmt::Write as _;

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::{Database, World, tenant};
use crate::support::process::{patiently, until};

/// So many that they are read by many statements, and that their rows do not fit into the buffers on the way.
pub(super) const TENANTS: usize = 400;
pub(super) const LONG: &str = "/v1/export/usage?from=2026-02-01T00:00:00Z&to=2026-03-01T00:00:00Z&interval=PT30M";

pub(super) async fn many(database: Database) -> World {
    World::new(database, (0..TENANTS).map(|number| tenant(&format!("tenant-{number}"), 1, 2)).collect()).await
}

#[tokio::test]
async fn a_client_notices_when_the_database_goes_away_in_the_middle_of_its_file() {
    let (database, way) = Database::cuttable().await;
    let world = many(database).await;
    let app = world.start().await;
    for (format, encoding) in [("csv", "identity"), ("ndjson", "gzip"), ("parquet", "identity")] {
        let url = format!("{}{LONG}&format={format}", app.base);
        let mut response = app.client.get(url).header("Accept-Encoding", encoding).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let mut body = response.chunk().await.unwrap().unwrap().to_vec();
        // The rest is not read yet, however long the client waits: it takes no more than the buffers hold.
        way.cut();
        let broken = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        assert!(broken.is_some(), "{format}: the file ended as if it were whole, after {} bytes", body.len());
        assert!(!body.ends_with(b"PAR1") || body.len() == 4, "the file has a footer");
        way.mend();
    }
    let (_, metrics) = app.get("/metrics").await;
    assert!(metrics.contains("quotagraph_exports_total{outcome=\"FAILED\"} 3"), "{metrics}");
    app.stop().await;
}

#[tokio::test]
async fn without_a_database_there_is_an_error_instead_of_a_file() {
    let (database, way) = Database::cuttable().await;
    let world = World::new(database, vec![tenant("acme", 1, 2)]).await;
    let app = world.start().await;
    way.cut();
    for format in ["csv", "parquet"] {
        let (status, body) = app.get(&format!("/v1/export/snapshots?format={format}")).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, body["errors"][0]["extensions"]["code"].as_str()), (503, Some("HISTORY_UNAVAILABLE")), "{body}");
    }
    way.mend();
    assert_eq!(app.get("/v1/export/snapshots").await.0, 200);
    app.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_export_and_frees_its_place() {
    let world = many(Database::sqlite()).await;
    let app = world.start_with(|config| config.limits.exports = 2).await;
    let mut url = app.base.clone();
    write!(url, "{LONG}").unwrap();
    let first = app.client.get(&url).send().await.unwrap();
    let second = app.client.get(&url).send().await.unwrap();
    let refused = app.client.get(&url).send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (429, "10"));
    assert!(refused.text().await.unwrap().contains("RATE_LIMITED"));
    drop((first, second));
    until("the end of both exports", async || app.get("/metrics").await.1.contains("quotagraph_exports_total{outcome=\"GONE\"} 2"))
        .await;
    let whole = app.client.get(&url).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(whole.split(|byte| *byte == b'\n').count(), 2 + TENANTS * 28 * 48);
    app.stop().await;
}

#[tokio::test]
async fn a_client_that_stops_reading_loses_its_place_and_notices_that_the_file_is_not_whole() {
    let world = many(Database::sqlite()).await;
    let app = world
        .start_with(|config| {
            config.limits.exports = 1;
            config.limits.stall_timeout = Duration::from_millis(500);
        })
        .await;
    let mut stalled = TcpStream::connect(app.base.trim_start_matches("http://")).await.unwrap();
    stalled.write_all(format!("GET {LONG} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stalled.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    until("the end of the export", async || app.get("/metrics").await.1.contains("quotagraph_exports_total{outcome=\"GONE\"} 1"))
        .await;
    let mut rest = Vec::new();
    // Either the end comes, or the connection is reset.
    let _ = patiently("the end of the connection", stalled.read_to_end(&mut rest)).await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "the file ended as if it were whole, after {} bytes", rest.len());
    // One that reads has the place now, and the whole file.
    let whole = app.client.get(format!("{}{LONG}", app.base)).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(whole.split(|byte| *byte == b'\n').count(), 2 + TENANTS * 28 * 48);
    app.stop().await;
}
