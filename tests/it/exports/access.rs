//! Who gets which files.

use reqwest::header::RETRY_AFTER;
use serde_json::Value;

use crate::access::with_keys;
use crate::support::app::{Database, TestApp, World, tenant};

async fn start() -> (World, TestApp) {
    let mut hidden = tenant("b", 777_001, 888_001);
    hidden.labels = vec![("region", "hidden-region")];
    let mut own = tenant("a", 10, 100);
    own.labels = vec![("department", "it")];
    let world = World::new(Database::sqlite(), vec![own, hidden]).await;
    let app = world.start_with(with_keys).await;
    app.collect().await;
    world.advance_s(300);
    (world, app)
}

async fn get(app: &TestApp, key: Option<&str>, path: &str) -> (u16, String) {
    let mut request = app.client.get(format!("{}/v1/export/{path}", app.base));
    if let Some(key) = key {
        request = request.header("X-Api-Key", format!("key of {key}"));
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

fn code(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    body["errors"][0]["extensions"]["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn exports_need_a_key_with_the_role_export() {
    let (_world, app) = start().await;
    for kind in ["usage", "snapshots"] {
        let (status, body) = get(&app, None, kind).await;
        assert_eq!((status, &*code(&body)), (401, "UNAUTHENTICATED"));
        for key in ["all", "a"] {
            let (status, body) = get(&app, Some(key), kind).await;
            assert_eq!((status, &*code(&body)), (403, "FORBIDDEN"), "{key}");
            assert!(body.contains("this needs the role EXPORT"), "{body}");
        }
        for key in ["exporter", "a-exporter", "boss"] {
            assert_eq!(get(&app, Some(key), kind).await.0, 200, "{key}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_file_holds_what_the_caller_may_see_and_what_is_hidden_looks_like_what_is_not_there() {
    let (_world, app) = start().await;
    for (path, column) in [("usage?interval=PT1H&from=2026-03-02T12:00:00Z", 7), ("snapshots", 6)] {
        let (_, own) = get(&app, Some("a-exporter"), path).await;
        let (_, all) = get(&app, Some("exporter"), path).await;
        let value = |body: &str, tenant: &str| {
            let line = body.lines().find(|line| line.starts_with(&format!("{tenant},")))?;
            line.split(',').nth(column).map(|cell| cell.trim_end_matches(".0").to_owned())
        };
        assert_eq!((value(&own, "a").as_deref(), value(&own, "b")), (Some("10"), None), "{own}");
        assert_eq!((value(&all, "a").as_deref(), value(&all, "b").as_deref()), (Some("10"), Some("777001")), "{all}");
    }
    for (hidden, absent) in
        [("tenant=b", "tenant=c"), ("tenant=a&tenant=b", "tenant=a&tenant=c"), ("label=region%3Dx", "label=regiom%3Dx")]
    {
        let (status, told) = get(&app, Some("a-exporter"), &format!("snapshots?{hidden}")).await;
        let (same, other) = get(&app, Some("a-exporter"), &format!("snapshots?{absent}")).await;
        assert_eq!((status, same, &*code(&told)), (400, 400, "BAD_USER_INPUT"));
        assert_eq!(told.replace("\\\"b\\\"", "\\\"c\\\"").replace("region", "regiom"), other);
    }
    app.stop().await;
}

#[tokio::test]
async fn tenants_are_chosen_by_id_and_by_label() {
    let (_world, app) = start().await;
    for (query, expected) in [
        ("", &["a", "b"][..]),
        ("tenant=b", &["b"]),
        ("tenant=b&tenant=a", &["a", "b"]),
        ("label=department%3Dit", &["a"]),
        ("label=department%3Dhr", &[]),
        ("tenant=b&label=department%3Dit", &[]),
    ] {
        let (_, body) = get(&app, Some("exporter"), &format!("snapshots?{query}")).await;
        let tenants: Vec<_> = body.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
        assert_eq!(tenants, expected, "{query}");
    }
    app.stop().await;
}

#[tokio::test]
async fn foreign_pages_and_callers_beyond_their_rate_are_refused() {
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let app = world
        .start_with(|config| {
            with_keys(config);
            config.limits.requests_per_second = Some(1);
        })
        .await;
    let url = format!("{}/v1/export/snapshots", app.base);
    let response = app.client.get(&url).header("Sec-Fetch-Site", "cross-site").send().await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(get(&app, Some("exporter"), "snapshots").await.0, 200);
    let response = app.client.get(&url).header("X-Api-Key", "key of exporter").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()[RETRY_AFTER].to_str().unwrap()), (429, "1"));
    app.stop().await;
}
