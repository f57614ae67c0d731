//! Documents and JSON with many brackets within each other, on every way in. None of them may reach what recurses over it: the stack's end
//! ends the process.

use quotagraph::app::{App, AppError};
use quotagraph::config::{Config, TrustedDocuments};
use quotagraph::graphql::code::QUERY_TOO_COMPLEX;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::subscriber::{Events, Socket};

async fn start() -> (World, TestApp) {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 2)]).await;
    let app = world.start().await;
    (world, app)
}

/// A part so many times within itself, around a core.
fn within(open: &str, core: &str, close: &str, levels: usize) -> String {
    format!("{}{core}{}", open.repeat(levels), close.repeat(levels))
}

/// Documents with so many brackets within each other, in each place where there may be any.
fn nested(levels: usize) -> Vec<String> {
    let lists = |less: usize| within("[", "", "]", levels - less);
    let objects = |less: usize| within("{a:", "1", "}", levels - less);
    vec![
        format!("{{ tenant(id: {}) {{ id }} }}", lists(2)),
        format!("{{ tenant(id: {}) {{ id }} }}", objects(2)),
        format!("query($a: [ID] = {}) {{ tenant(id: $a) {{ id }} }}", lists(1)),
        format!("query($a: TenantFilter = {}) {{ tenants(where: $a) {{ totalCount }} }}", objects(1)),
        format!("query($a: {}) {{ tenant(id: $a) {{ id }} }}", within("[", "ID", "]", levels - 1)),
        format!("{{ tenant @skip(if: {}) {{ id }} }}", lists(2)),
        format!("query @a(b: {}) {{ tenant {{ id }} }}", lists(1)),
        format!("query($a: ID @b(c: {})) {{ tenant(id: $a) {{ id }} }}", lists(2)),
        format!("{{ tenants(where: {{ labels: {} }}) {{ totalCount }} }}", within("[{ key: ", "1", "}]", levels / 2)),
        format!("{{ _entities(representations: {}) {{ __typename }} }}", objects(2)),
        within("{ tenant ", "{ id }", "}", levels - 1),
        within("{ ... ", "{ __typename }", "}", levels - 1),
        within("{ ... on Query @a(b: [", "", "]) { __typename } }", 1) + &"{".repeat(levels),
        format!("{{ tenant {{ id }} }} fragment F on Tenant {{ id @a(b: {}) }}", lists(2)),
        format!("mutation {{ refreshSpaceAllocation(tenantId: {}) {{ total }} }}", lists(2)),
        format!("subscription {{ spaceAllocationChanged(tenantId: {}) {{ recordedAt }} }}", lists(2)),
        // What is not closed, is closed otherwise, or is no document at all.
        "{".repeat(levels),
        "[".repeat(levels),
        "(".repeat(levels),
        "{a(b:[".repeat(levels / 3),
        format!("{{ a(b: \"\"\" [ \"\"\" {}", "[ ".repeat(levels - 2)),
    ]
}

fn code_of(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_document_is_refused_by_its_brackets_before_it_is_parsed() {
    let (_world, app) = start().await;
    for levels in [66, 1800, 10_000] {
        for document in nested(levels) {
            let (code, message) = app.error(&document).await;
            let shown = document.get(..60).unwrap_or(&document);
            // Whichever of the two is told first.
            let told =
                message.ends_with("brackets within each other; the limit is 64") || message.ends_with("tokens; the limit is 5000");
            assert!(code == QUERY_TOO_COMPLEX && told, "{shown}: {code} {message}");
        }
    }
    // One that may be as deep is not.
    for document in nested(60) {
        let (_, answer) = app.post(&json!({ "query": document })).await;
        assert!(!answer.to_string().contains("brackets within each other"), "{document}: {answer}");
    }
    app.data("{ __typename }").await;
    app.stop().await;
}

#[tokio::test]
async fn a_string_without_an_end_hides_no_brackets() {
    let (_world, app) = start().await;
    // A parser that takes the first two quotes for a text finds the brackets after the second text.
    for document in [
        format!("{{ tenant(id: [\"\"\" a \" {}", "[".repeat(1800)),
        format!("{{ tenant(id: [\" {}", "[".repeat(1800)),
        format!("{{ tenant(id: [\"\\\n {}", "[".repeat(1800)),
    ] {
        let (code, message) = app.error(&document).await;
        assert_eq!(code, "BAD_USER_INPUT", "{message}");
        assert_eq!(message, "the document has a string without an end, which begins at line 1, column 15");
    }
    app.stop().await;
}

#[tokio::test]
async fn it_is_refused_on_every_way_in() {
    let (_world, app) = start().await;
    let document = format!("{{ tenant(id: {}) {{ id }} }}", within("[", "", "]", 1800));
    let short = format!("{{ tenant(id: {}) {{ id }} }}", within("[", "", "]", 600));

    let url = reqwest::Url::parse_with_params(&format!("{}/graphql", app.base), [("query", &short)]).unwrap();
    let response = app.client.get(url).header("accept", "application/graphql-response+json").send().await.unwrap();
    assert_eq!(response.status(), 400);
    let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(code_of(&answer), QUERY_TOO_COMPLEX);

    let good = json!({ "query": "{ __typename }" });
    let (status, answer) = app.post(&json!([good, { "query": document }, good])).await;
    assert_eq!((status, code_of(&answer[1])), (200, QUERY_TOO_COMPLEX), "{answer}");
    assert_eq!((&answer[0], &answer[2]), (&json!({ "data": { "__typename": "Query" } }), &answer[0]));

    // It is not remembered, so its hash is not known afterwards.
    let hash = hex::encode(Sha256::digest(&document));
    let extensions = json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } });
    let (_, answer) = app.post(&json!({ "query": document, "extensions": extensions })).await;
    assert_eq!(code_of(&answer), QUERY_TOO_COMPLEX);
    let (_, answer) = app.post(&json!({ "extensions": extensions })).await;
    assert_eq!(code_of(&answer), "PERSISTED_QUERY_NOT_FOUND");

    let response = Events::post(&app, &document, &[]).await;
    let text = response.text().await.unwrap();
    assert!(text.contains(QUERY_TOO_COMPLEX), "{text}");

    let mut socket = Socket::init(&app, json!({})).await;
    for document in [&document, &format!("subscription {{ spaceAllocationChanged(tenantId: {}", "[".repeat(1800))] {
        socket.say(json!({ "type": "subscribe", "id": "a", "payload": { "query": document } })).await;
        let message = socket.hear().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("a")), "{message}");
        assert_eq!(message["payload"][0]["extensions"]["code"], QUERY_TOO_COMPLEX);
    }
    // The connection lives on.
    socket.say(json!({ "type": "ping" })).await;
    assert_eq!(socket.hear().await, json!({ "type": "pong" }));
    app.stop().await;
}

#[tokio::test]
async fn json_is_refused_by_its_brackets_before_it_is_read() {
    let (_world, app) = start().await;
    let query = "query($a: [ID]) { tenants(where: { ids: $a }) { totalCount } }";
    let post = async |body: String| {
        let request = app.client.post(format!("{}/graphql", app.base)).header("content-type", "application/json");
        let response = request.body(body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str::<Value>(&response.text().await.unwrap()).unwrap())
    };
    for levels in [65, 127, 40_000] {
        for body in [
            format!("{{\"query\":\"{query}\",\"variables\":{{\"a\":{}}}}}", within("[", "", "]", levels)),
            format!("{{\"query\":\"{query}\",\"variables\":{}}}", within("{\"a\":", "1", "}", levels)),
            format!("{{\"query\":\"{query}\",\"extensions\":{{\"a\":{}}}}}", within("[", "", "]", levels)),
            format!("{{\"query\":\"{{ __typename }}\",\"other\":{}}}", within("[", "", "]", levels)),
            format!("[{{\"query\":\"{query}\",\"variables\":{{\"a\":{}}}}}]", within("[", "", "]", levels)),
            "[".repeat(levels),
        ] {
            let (status, answer) = post(body).await;
            assert_eq!((status, code_of(&answer)), (400, QUERY_TOO_COMPLEX), "{answer}");
            let message = answer["errors"][0]["message"].as_str().unwrap();
            assert!(message.starts_with("the request has ") && message.ends_with(" the limit is 64"), "{message}");
        }
    }
    let deep = within("[", "", "]", 1000);
    for (name, value) in [("variables", format!("{{\"a\":{deep}}}")), ("extensions", format!("{{\"a\":{deep}}}"))] {
        let parameters = [("query", "{ __typename }"), (name, &value)];
        let url = reqwest::Url::parse_with_params(&format!("{}/graphql", app.base), parameters).unwrap();
        let answer = app.client.get(url).send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(code_of(&answer), QUERY_TOO_COMPLEX, "{name}");
    }
    // Brackets in texts are none.
    let (_, answer) =
        post(json!({ "query": "query($a: ID) { tenant(id: $a) { id } }", "variables": { "a": "[{".repeat(1000) } }).to_string())
            .await;
    assert_eq!(answer, json!({ "data": { "tenant": null } }));

    // Before connection_init only little may be sent.
    for (message, is_let_in) in [
        (format!("{{\"type\":\"connection_init\",\"payload\":{}}}", within("{\"a\":", "1", "}", 500)), false),
        (format!("{{\"type\":\"ping\",\"payload\":{{\"a\":{}}}}}", within("[", "", "]", 5000)), true),
        ("[".repeat(100_000), true),
    ] {
        let mut socket = if is_let_in { Socket::init(&app, json!({})).await } else { Socket::open(&app, &[]).await.unwrap() };
        socket.say_text(&message).await;
        let (code, reason) = socket.closing().await;
        assert!(code == 4400 && reason.ends_with("brackets within each other; the limit is 64"), "{code} {reason}");
    }
    app.data("{ __typename }").await;
    app.stop().await;
}

#[tokio::test]
async fn chains_without_brackets_are_refused_or_walked_without_recursion() {
    let (_world, app) = start().await;
    let chain = |count: usize, last: &str| {
        let links: Vec<_> = (1..count).map(|n| format!("fragment F{n} on Tenant {{ ...F{} }}", n + 1)).collect();
        let links = links.join(" ");
        format!("{links} fragment F{count} on Tenant {{ {last} }}")
    };
    let too_deep = "the document is nested too deep; the limit of fields is 15";
    // Whether or not an operation uses it, and with or without an end.
    for document in [
        format!("{{ tenant {{ ...F1 }} }} {}", chain(600, "id")),
        format!("{{ tenant {{ id }} }} {}", chain(600, "id")),
        format!("{{ tenant {{ ...F1 }} }} {}", chain(600, "...F1")),
    ] {
        assert_eq!(app.error(&document).await, (QUERY_TOO_COMPLEX.to_owned(), too_deep.to_owned()));
    }
    let (code, message) = app.error(&format!("{{ tenant {{ id }} }} {}", chain(5, "...F1"))).await;
    assert!(code == "BAD_USER_INPUT" && message.ends_with("contains itself"), "{message}");
    // Many of anything beside each other are no more than many.
    for document in [
        format!("{{ tenant {} {{ id }} }}", "@a".repeat(2000)),
        format!("query({}) {{ tenant {{ id }} }}", "$a:ID ".repeat(1000)),
        format!("query($a: ID{}) {{ tenant(id: $a) {{ id }} }}", "!".repeat(4000)),
        format!("{{ tenant {{ {} }} }}", "id ".repeat(4000)),
        format!("{{ tenant(id: [{}]) {{ id }} }}", "1 ".repeat(4000)),
        format!("{{ tenant(id: {}1) {{ id }} }}", "-".repeat(4000)),
    ] {
        app.ask(&document).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn errors_show_no_more_than_a_piece_of_what_was_sent() {
    let (_world, app) = start().await;
    let long = "x".repeat(900);
    let text = "y".repeat(100_000);
    for document in [
        format!("{{ tenant {{ id }} {}", "id ".repeat(4000)),
        format!("{{ {long} }}"),
        format!("{{ tenant {{ {} }} }}", format!("{long} ").repeat(200)),
        format!("{{ tenant {{ {} }} }}", "nothing ".repeat(3000)),
        format!("{{ {text} }}"),
        format!("{{ tenant({long}: \"{text}\") {{ id }} }}"),
        format!("{{ tenant {{ spaceAllocation {{ allocated(unit: \"{text}\") }} }} }}"),
        format!("{{ tenant {{ spaceAllocation {{ allocated(unit: {long}) }} }} }}"),
        format!("{{ tenant @skip(if: \"{text}\") {{ id }} }}"),
        format!("{{ tenant(id: \"{text}\") {{ growth(over: \"{text}\") {{ perDay }} }} }}"),
        format!("{{ tenant(id: \"acme\") {{ growth(over: \"{text}\") {{ perDay }} }} }}"),
    ] {
        let answer = app.ask(&document).await;
        assert!(answer.to_string().len() < 100_000, "{} bytes", answer.to_string().len());
        for error in answer["errors"].as_array().into_iter().flatten() {
            assert!(error["message"].as_str().unwrap().len() < 520, "{error}");
        }
    }
    let (status, answer) = app.post(&json!({ "query": { "a": text } })).await;
    assert!(status == 400 && answer.to_string().len() < 1000, "{answer}");
    let (status, answer) = app.post(&json!({ "query": "{ __typename }", "variables": text })).await;
    assert!(status == 400 && answer.to_string().len() < 1000, "{answer}");
    app.stop().await;
}

#[tokio::test]
async fn a_file_of_trusted_documents_with_one_that_is_nested_too_deep_is_refused_by_its_id() {
    let world = World::new(Database::sqlite(), Vec::new()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("documents.json");
    let mut config = Config::default();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.graphql.trusted_documents = TrustedDocuments::Allow;
    config.graphql.trusted_documents_file = Some(file.clone());
    for (document, sentence) in [
        (
            within("{a(b:[", "", "])}", 300),
            "the document deep cannot be executed: the document has 900 brackets within each other; the limit is 64",
        ),
        (
            "{ a ".repeat(2000),
            "the document deep cannot be executed: the document has 2000 brackets within each other; the limit is 64",
        ),
    ] {
        std::fs::write(&file, json!({ "good": "{ a }", "deep": document }).to_string()).unwrap();
        let built = App::build(&config, Vec::new(), world.database.open().await, Arc::new(world.clock.clone())).await;
        let Err(error @ AppError::Documents(_)) = built else { panic!("the file cannot be used") };
        assert!(error.to_string().ends_with(sentence), "{error}");
    }
}
