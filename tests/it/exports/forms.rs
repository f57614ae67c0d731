//! How a file is sent: names, media types, encodings.

use std::io::Read as _;

use reqwest::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE};

use crate::support::app::{Database, TestApp, World, tenant};

async fn start() -> (World, TestApp) {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 100)]).await;
    let app = world.start().await;
    app.collect().await;
    world.advance_s(300);
    (world, app)
}

#[tokio::test]
async fn a_file_has_a_name_that_says_what_it_is_and_its_range() {
    let (_world, app) = start().await;
    for (path, name, media_type) in [
        (
            "usage?from=2026-03-01T01:00:00Z&to=2026-03-02T00:00:00Z",
            "quotagraph-usage_20260301T000000Z_20260302T000000Z.csv",
            "text/csv; charset=utf-8; header=present",
        ),
        ("snapshots?format=ndjson", "quotagraph-snapshots_start_20260302T120500Z.ndjson", "application/x-ndjson"),
        (
            "snapshots?format=PARQUET&from=2026-03-01T00:00:00%2B01:00",
            "quotagraph-snapshots_20260228T230000Z_20260302T120500Z.parquet",
            "application/vnd.apache.parquet",
        ),
    ] {
        let response = app.client.get(format!("{}/v1/export/{path}", app.base)).send().await.unwrap();
        let text = |name| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(text(CONTENT_DISPOSITION), format!("attachment; filename=\"{name}\""));
        assert_eq!((&*text(CONTENT_TYPE), &*text(CACHE_CONTROL)), (media_type, "no-store, no-transform"));
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
    app.stop().await;
}

#[tokio::test]
async fn csv_is_plain_and_its_first_line_names_the_columns() {
    let (_world, app) = start().await;
    let (_, body) = app.get("/v1/export/snapshots").await;
    assert_eq!(
        body,
        "tenant,space_type,first_observed_at,last_observed_at,interval_s,observations,allocated_gb,total_gb\r\n\
         acme,0,2026-03-02T12:00:00Z,2026-03-02T12:00:00Z,300,1,10,100\r\n"
    );
    let (_, body) = app.get("/v1/export/usage?from=2026-03-02T12:00:00Z&interval=PT1H").await;
    assert_eq!(
        body,
        "tenant,space_type,start,end,complete,coverage,allocated_gb_average,allocated_gb_min,allocated_gb_max,allocated_gb_first,\
         allocated_gb_last,total_gb_average,total_gb_min,total_gb_max,total_gb_first,total_gb_last,utilization_average,\
         utilization_min,utilization_max,utilization_first,utilization_last\r\n\
         acme,,2026-03-02T12:00:00Z,2026-03-02T13:00:00Z,false,1.0,10.0,10.0,10.0,10.0,10.0,100.0,100.0,100.0,100.0,100.0,\
         0.1,0.1,0.1,0.1,0.1\r\n"
    );
    app.stop().await;
}

#[tokio::test]
async fn texts_are_compressed_as_the_client_likes_and_parquet_is_already() {
    let (_world, app) = start().await;
    let url = format!("{}/v1/export/usage?from=2026-02-01T00:00:00Z&interval=PT5M", app.base);
    let plain = app.client.get(&url).send().await.unwrap().bytes().await.unwrap();
    for (accepted, expected) in [("gzip", Some("gzip")), ("zstd, gzip", Some("zstd")), ("br", Some("br")), ("identity", None)] {
        let response = app.client.get(&url).header(ACCEPT_ENCODING, accepted).send().await.unwrap();
        let encoding = response.headers().get(CONTENT_ENCODING).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(encoding.as_deref(), expected);
        let bytes = response.bytes().await.unwrap();
        let mut decoded = Vec::new();
        match expected {
            Some("gzip") => _ = flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut decoded).unwrap(),
            Some("zstd") => decoded = zstd::stream::decode_all(&*bytes).unwrap(),
            Some("br") => brotli::BrotliDecompress(&mut &*bytes, &mut decoded).unwrap(),
            _ => decoded = bytes.to_vec(),
        }
        assert!(decoded == plain, "{accepted}");
        assert!(expected.is_none() || bytes.len() * 5 < plain.len(), "{accepted}: {} of {}", bytes.len(), plain.len());
    }
    let response = app.client.get(format!("{url}&format=parquet")).header(ACCEPT_ENCODING, "gzip").send().await.unwrap();
    assert!(!response.headers().contains_key(CONTENT_ENCODING));
    app.stop().await;
}
