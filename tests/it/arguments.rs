//! What callers are told of arguments that are wrong.
//!
//! The table is the schema's own: every argument of every field is asked with values of all kinds, written in the document and as a
//! variable.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::process::until;
use crate::support::subscriber::{Events, open};

/// Where a field of each type can be asked: it stands at `@`, and the variables' definitions at `@V`.
const PLACES: &[(&str, &str)] = &[
    ("Query", "query@V { @ }"),
    ("Mutation", "mutation@V { @ }"),
    ("Subscription", "subscription@V { @ }"),
    ("Tenant", "query@V { tenant(id: \"acme\") { @ } }"),
    ("SpaceAllocation", "query@V { tenant(id: \"acme\") { spaceAllocation { @ } } }"),
    ("SpaceTypeAllocation", "query@V { tenant(id: \"acme\") { spaceAllocation { byType { @ } } } }"),
    ("Snapshot", "query@V { tenant(id: \"acme\") { snapshots { nodes { @ } } } }"),
    ("UsagePoint", "query@V { tenant(id: \"acme\") { usageOverTime(from: \"2026-03-01T00:00:00Z\") { points { @ } } } }"),
    ("Growth", "query@V { tenant(id: \"acme\") { growth { @ } } }"),
    ("ForecastPoint", "query@V { tenant(id: \"acme\") { forecast { points { @ } } } }"),
    ("Fleet", "query@V { fleet { @ } }"),
    ("FleetAllocation", "query@V { fleet { spaceAllocation { @ } } }"),
];

/// A value for an argument, or for a field of an input object that is one.
struct Given {
    value: Value,
    /// Whether it is none of the type, and must be refused.
    wrong: bool,
}

/// Malformed, empty and extreme values of a named type.
fn values(named: &str) -> Vec<Given> {
    let long = "x".repeat(5000);
    let (allowed, wrong) = match named {
        "Int" => (
            vec![json!(0), json!(-1), json!(i32::MAX), json!(i32::MIN)],
            vec![json!(i64::from(i32::MAX) + 1), json!(i64::MIN), json!(u64::MAX), json!(1.5), json!("1")],
        ),
        "Float" => (vec![json!(0), json!(-1.5), json!(1e308), json!(u64::MAX)], vec![json!("x")]),
        "String" => (vec![json!(""), json!(long), json!("\0")], vec![json!(7)]),
        "ID" => (vec![json!(""), json!(long), json!(7)], vec![json!(1.5)]),
        "DateTime" => (
            ["9999-12-30T22:00:00.999999999Z", "-009999-01-02T01:59:59Z", "2026-03-01T00:00:00+01:00"].map(Value::from).into(),
            vec![
                json!("yesterday"),
                json!(""),
                json!("2026-03-01"),
                json!("2026-03-01T00:00:00"),
                json!("2026-02-30T00:00:00Z"),
                json!("+010000-01-01T00:00:00Z"),
                json!(long),
                json!(1_772_323_200),
            ],
        ),
        "Duration" => (
            ["PT0S", "P19998Y", "P1M"].map(Value::from).into(),
            vec![json!("soon"), json!(""), json!("P"), json!("-P1D"), json!("P99999999999999999999Y"), json!(long), json!(60)],
        ),
        "_Any" => (vec![json!({}), json!("x"), json!({ "__typename": "Tenant", "id": 1.5 })], Vec::new()),
        _ => (Vec::new(), vec![json!("NOTHING"), json!(7)]),
    };
    let anywhere = if named == "_Any" { Vec::new() } else { vec![json!(true), json!([[]])] };
    let given = |wrong: bool| move |value: Value| Given { value, wrong };
    allowed.into_iter().map(given(false)).chain(wrong.into_iter().chain(anywhere).map(given(true))).collect()
}

/// The types of the schema by their names, as introspection tells them.
struct Types(BTreeMap<String, Value>);

impl Types {
    async fn of(app: &TestApp) -> Self {
        let query = "{ __schema { types { name inputFields { ...V } fields { name type { ...T } args { ...V } } } } }
            fragment V on __InputValue { name defaultValue type { ...T } }
            fragment T on __Type { name kind ofType { name kind ofType { name kind ofType { name kind } } } }";
        let mut data = app.data(query).await;
        let types = data["__schema"]["types"].as_array_mut().unwrap().drain(..);
        Self(types.map(|of_type| (of_type["name"].as_str().unwrap().to_owned(), of_type)).collect())
    }

    /// The argument of that type with a value at its place, and at each place within it if it is an input object: the dotted path, and
    /// what is given for the argument.
    fn cases(&self, path: &str, of_type: &Value) -> Vec<(String, Given)> {
        let (named, is_list) = (named(of_type), written(of_type).contains('['));
        let mut cases: Vec<_> = values(named).into_iter().map(|given| (path.to_owned(), given)).collect();
        cases.push((path.to_owned(), Given { value: Value::Null, wrong: of_type["kind"] == "NON_NULL" }));
        let fields = self.list(named, "inputFields");
        for field in fields {
            let within = if is_list { format!("{path}.0") } else { path.to_owned() };
            for (path, given) in self.cases(&format!("{within}.{}", field["name"].as_str().unwrap()), &field["type"]) {
                let others = fields.iter().filter(|other| other["name"] != field["name"] && is_needed(other));
                let mut object: Map<_, _> = others.map(|other| (name(other), needed(&name(other)))).collect();
                object.insert(name(field), given.value);
                let value = if is_list { json!([object]) } else { object.into() };
                cases.push((path, Given { value, ..given }));
            }
        }
        if !fields.is_empty() {
            let value = json!({ "nothing": 1 });
            cases.push((path.to_owned(), Given { value: if is_list { json!([value]) } else { value }, wrong: true }));
        }
        cases
    }

    fn list(&self, named: &str, what: &str) -> &[Value] {
        self.0[named][what].as_array().map_or(&[], Vec::as_slice)
    }
}

fn name(of: &Value) -> String {
    of["name"].as_str().unwrap().to_owned()
}

/// The named type within a type.
fn named(of_type: &Value) -> &str {
    of_type["name"].as_str().unwrap_or_else(|| named(&of_type["ofType"]))
}

/// A type as it is written.
fn written(of_type: &Value) -> String {
    match of_type["kind"].as_str().unwrap() {
        "NON_NULL" => format!("{}!", written(&of_type["ofType"])),
        "LIST" => format!("[{}]", written(&of_type["ofType"])),
        _ => name(of_type),
    }
}

fn is_needed(input: &Value) -> bool {
    input["type"]["kind"] == "NON_NULL" && input["defaultValue"].is_null()
}

/// A good value for what must be given beside the value that is looked at.
fn needed(name: &str) -> Value {
    match name {
        "from" => json!("2026-03-01T00:00:00Z"),
        "by" => json!("UTILIZATION"),
        _ => json!("x"),
    }
}

/// A value as it is written in a document.
fn literal(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {}", literal(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// The answer, or the first event of a subscription if it is an error.
async fn ask(app: &TestApp, document: &str, variables: &Value) -> Value {
    let body = json!({ "query": document, "variables": variables });
    if !document.starts_with("subscription") {
        return app.post(&body).await.1;
    }
    let before = open(app, "sse");
    let request = app.client.post(format!("{}/graphql", app.base)).header("content-type", "application/json");
    let response = request.header("accept", "text/event-stream").body(body.to_string()).send().await.unwrap();
    let mut events = Events::of(response);
    // Either it is refused, or it begins and says nothing.
    tokio::select! {
        event = events.next() => serde_json::from_str(&event.unwrap().data.unwrap()).unwrap(),
        () = until("the subscription", async || open(app, "sse") > before) => {
            drop(events);
            until("the end of the subscription", async || open(app, "sse") == before).await;
            json!({})
        }
    }
}

/// Asks the field with the value for one of its arguments, in the document and as a variable, and looks at what it says.
async fn check(app: &TestApp, place: &str, field: &Value, argument: &Value, selection: &str, path: &str, given: &Given) {
    let arguments = field["args"].as_array().unwrap();
    let others = arguments.iter().filter(|other| other["name"] != argument["name"] && is_needed(other));
    let others: Vec<_> = others.map(|other| format!(", {}: {}", name(other), needed(&name(other)))).collect();
    let definition = format!("($v: {})", written(&argument["type"]));
    for (text, definition, variables) in
        [(literal(&given.value), "", json!({})), ("$v".to_owned(), &*definition, json!({ "v": given.value }))]
    {
        let asked = format!("{}({}: {text}{}){selection}", name(field), name(argument), others.concat());
        let document = place.replace("@V", definition).replace('@', &asked);
        let answer = ask(app, &document, &variables).await;
        let errors = answer["errors"].as_array().map_or(&[][..], Vec::as_slice);
        let context = format!("{document:.300} with {:.300}: {answer:.500}", variables.to_string());
        assert!(errors.len() <= 1, "{context}");
        assert!(!given.wrong || !errors.is_empty(), "{context}");
        for error in errors {
            assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{context}");
            let message = error["message"].as_str().unwrap();
            let begins_with = |path: &str| message.starts_with(&format!("{path}: "));
            let is_named = message.contains(&format!("argument \"{path}")) || begins_with(path);
            // What is no input object is told by the name of the argument and the object's, or by the variable's; what can be read, but not used, may be told
            // by another argument that it does not go with.
            let is_no_object = begins_with(&name(argument)) && message.contains("Expected input type")
                || message.starts_with("variable \"$v\" of ");
            let does_not_go = !given.wrong && arguments.iter().any(|argument| begins_with(&name(argument)));
            let is_entity = name(field) == "_entities";
            let is_variable = message.starts_with("variable \"$v\" ");
            assert!(is_named || is_no_object || does_not_go || is_entity || is_variable, "{context}");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_any_argument_is_told_by_its_name() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 100, 1000)]).await;
    let app = world.start_with(|config| config.limits.refreshes_per_minute = 1_000_000).await;
    app.collect().await;
    let types = Types::of(&app).await;
    for (type_name, of_type) in types.0.iter().filter(|(name, _)| !name.starts_with("__")) {
        for field in of_type["fields"].as_array().into_iter().flatten() {
            let result = named(&field["type"]);
            let has_fields = result == "_Entity" || !types.list(result, "fields").is_empty();
            let selection = if has_fields { " { __typename }" } else { "" };
            for argument in field["args"].as_array().unwrap() {
                let place = PLACES.iter().find(|(name, _)| name == type_name);
                let (_, place) = place.unwrap_or_else(|| panic!("{type_name} has no place where it can be asked"));
                for (path, given) in types.cases(&name(argument), &argument["type"]) {
                    check(&app, place, field, argument, selection, &path, &given).await;
                }
            }
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn errors_of_arguments_say_what_to_mend() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 100, 1000)]).await;
    let app = world.start().await;
    for (document, message) in [
        (
            "{ tenant { usageOverTime(from: \"yesterday\") { coverage } } }",
            "from: \"yesterday\" is not a date and time; write RFC 3339 with an offset: 2026-03-01T00:00:00Z",
        ),
        (
            "{ tenant { growth(over: \"a month\") { from } } }",
            "over: \"a month\": not an ISO 8601 duration, such as PT5M, PT1H, P1D, P1W, P1M or P1Y",
        ),
        (
            "{ fleet { top(over: \"a month\") { rank } } }",
            "over: \"a month\": not an ISO 8601 duration, such as PT5M, PT1H, P1D, P1W, P1M or P1Y",
        ),
        ("{ tenants(after: \"x\") { totalCount } }", "after: is not a cursor of this list"),
        ("{ tenants(first: 2147483648) { __typename } }", "first: must be at most 1000"),
        (
            "{ tenant { spaceAllocation(spaceType: 2147483648) { allocated } } }",
            "spaceType: must be an integer from -2147483648 to 2147483647",
        ),
        ("{ tenants(where: 7) { totalCount } }", "where: Expected input type \"TenantFilter\", found 7."),
        (
            "{ tenants(where: { labels: [{ key: \"a\", value: 7 }] }) { totalCount } }",
            "Invalid value for argument \"where.labels.0.value\", expected type \"String\"",
        ),
    ] {
        assert_eq!(app.error(document).await, ("BAD_USER_INPUT".to_owned(), message.to_owned()));
    }
    app.stop().await;
}

#[tokio::test]
async fn a_variable_that_must_be_there_and_is_not_is_named_before_anything_is_executed() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 2), tenant("other", 1, 2)]).await;
    let app = world.start_with(|config| config.server.default_tenant = Some("acme".parse().unwrap())).await;
    let one = "query ($id: ID!) { tenant(id: $id) { id } }";
    let listed = "query ($w: TenantFilter!, $n: Int!) { tenants(where: $w, first: $n) { totalCount } }";
    let chosen = "query A($id: ID!) { tenant(id: $id) { id } } query B($n: Int) { tenants(first: $n) { totalCount } }";
    let null = |name: &str, of: &str| format!("variable \"${name}\" of non-null type \"{of}\" must not be null");
    let missing = |name: &str, of: &str| format!("variable \"${name}\" of required type \"{of}\" was not provided");
    for (query, operation, variables, sentence) in [
        (one, "", json!({ "id": null }), null("id", "ID!")),
        (one, "", json!({}), missing("id", "ID!")),
        (one, "", json!({ "ID": "acme" }), missing("id", "ID!")),
        (one, "", json!(null), missing("id", "ID!")),
        (listed, "", json!({ "w": null, "n": 1 }), null("w", "TenantFilter!")),
        (listed, "", json!({ "w": {} }), missing("n", "Int!")),
        (chosen, "A", json!({ "n": 1 }), missing("id", "ID!")),
        ("query ($n: Int! = 1) { tenants(first: $n) { totalCount } }", "", json!({ "n": null }), null("n", "Int!")),
        ("query ($n: [ID!]!) { tenants(where: { ids: $n }) { totalCount } }", "", json!({}), missing("n", "[ID!]!")),
        (listed, "", json!({ "w": [], "n": 1 }), "variable \"$w\" of type \"TenantFilter!\" must not be a list".to_owned()),
        ("mutation ($t: ID!) { refreshSpaceAllocation(tenantId: $t) { source } }", "", json!({ "t": null }), null("t", "ID!")),
    ] {
        // Documents that are known are judged alike.
        for _ in 0..2 {
            let body = json!({ "query": query, "operationName": operation, "variables": variables });
            let response = app.client.post(format!("{}/graphql", app.base)).header("Accept", "application/graphql-response+json");
            let response = response.header("Content-Type", "application/json").body(body.to_string()).send().await.unwrap();
            let status = response.status();
            let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            assert_eq!((status.as_u16(), answer.get("data")), (400, None), "{query} {variables}: {answer}");
            assert_eq!(answer["errors"][0]["message"], json!(sentence), "{query} {variables}");
            assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
            assert_eq!(answer["errors"][0]["locations"][0]["line"], 1);
        }
    }
    for (query, operation, variables, expected) in [
        (one, "", json!({ "id": "other" }), json!({ "tenant": { "id": "other" } })),
        ("query ($id: ID) { tenant(id: $id) { id } }", "", json!({ "id": null }), json!({ "tenant": { "id": "acme" } })),
        ("query ($id: ID) { tenant(id: $id) { id } }", "", json!({}), json!({ "tenant": { "id": "acme" } })),
        ("query ($id: ID! = \"other\") { tenant(id: $id) { id } }", "", json!({}), json!({ "tenant": { "id": "other" } })),
        (chosen, "B", json!({ "id": null }), json!({ "tenants": { "totalCount": 2 } })),
    ] {
        let body = json!({ "query": query, "operationName": operation, "variables": variables });
        assert_eq!(app.post(&body).await.1, json!({ "data": expected }), "{query} {variables}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_document_that_does_not_parse_is_told_in_one_sentence_with_its_place() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 2)]).await;
    let app = world.start().await;
    for _ in 0..2 {
        let (status, answer) = app.post(&json!({ "query": "{ tenant { id " })).await;
        let message = "syntax error at 1:15: expected a selection set, selection, directive, or arguments";
        let error =
            json!({ "message": message, "locations": [{ "line": 1, "column": 15 }], "extensions": { "code": "BAD_USER_INPUT" } });
        assert_eq!((status, answer), (200, json!({ "errors": [error] })));
    }
    app.stop().await;
}
