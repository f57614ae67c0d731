//! What one request may ask for, limit by limit.

use std::time::Duration;

use quotagraph::config::Config;
use serde_json::{Value, json};

use crate::support::app::{Database, TenantSetup, TestApp, World, tenant};

async fn start_with(configure: impl FnOnce(&mut Config)) -> (World, TestApp) {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 2)]).await;
    let app = world.start_with(configure).await;
    (world, app)
}

/// Starts with low limits. The first document must be answered; the second is refused with the sentence.
async fn assert_limit(configure: impl FnOnce(&mut Config), answered: &str, refused: &str, sentence: &str) {
    let (_world, app) = start_with(configure).await;
    app.data(answered).await;
    assert_eq!(app.error(refused).await, ("QUERY_TOO_COMPLEX".to_owned(), sentence.to_owned()));
    app.stop().await;
}

#[tokio::test]
async fn depth_is_limited() {
    assert_limit(
        |config| config.limits.depth = 4,
        "{ tenants { edges { node { id } } } }",
        "{ tenants { edges { node { labels { key } } } } }",
        "the document's depth is 5; the limit is 4",
    )
    .await;
}

#[tokio::test]
async fn selection_sets_within_each_other_are_limited_too() {
    let nested = |levels: usize| format!("{{ {}id{} }}", "... { ".repeat(levels), " }".repeat(levels)).replace("id", "__typename");
    assert_limit(
        |config| config.limits.depth = 3,
        &nested(15),
        &nested(16),
        "the document is nested too deep; the limit of fields is 3",
    )
    .await;
}

#[tokio::test]
async fn aliases_are_limited_with_fragments_put_in() {
    assert_limit(
        |config| config.limits.aliases = 3,
        "{ a: __typename b: __typename c: __typename }",
        "{ a: __typename tenant { ...F ... { ...F } } } fragment F on Tenant { x: id y: name }",
        "the document has 5 aliases; the limit is 3",
    )
    .await;
}

#[tokio::test]
async fn root_fields_are_limited_with_fragments_put_in() {
    assert_limit(
        |config| config.limits.root_fields = 3,
        "{ tenant { id name labels { key } } b: tenant { id } __typename }",
        "{ ...F ...F } fragment F on Query { tenant { id } __typename }",
        "the document has 4 root fields; the limit is 3",
    )
    .await;
}

#[tokio::test]
async fn directives_are_limited() {
    assert_limit(
        |config| config.limits.directives = 2,
        "{ __typename @skip(if: false) tenant @include(if: true) { id } }",
        "{ ...F @skip(if: false) ...F } fragment F on Query { __typename @include(if: true) }",
        "the document has 3 directives; the limit is 2",
    )
    .await;
}

#[tokio::test]
async fn tokens_are_limited() {
    assert_limit(
        |config| config.limits.tokens = 11,
        "{ tenant(id: \"acme\") { id } } # a comment is no token",
        "{ tenant(id: \"acme\") { id name } }",
        "the document has 12 tokens; the limit is 11",
    )
    .await;
}

#[tokio::test]
async fn complexity_counts_lists_by_their_page_size() {
    assert_limit(
        |config| config.limits.complexity = 500,
        "{ tenants(first: 100) { nodes { id } } }",
        "{ tenants(first: 1000) { nodes { id } } }",
        "the document's complexity is 2003; the limit is 500",
    )
    .await;
}

#[tokio::test]
async fn complexity_counts_pages_whose_size_is_a_variable() {
    let (_world, app) = start_with(|config| config.limits.complexity = 500).await;
    let query = "query Q($n: Int = 1000) { tenants(last: $n) { nodes { id } } }";
    for (variables, good) in
        [(json!({ "n": 100 }), true), (json!({ "n": 1000 }), false), (json!({}), false), (json!({ "n": null }), true)]
    {
        let answer = app.ask_with(query, variables.clone()).await;
        assert_eq!(answer.get("errors").is_none(), good, "{variables}: {answer}");
    }
    app.stop().await;
}

#[tokio::test]
async fn complexity_counts_the_points_of_series_by_the_values_of_variables_and_the_time() {
    let (world, app) = start_with(|config| config.limits.complexity = 100).await;
    let query = "query Q($from: DateTime!, $to: DateTime, $interval: Duration! = \"P1D\") {
        tenant { usageOverTime(from: $from, to: $to, interval: $interval) { coverage } } }";
    let (from, to) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
    for (variables, complexity) in [
        (json!({ "from": from, "to": to }), None),
        (json!({ "from": from, "to": to, "interval": "PT15M" }), Some(22 + 298)),
        (json!({ "from": from, "to": to, "interval": "PT30M" }), Some(22 + 149)),
        (json!({ "from": from, "to": to, "interval": "P1D" }), None),
        // It is noon on the 2nd of March.
        (json!({ "from": from }), None),
        (json!({ "from": "2023-03-02T00:00:00Z" }), Some(22 + 110)),
        (json!({ "from": "2023-03-02T00:00:00Z", "to": null }), Some(22 + 110)),
    ] {
        let answer = app.ask_with(query, variables.clone()).await;
        let sentence = complexity.map(|found| format!("the document's complexity is {found}; the limit is 100"));
        assert_eq!(answer["errors"][0]["message"].as_str(), sentence.as_deref(), "{variables}");
    }
    // What was let through once is counted again as time goes by.
    let growing = "{ tenant { usageOverTime(from: \"2024-01-14T00:00:00Z\") { coverage } } }";
    app.data(growing).await;
    world.advance_s(3 * 86_400);
    let complexity = "the document's complexity is 101; the limit is 100";
    assert_eq!(app.error(growing).await, ("QUERY_TOO_COMPLEX".to_owned(), complexity.to_owned()));
    app.stop().await;
}

#[tokio::test]
async fn the_default_limits_let_long_series_through_and_refuse_absurd_ones() {
    let (_world, app) = start_with(|_| {}).await;
    let points = "points { start end complete coverage allocated { average min max first last } total { average } utilization { average max } }";
    let year = "from: \"2025-01-01T00:00:00Z\", to: \"2026-01-01T00:00:00Z\"";
    let month = "from: \"2026-01-01T00:00:00Z\", to: \"2026-02-01T00:00:00Z\"";
    for good in [
        format!("{{ tenant {{ usageOverTime({year}, interval: \"PT1H\") {{ coverage {points} }} }} }}"),
        format!("{{ fleet {{ usageOverTime({year}) {{ {points} }} }} }}"),
        format!("{{ tenants(first: 100) {{ nodes {{ id name usageOverTime({month}) {{ coverage {points} }} }} }} }}"),
        format!("{{ tenants(first: 100) {{ nodes {{ id name usageOverTime({year}) {{ coverage {points} }} }} }} }}"),
        format!("{{ tenants(first: 20) {{ nodes {{ usageOverTime({year}, interval: \"PT1H\") {{ {points} }} }} }} }}"),
    ] {
        app.data(&good).await;
    }
    for absurd in [
        format!("{{ tenants(first: 1000) {{ nodes {{ usageOverTime({year}, interval: \"PT15M\") {{ coverage }} }} }} }}"),
        format!("{{ tenants(first: 100) {{ nodes {{ usageOverTime({year}, interval: \"PT1H\") {{ coverage }} }} }} }}"),
    ] {
        assert_eq!(app.error(&absurd).await.0, "QUERY_TOO_COMPLEX");
    }
    // Too many points for one series are told by the argument that makes them.
    let (code, message) = app.error(&format!("{{ tenant {{ usageOverTime({year}, interval: \"PT1M\") {{ coverage }} }} }}")).await;
    assert_eq!((code.as_str(), message.starts_with("interval: at most 10000 points")), ("BAD_USER_INPUT", true), "{message}");
    app.stop().await;
    let regional = TenantSetup { labels: vec![("region", "north")], ..tenant("acme", 1, 2) };
    let world = World::new(Database::sqlite(), vec![regional]).await;
    let app = world.start().await;
    let groups = format!("groups(label: \"region\") {{ value fleet {{ usageOverTime({year}) {{ {points} }} }} }}");
    app.data(&format!("{{ fleet {{ usageOverTime({year}) {{ {points} }} {groups} }} }}")).await;
    app.stop().await;
}

#[tokio::test]
async fn lists_within_lists_are_never_so_long_that_they_count_for_nothing() {
    let (_world, app) = start_with(|_| {}).await;
    let top = "top(first: 2147483647) { tenant { snapshots(first: 2147483647) { nodes { spaceType total } } } }";
    let groups = |within: &str| format!("groups(label: \"region\") {{ fleet {{ {within} }} }}");
    let query = format!("{{ fleet {{ {} }} }}", groups(&groups(top)));
    assert_eq!(app.error(&query).await.0, "QUERY_TOO_COMPLEX");
    app.stop().await;
}

#[tokio::test]
async fn no_page_within_a_page_is_so_long_that_it_counts_for_nothing() {
    let (_world, app) = start_with(|_| {}).await;
    let query = "{ tenants(first: 2147483647) { nodes { snapshots(first: 2147483647) { nodes { spaceType allocated total } } } } }";
    assert_eq!(app.error(query).await.0, "QUERY_TOO_COMPLEX");
    // A page of nothing counts nothing, but its fields are validated.
    let fields = (0..40).map(|_| "...A").collect::<String>();
    let query = format!(
        "{{ tenants(first: 0) {{ nodes {{ {fields} }} }} }} fragment A on Tenant {{ {} }} fragment B on Tenant {{ {} }} fragment C on Tenant {{ id }}",
        fields.replace('A', "B"),
        fields.replace('A', "C"),
    );
    let (code, message) = app.error(&query).await;
    assert_eq!((code.as_str(), message.ends_with("selections; the limit is 20000")), ("QUERY_TOO_COMPLEX", true), "{message}");
    app.stop().await;
}

#[tokio::test]
async fn page_size_is_limited() {
    let (_world, app) = start_with(|config| config.limits.page_size = 10).await;
    app.data("{ tenants(first: 10) { nodes { snapshots(last: 10) { nodes { allocated } } } } }").await;
    for (arguments, sentence) in [("first: 11", "first: must be at most 10"), ("last: 11", "last: must be at most 10")] {
        let (code, message) = app.error(&format!("{{ tenants({arguments}) {{ nodes {{ id }} }} }}")).await;
        assert_eq!((code.as_str(), message.as_str()), ("BAD_USER_INPUT", sentence));
    }
    app.stop().await;
}

#[tokio::test]
async fn the_length_of_a_batch_is_limited() {
    let (_world, app) = start_with(|config| config.limits.batch = 3).await;
    let batch = |length: usize| Value::Array(vec![json!({ "query": "{ __typename }" }); length]);
    let answer = json!({ "data": { "__typename": "Query" } });
    assert_eq!(app.post(&batch(3)).await, (200, Value::Array(vec![answer; 3])));
    for (length, code, sentence) in [
        (4, "QUERY_TOO_COMPLEX", "the request has 4 operations; the limit is 3"),
        (0, "BAD_USER_INPUT", "the list has no operation"),
    ] {
        let refusal = json!({ "errors": [{ "message": sentence, "extensions": { "code": code } }] });
        assert_eq!(app.post(&batch(length)).await, (400, refusal));
    }
    app.stop().await;
    let (_world, app) = start_with(|config| config.limits.batch = 0).await;
    let (status, answer) = app.post(&batch(1)).await;
    assert_eq!((status, &answer["errors"][0]["extensions"]["code"]), (400, &json!("BAD_USER_INPUT")));
    app.stop().await;
}

#[tokio::test]
async fn each_operation_of_a_batch_has_its_own_answer_in_the_order_of_the_request() {
    let (_world, app) = start_with(|_| {}).await;
    let batch = json!([
        { "query": "query Q($id: ID) { tenant(id: $id) { id } }", "variables": { "id": "acme" } },
        { "query": "{ nothing }" },
        {},
        { "query": "query A { __typename } mutation B { refreshSpaceAllocation(tenantId: \"acme\") { allocated } }", "operationName": "B" },
    ]);
    let (status, answer) = app.post(&batch).await;
    assert_eq!(status, 200);
    assert_eq!(answer[0], json!({ "data": { "tenant": { "id": "acme" } } }));
    assert_eq!(answer[1]["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    assert!(answer[2]["errors"][0]["message"].as_str().unwrap().starts_with("query is missing"), "{answer}");
    assert_eq!(answer[3]["data"]["refreshSpaceAllocation"]["allocated"], 1.0);
    assert_eq!(answer.as_array().unwrap().len(), 4);
    app.stop().await;
}

#[tokio::test]
async fn introspection_can_be_switched_off() {
    let (_world, app) = start_with(|config| config.graphql.introspection = false).await;
    for document in [
        "{ __schema { queryType { name } } }",
        "{ _service { sdl } }",
        "{ ...F } fragment F on Query { x: __type(name: \"Tenant\") { name } }",
    ] {
        let (code, message) = app.error(document).await;
        let sentence = "introspection is switched off here; `quotagraph schema` prints the schema";
        assert_eq!((code.as_str(), message.as_str()), ("FORBIDDEN", sentence));
    }
    let data = app.data("{ __typename tenant { __typename id } }").await;
    assert_eq!(data, json!({ "__typename": "Query", "tenant": { "__typename": "Tenant", "id": "acme" } }));
    app.stop().await;
}

#[tokio::test]
async fn the_ide_can_be_switched_off() {
    let (_world, app) = start_with(|config| config.graphql.graphiql = false).await;
    for path in ["/graphiql", "/graphiql/", "/graphiql/start.js"] {
        assert_eq!(app.get(path).await.0, 404, "{path}");
    }
    let page = app.client.get(&app.base).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("href=\"readyz\"") && !page.contains("graphiql"), "{page}");
    app.data("{ __typename }").await;
    app.stop().await;
}

#[tokio::test]
async fn the_default_limits_let_a_page_of_quotas_and_introspection_through() {
    let (_world, app) = start_with(|_| {}).await;
    app.data("{ tenants(first: 1000) { nodes { id name spaceAllocation { allocated total available utilization observedAt source } } } }").await;
    app.data(
        "query IntrospectionQuery { __schema { queryType { name } types { ...T } directives { name args { type { ...R } } } } }
         fragment T on __Type { kind name fields(includeDeprecated: true) { name args { type { ...R } } type { ...R } } }
         fragment R on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind
             name ofType { kind name ofType { kind name } } } } } } } }",
    )
    .await;
    app.stop().await;
}

#[tokio::test]
async fn a_request_that_takes_too_long_ends_with_its_code() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 2)]).await;
    world.set_behaviour("acme", json!({ "delay_ms": 60_000 }));
    let app = world
        .start_with(|config| {
            config.limits.request_timeout = Duration::from_millis(50);
            config.server.shutdown_timeout = Duration::from_millis(500);
        })
        .await;
    let (code, message) = app.error("{ tenant { spaceAllocation { allocated } } }").await;
    assert_eq!((code.as_str(), message.as_str()), ("TIMEOUT", "the request was not answered within 0.05 s"));
    app.stop().await;
}
