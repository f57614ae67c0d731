//! `/metrics`: who gets the figures, and in which form.

use quotagraph::config::Config;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HOST, VARY, WWW_AUTHENTICATE};
use serde_json::Value;

use crate::access::with_keys;
use crate::support::app::{Database, TestApp, World, tenant};

async fn start(configure: impl FnOnce(&mut Config)) -> (World, TestApp) {
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let app = world.start_with(configure).await;
    (world, app)
}

#[tokio::test]
async fn figures_are_for_the_roles_metrics_and_admin() {
    let (_world, app) = start(with_keys).await;
    let get = |key: Option<&str>| {
        let request = app.client.get(format!("{}/metrics", app.base));
        key.map_or(request.try_clone().unwrap(), |key| request.header("X-Api-Key", format!("key of {key}"))).send()
    };
    for (key, status, code) in [
        (None, 401, "UNAUTHENTICATED"),
        (Some("nobody"), 401, "UNAUTHENTICATED"),
        (Some("all"), 403, "FORBIDDEN"),
        (Some("exporter"), 403, "FORBIDDEN"),
    ] {
        let response = get(key).await.unwrap();
        assert_eq!(response.status(), status, "{key:?}");
        assert_eq!(response.headers().contains_key(WWW_AUTHENTICATE), status == 401);
        let body = response.text().await.unwrap();
        assert!(!body.contains("quotagraph_"), "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["errors"][0]["extensions"]["code"], code);
        if status == 403 {
            assert!(body["errors"][0]["message"].as_str().unwrap().contains("the role METRICS"), "{body}");
        }
    }
    for key in ["scraper", "boss"] {
        let response = get(Some(key)).await.unwrap();
        assert_eq!(response.status(), 200, "{key}");
        assert!(response.text().await.unwrap().contains("quotagraph_graphql_requests_total"));
    }
    // The role stands for nothing else.
    let request =
        app.client.get(format!("{}/graphql?query=%7Btenants%7BtotalCount%7D%7D", app.base)).header("X-Api-Key", "key of scraper");
    assert!(request.send().await.unwrap().text().await.unwrap().contains("FORBIDDEN"));
    app.stop().await;
}

#[tokio::test]
async fn an_address_of_their_own_has_the_figures_alone_and_asks_nobody_who_it_is() {
    let (_world, app) = start(|config| {
        with_keys(config);
        config.metrics.listen = Some(([127, 0, 0, 1], 0).into());
    })
    .await;
    let base = app.metrics_base.clone().unwrap();
    let get = |path: &str| app.client.get(format!("{base}{path}"));
    let response = get("/metrics").send().await.unwrap();
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(response.status(), 200);
    assert!(response.text().await.unwrap().ends_with("# EOF\n"));
    for path in ["/", "/graphql?query=%7B__typename%7D", "/graphiql", "/v1/export/usage"] {
        assert_eq!(get(path).send().await.unwrap().status(), 404, "{path}");
    }
    assert_eq!(get("/metrics").header(HOST, "evil.example").send().await.unwrap().status(), 421);
    assert_eq!(app.client.get(format!("{}/metrics", app.base)).send().await.unwrap().status(), 401);
    app.stop().await;
}

#[tokio::test]
async fn a_scraper_gets_the_form_that_it_accepts() {
    let (_world, app) = start(|_| {}).await;
    app.ask("{ nothing }").await;
    for (accept, open) in [
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", true),
        ("text/plain;version=0.0.4;q=1,*/*;q=0.1", false),
        ("text/plain", false),
        ("*/*", true),
    ] {
        let response = app.client.get(format!("{}/metrics", app.base)).header(ACCEPT, accept).send().await.unwrap();
        let content_type = if open {
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        } else {
            "text/plain; version=0.0.4; charset=utf-8"
        };
        let header = |name| response.headers()[name].to_str().unwrap();
        assert_eq!((header(CONTENT_TYPE), header(VARY)), (content_type, "Accept"), "{accept}");
        let text = response.text().await.unwrap();
        assert_eq!(text.contains("# EOF"), open);
        assert!(text.contains("quotagraph_graphql_errors_total{code=\"BAD_USER_INPUT\"} 1\n"), "{text}");
        // The older form names the type of what has the figure, the newer one that of the family.
        assert_eq!(text.contains("# TYPE quotagraph_graphql_errors_total counter\n"), !open, "{text}");
        assert_eq!(text.contains("# TYPE quotagraph_graphql_errors counter\n"), open, "{text}");
        assert!(text.contains("quotagraph_graphql_duration_seconds_bucket{le=\"+Inf\"} 1\n"), "{text}");
    }
    app.stop().await;
}
