//! What the audit log says of an export: that it began, and how it ended.

use serde_json::{Value, json};

use super::breaking::{LONG, TENANTS, many};
use crate::access::with_keys;
use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::log::Log;
use crate::support::process::until;

const AUDIT: &str = "quotagraph::audit";
const ROWS: usize = TENANTS * 28 * 48;

/// The line that ends the export that came last, once it is there.
async fn end(log: &Log, number: usize) -> Value {
    let lines = || log.of(AUDIT).into_iter().filter(|line| line["message"] == "export").collect::<Vec<_>>();
    until("the end of an export", async || lines().len() >= 2 * number).await;
    let lines = lines();
    let [began, ended] = &lines[2 * number - 2..] else { panic!("{lines:?}") };
    assert_eq!(began["outcome"], "STARTED");
    for field in ["principal", "export", "format", "tenants"] {
        assert_eq!(began[field], ended[field], "{field}");
    }
    ended.clone()
}

fn count(line: &Value, field: &str) -> usize {
    usize::try_from(line[field].as_u64().unwrap_or_else(|| panic!("{field} of {line}"))).unwrap()
}

async fn export(app: &TestApp, path: &str, encoding: &str) -> Vec<u8> {
    let request = app.client.get(format!("{}{path}", app.base)).header("X-Api-Key", "key of exporter");
    request.header("Accept-Encoding", encoding).send().await.unwrap().bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn a_whole_export_ends_with_its_rows_and_bytes() {
    let log = Log::keep();
    let world = World::new(Database::sqlite(), vec![tenant("a", 1, 2), tenant("b", 3, 4)]).await;
    let app = world.start_with(with_keys).await;
    app.collect().await;
    let mut number = 0;
    for (path, rows) in [
        ("/v1/export/snapshots", 2),
        ("/v1/export/snapshots?tenant=a&format=parquet", 1),
        ("/v1/export/snapshots?to=2001-01-01T00:00:00Z&format=ndjson", 0),
        ("/v1/export/usage?from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z&interval=PT1H", 48),
    ] {
        for encoding in ["identity", "gzip"] {
            number += 1;
            let file = export(&app, path, encoding).await;
            let line = end(&log, number).await;
            assert_eq!(line["principal"], "exporter");
            assert_eq!(
                (&line["outcome"], count(&line, "rows"), count(&line, "bytes_sent")),
                (&json!("OK"), rows, file.len()),
                "{path}"
            );
            if encoding == "identity" || path.ends_with("parquet") {
                assert_eq!(count(&line, "bytes"), file.len(), "{path}");
            }
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn an_export_that_breaks_off_ends_with_what_was_given_of_it() {
    let log = Log::keep();
    let (database, way) = Database::cuttable().await;
    let world = many(database).await;
    let app = world.start_with(with_keys).await;
    let request = app.client.get(format!("{}{LONG}", app.base)).header("X-Api-Key", "key of exporter");
    let mut response = request.send().await.unwrap();
    let mut taken = response.chunk().await.unwrap().unwrap().len();
    way.cut();
    while let Ok(Some(chunk)) = response.chunk().await {
        taken += chunk.len();
    }
    let line = end(&log, 1).await;
    assert_eq!(line["outcome"], "FAILED", "{line}");
    // What the connection had taken and not yet sent went with it.
    assert!(count(&line, "bytes") >= taken && (1..ROWS).contains(&count(&line, "rows")), "{taken}: {line}");
    let cause = log.of("quotagraph::http::export::file");
    assert_eq!(cause.len(), 1, "{cause:?}");
    // Nothing is begun that cannot be read at all, and it ends too.
    let refused = app.client.get(format!("{}{LONG}", app.base)).header("X-Api-Key", "key of exporter").send().await.unwrap();
    assert_eq!(refused.status(), 503);
    let line = end(&log, 2).await;
    assert_eq!((&line["outcome"], count(&line, "rows"), count(&line, "bytes")), (&json!("FAILED"), 0, 0));
    way.mend();
    app.stop().await;
}

#[tokio::test]
async fn an_export_whose_client_goes_ends_with_what_it_took() {
    let log = Log::keep();
    let world = many(Database::sqlite()).await;
    let app = world.start_with(with_keys).await;
    let request = app.client.get(format!("{}{LONG}", app.base)).header("X-Api-Key", "key of exporter");
    let mut response = request.send().await.unwrap();
    let taken = response.chunk().await.unwrap().unwrap().len();
    drop(response);
    let line = end(&log, 1).await;
    assert_eq!(line["outcome"], "GONE", "{line}");
    assert!(count(&line, "bytes_sent") >= taken && (1..ROWS).contains(&count(&line, "rows")), "{line}");
    app.stop().await;
}

#[tokio::test]
async fn an_export_that_the_end_of_the_service_cuts_off_is_told_from_one_whose_client_went() {
    let log = Log::keep();
    let world = many(Database::sqlite()).await;
    let app = world
        .start_with(|config| {
            with_keys(config);
            config.server.shutdown_timeout = std::time::Duration::from_millis(300);
        })
        .await;
    let request = app.client.get(format!("{}{LONG}", app.base)).header("X-Api-Key", "key of exporter");
    let response = request.send().await.unwrap();
    app.stop().await;
    drop(response);
    assert_eq!(end(&log, 1).await["outcome"], "CUT");
}
