//! How answers are encoded, and what clients may keep.

use std::io::Read as _;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH, VARY,
};
use serde_json::{Value, json};

use crate::support::app::{Database, TestApp, World, tenant};

const SMALL: &str = "{ tenant(id: \"t00\") { name } }";
const LARGE: &str = "{ tenants { nodes { id name labels { key value } spaceAllocation { allocated total } } } }";

async fn start() -> (World, TestApp) {
    let tenants = (0..50).map(|number| tenant(&format!("t{number:02}"), number, 100)).collect();
    let world = World::new(Database::sqlite(), tenants).await;
    let app = world.start().await;
    app.collect().await;
    (world, app)
}

struct Got {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: reqwest::header::HeaderName) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.decoded()).unwrap()
    }

    fn decoded(&self) -> Vec<u8> {
        let mut body = Vec::new();
        match self.header(CONTENT_ENCODING) {
            "" => body.clone_from(&self.body),
            "gzip" => _ = flate2::read::GzDecoder::new(&*self.body).read_to_end(&mut body).unwrap(),
            "br" => brotli::BrotliDecompress(&mut &*self.body, &mut body).unwrap(),
            "zstd" => body = zstd::stream::decode_all(&*self.body).unwrap(),
            other => panic!("{other}"),
        }
        body
    }
}

async fn send(request: reqwest::RequestBuilder) -> Got {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Got { status, headers, body: response.bytes().await.unwrap().to_vec() }
}

fn get(app: &TestApp, query: &str) -> reqwest::RequestBuilder {
    app.client.get(reqwest::Url::parse_with_params(&format!("{}/graphql", app.base), [("query", query)]).unwrap())
}

fn post(app: &TestApp, body: &Value) -> reqwest::RequestBuilder {
    app.client.post(format!("{}/graphql", app.base)).header(CONTENT_TYPE, "application/json").body(body.to_string())
}

#[tokio::test]
async fn large_answers_are_encoded_as_the_caller_accepts() {
    let (_world, app) = start().await;
    let bare = send(post(&app, &json!({ "query": LARGE }))).await;
    assert_eq!(bare.header(CONTENT_ENCODING), "");
    assert!(bare.body.len() > 3000);
    for encoding in ["gzip", "br", "zstd"] {
        for request in [post(&app, &json!({ "query": LARGE })), get(&app, LARGE)] {
            let got = send(request.header(ACCEPT_ENCODING, encoding)).await;
            assert_eq!((got.status, got.header(CONTENT_ENCODING)), (200, encoding));
            assert_eq!(got.header(CONTENT_TYPE), "application/json; charset=utf-8");
            assert_eq!(got.header(CONTENT_LENGTH), got.body.len().to_string());
            assert!(got.body.len() * 4 < bare.body.len(), "{encoding}: {}", got.body.len());
            assert_eq!(got.json(), bare.json());
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn small_answers_and_those_of_callers_who_accept_no_encoding_stay_as_they_are() {
    let (_world, app) = start().await;
    for (query, accepted) in [(SMALL, "gzip, br, zstd"), (LARGE, "identity"), (LARGE, "deflate"), (LARGE, "br;q=0")] {
        let got = send(post(&app, &json!({ "query": query })).header(ACCEPT_ENCODING, accepted)).await;
        assert_eq!((got.status, got.header(CONTENT_ENCODING)), (200, ""), "{accepted}");
    }
    app.stop().await;
}

#[tokio::test]
async fn an_answer_of_more_than_a_hundred_kilobytes_is_encoded_whole() {
    let (_world, app) = start().await;
    let batch = Value::Array(vec![json!({ "query": LARGE.replace("tenants", "tenants(first: 50)") }); 10]);
    let nodes =
        "id a: id b: id c: id d: id e: id f: name g: name h: name i: name j: name k: name l: name m: name n: name o: name p: name";
    let body = batch.to_string().replace("id name", nodes);
    let bare = send(post(&app, &json!(serde_json::from_str::<Value>(&body).unwrap()))).await;
    assert!(bare.body.len() > 128 * 1024, "{}", bare.body.len());
    let got = send(post(&app, &serde_json::from_str(&body).unwrap()).header(ACCEPT_ENCODING, "br")).await;
    assert_eq!(got.header(CONTENT_ENCODING), "br");
    assert_eq!(got.json(), bare.json());
    app.stop().await;
}

#[tokio::test]
async fn a_query_by_get_is_not_sent_again_while_its_answer_is_the_same() {
    let (world, app) = start().await;
    let query = "{ tenant(id: \"t07\") { spaceAllocation { allocated } } }";
    let first = send(get(&app, query)).await;
    let tag = first.header(ETAG).to_owned();
    assert!(tag.starts_with('"') && tag.len() > 20, "{tag}");
    assert_eq!(first.header(CACHE_CONTROL), "private, max-age=360");
    assert_eq!(first.header(VARY), "Accept, Accept-Encoding, Authorization, X-Api-Key");

    let again = send(get(&app, query).header(IF_NONE_MATCH, format!("\"other\", W/{tag}"))).await;
    assert_eq!((again.status, again.body.len(), again.header(ETAG)), (304, 0, &*tag));
    assert_eq!(again.header(CACHE_CONTROL), "private, max-age=360");
    assert_eq!(again.header(VARY), first.header(VARY));

    world.set_values("t07", &[(0, 8, 100)]);
    world.advance_s(300);
    app.collect().await;
    let changed = send(get(&app, query).header(IF_NONE_MATCH, &tag)).await;
    assert_eq!((changed.status, changed.json()["data"]["tenant"]["spaceAllocation"]["allocated"].as_f64()), (200, Some(8.0)));
    assert_ne!(changed.header(ETAG), tag);
    app.stop().await;
}

#[tokio::test]
async fn callers_may_keep_an_answer_as_long_as_it_stays_fresh() {
    let (world, app) = start().await;
    let query = "{ tenant(id: \"t07\") { spaceAllocation { allocated } } }";
    let young = "{ tenant(id: \"t07\") { spaceAllocation(maxAge: \"PT2M\") { allocated } } }";
    let live = "{ tenant(id: \"t07\") { spaceAllocation(maxAge: \"PT0S\") { allocated } } }";
    let history = "{ tenant(id: \"t07\") { snapshots { nodes { allocated } } } }";
    for (seconds, query, expected) in [
        (0, query, "private, max-age=360"),
        (60, query, "private, max-age=300"),
        (0, young, "private, max-age=60"),
        (30, query, "private, max-age=270"),
        (0, young, "private, max-age=30"),
        (0, history, "private, no-cache"),
        (0, SMALL, "private, no-cache"),
        (0, live, "no-store"),
    ] {
        world.advance_s(seconds);
        assert_eq!(send(get(&app, query)).await.header(CACHE_CONTROL), expected, "{query}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_finished_answer_is_found_by_get_and_has_the_same_tag() {
    let (_world, app) = start().await;
    let first = send(get(&app, LARGE)).await;
    let hits = app.metric("quotagraph_answer_hits_total").await;
    let again = send(get(&app, LARGE)).await;
    assert_eq!(app.metric("quotagraph_answer_hits_total").await, hits + 1);
    assert_eq!((first.header(ETAG), &first.body), (again.header(ETAG), &again.body));
    let encoded = send(get(&app, LARGE).header(ACCEPT_ENCODING, "zstd")).await;
    assert_eq!((encoded.header(CONTENT_ENCODING), encoded.json()), ("zstd", again.json()));
    app.stop().await;
}

#[tokio::test]
async fn a_repeated_answer_is_encoded_once_for_each_encoding_until_it_changes() {
    let (world, app) = start().await;
    let body = json!({ "query": LARGE });
    for round in 1..=2 {
        let bare = send(post(&app, &body)).await;
        for (made, encoding) in ["gzip", "br", "zstd"].into_iter().enumerate() {
            for _ in 0..3 {
                let got = send(post(&app, &body).header(ACCEPT_ENCODING, encoding)).await;
                assert_eq!((got.header(CONTENT_ENCODING), got.decoded()), (encoding, bare.body.clone()));
            }
            let encodings = app.metric("quotagraph_answer_encodings_total").await;
            assert_eq!(encodings, 3 * (round - 1) + u64::try_from(made).unwrap() + 1, "{encoding} in round {round}");
        }
        world.set_values("t07", &[(0, 8, 100)]);
        world.advance_s(300);
        app.collect().await;
    }
    // An answer that is not kept is encoded each time, and not counted.
    let history =
        LARGE.replace("allocated total", "allocated").replace("name", "name snapshots(last: 1) { nodes { allocated total } }");
    for _ in 0..2 {
        let got = send(post(&app, &json!({ "query": history })).header(ACCEPT_ENCODING, "zstd")).await;
        assert_eq!((got.header(CONTENT_ENCODING), got.json()["errors"].is_null()), ("zstd", true));
    }
    assert_eq!(app.metric("quotagraph_answer_encodings_total").await, 6);
    app.stop().await;
}

#[tokio::test]
async fn what_is_said_beside_a_kept_encoded_body_is_of_the_moment() {
    let (world, app) = start().await;
    let request = || get(&app, LARGE).header(ACCEPT_ENCODING, "br");
    let first = send(request()).await;
    assert_eq!((first.header(CACHE_CONTROL), first.header(CONTENT_ENCODING)), ("private, max-age=360", "br"));
    world.advance_s(60);
    let again = send(request()).await;
    assert_eq!((again.header(CACHE_CONTROL), again.header(ETAG)), ("private, max-age=300", first.header(ETAG)));
    assert_eq!((&again.body, app.metric("quotagraph_answer_encodings_total").await), (&first.body, 1));
    let known = send(request().header(IF_NONE_MATCH, first.header(ETAG))).await;
    assert_eq!((known.status, known.body.len(), known.header(CONTENT_ENCODING)), (304, 0, ""));
    app.stop().await;
}

#[tokio::test]
async fn every_form_of_an_answer_has_a_tag_of_its_own() {
    let (_world, app) = start().await;
    let mut tags = Vec::new();
    for encoding in ["identity", "gzip", "br", "zstd"] {
        for media_type in ["application/json", "application/graphql-response+json"] {
            let request = || get(&app, LARGE).header(ACCEPT_ENCODING, encoding).header(ACCEPT, media_type);
            let tag = send(request()).await.header(ETAG).to_owned();
            assert_eq!(send(request().header(IF_NONE_MATCH, &tag)).await.status, 304);
            tags.push(tag);
        }
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 8);
    app.stop().await;
}

#[tokio::test]
async fn errors_and_mutations_are_not_to_be_kept() {
    let (world, app) = start().await;
    world.set_behaviour("t01", json!({ "code": 13_000_777 }));
    let failing = "{ tenant(id: \"t01\") { spaceAllocation(maxAge: \"PT0S\", onFailure: ERROR) { allocated } } }";
    let mutation = "mutation { refreshSpaceAllocation(tenantId: \"t00\") { allocated } }";
    for (request, status) in [
        (get(&app, failing), 200),
        (get(&app, "{ nothing }"), 200),
        (get(&app, "{ nothing }").header(ACCEPT, "application/graphql-response+json"), 400),
        (get(&app, mutation), 405),
        (post(&app, &json!({ "query": mutation })), 200),
        (post(&app, &json!({ "query": failing })), 200),
        (post(&app, &json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "0".repeat(64) } } })), 200),
        (post(&app, &json!([{ "query": mutation }])), 200),
    ] {
        let got = send(request).await;
        assert_eq!((got.status, got.header(CACHE_CONTROL), got.header(ETAG)), (status, "no-store", ""), "{}", got.json());
    }
    app.stop().await;
}

#[tokio::test]
async fn the_answer_to_a_post_says_how_long_a_gateway_may_keep_it_as_that_to_a_get_does() {
    let (world, app) = start().await;
    let quota = "{ tenant(id: \"t00\") { spaceAllocation { allocated } } }";
    let history = "{ tenant(id: \"t00\") { collection { lastSuccessAt } } }";
    for (query, expected) in
        [(quota, "private, max-age=360"), (history, "private, no-cache"), ("{ __typename }", "private, no-cache")]
    {
        // Made now, and finished before.
        for _ in 0..2 {
            for request in [post(&app, &json!({ "query": query })), get(&app, query)] {
                assert_eq!(send(request).await.header(CACHE_CONTROL), expected, "{query}");
            }
        }
        assert_eq!(send(post(&app, &json!({ "query": query }))).await.header(ETAG), "");
    }
    world.advance_s(60);
    assert_eq!(send(post(&app, &json!({ "query": quota }))).await.header(CACHE_CONTROL), "private, max-age=300");
    app.stop().await;
}
