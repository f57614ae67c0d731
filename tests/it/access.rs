//! Who may see and do what.

use jiff::{SignedDuration, Timestamp};
use quotagraph::access::KeyDigest;
use quotagraph::config::{Auth, AuthMode, Config, KeyConfig};
use quotagraph::quota::{Sample, SpaceAllocation, SpaceTypeAllocation};
use quotagraph::store::Observation;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::support::app::{Database, START, TestApp, World, tenant};
use crate::support::subscriber::Events;

pub(crate) fn key(name: &str, tenants: &[&str], roles: &[&str]) -> KeyConfig {
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let sha256 = KeyDigest::of(&format!("key of {name}")).to_string();
    KeyConfig { name: name.to_owned(), sha256, tenants: own(tenants), roles: own(roles) }
}

pub(crate) fn with_keys(config: &mut Config) {
    config.auth = Some(Auth {
        mode: AuthMode::Keys,
        failed_attempts_per_minute: 5,
        keys: vec![
            key("all", &["*"], &["READ"]),
            key("a", &["a"], &["READ", "REFRESH"]),
            key("a-and-gone", &["a", "gone"], &["READ"]),
            key("nothing", &["gone"], &["READ"]),
            key("exporter", &["*"], &["EXPORT"]),
            key("a-exporter", &["a"], &["EXPORT"]),
            key("scraper", &[], &["METRICS"]),
            key("boss", &["*"], &["ADMIN"]),
        ],
        jwt: None,
    });
}

/// Two tenants whose names and figures can be told apart anywhere, with some history.
async fn start() -> (World, TestApp) {
    let mut hidden = tenant("b", 777_001, 888_001);
    hidden.name.replace_range(.., "HIDDEN Inc");
    hidden.labels = vec![("region", "hidden-region")];
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100), hidden]).await;
    let app = world.start_with(with_keys).await;
    app.collect().await;
    world.advance_s(300);
    world.set_behaviour("b", json!({ "code": 13_000_777 }));
    app.collect().await;
    (world, app)
}

/// An observation of a tenant, so many hours after the start.
fn observation(tenant: &str, hours: i64, allocated_gb: i64, total_gb: i64) -> Observation {
    let observed_at = START.parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hours);
    let values = vec![SpaceTypeAllocation { space_type: 0, allocated_gb, total_gb }];
    let sample = Sample { allocation: SpaceAllocation::new(observed_at, values), interval_s: 300 };
    Observation { tenant: tenant.parse().unwrap(), attempted_at: observed_at, outcome: Ok(sample), next_due_at: None }
}

struct Told {
    status: u16,
    www_authenticate: Option<String>,
    retry_after: Option<u64>,
    body: Value,
}

impl Told {
    fn code(&self) -> &str {
        self.body["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
    }
}

async fn ask_with_key(app: &TestApp, key: Option<&str>, query: &str) -> Told {
    let body = json!({ "query": query }).to_string();
    let mut request = app.client.post(format!("{}/graphql", app.base)).header(CONTENT_TYPE, "application/json").body(body);
    if let Some(key) = key {
        request = request.header("X-Api-Key", key);
    }
    let response = request.send().await.unwrap();
    let text = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (www_authenticate, retry_after) = (text(WWW_AUTHENTICATE), text(RETRY_AFTER).map(|seconds| seconds.parse().unwrap()));
    let status = response.status().as_u16();
    Told { status, www_authenticate, retry_after, body: serde_json::from_str(&response.text().await.unwrap()).unwrap() }
}

async fn ask_as(app: &TestApp, name: &str, query: &str) -> Told {
    ask_with_key(app, Some(&format!("key of {name}")), query).await
}

#[tokio::test]
async fn without_a_valid_key_nothing_is_answered() {
    let (_world, app) = start().await;
    for key in [None, Some(""), Some("wrong"), Some(&*KeyDigest::of("key of all").to_string())] {
        let told = ask_with_key(&app, key, "{ __typename }").await;
        assert_eq!((told.status, told.code()), (401, "UNAUTHENTICATED"));
        assert_eq!(told.www_authenticate.as_deref(), Some("ApiKey realm=\"quotagraph\""));
        assert!(told.body.get("data").is_none());
    }
    assert_eq!(app.get("/graphql?query=%7B__typename%7D").await.0, 401);
    assert_eq!(app.get("/healthz").await.0, 200);
    app.stop().await;
}

#[tokio::test]
async fn failed_attempts_are_limited_per_address_and_a_valid_key_is_let_in_all_the_same() {
    let (world, app) = start().await;
    for _ in 0..5 {
        assert_eq!(ask_with_key(&app, Some("guess"), "{ __typename }").await.status, 401);
    }
    let told = ask_with_key(&app, Some("guess"), "{ __typename }").await;
    assert_eq!((told.status, told.code(), told.retry_after), (429, "RATE_LIMITED", Some(12)));
    assert_eq!(ask_as(&app, "all", "{ __typename }").await.status, 200);
    world.advance_s(12);
    assert_eq!(ask_with_key(&app, Some("guess"), "{ __typename }").await.status, 401);
    app.stop().await;
}

#[tokio::test]
async fn requests_are_limited_per_principal_when_configured() {
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let app = world
        .start_with(|config| {
            with_keys(config);
            config.limits.requests_per_second = Some(3);
        })
        .await;
    for _ in 0..3 {
        assert_eq!(ask_as(&app, "all", "{ __typename }").await.status, 200);
    }
    let told = ask_as(&app, "all", "{ __typename }").await;
    assert_eq!((told.status, told.code(), told.retry_after), (429, "RATE_LIMITED", Some(1)));
    assert_eq!(ask_as(&app, "a", "{ __typename }").await.status, 200, "another principal has its own");
    world.advance_s(1);
    assert_eq!(ask_as(&app, "all", "{ __typename }").await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn against_the_rate_each_operation_of_a_batch_counts() {
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let app = world
        .start_with(|config| {
            with_keys(config);
            config.limits.requests_per_second = Some(3);
        })
        .await;
    let post_batch = async |length: usize| {
        let batch = Value::Array(vec![json!({ "query": "{ __typename }" }); length]);
        let request = app.client.post(format!("{}/graphql", app.base)).header(CONTENT_TYPE, "application/json");
        request.header("X-Api-Key", "key of all").body(batch.to_string()).send().await.unwrap().status().as_u16()
    };
    assert_eq!(post_batch(3).await, 200);
    assert_eq!(post_batch(1).await, 429);
    world.advance_s(1);
    assert_eq!(post_batch(4).await, 429);
    app.stop().await;
}

#[tokio::test]
async fn roles_are_asked_for() {
    let (_world, app) = start().await;
    let refresh = "mutation { refreshSpaceAllocation(tenantId: \"a\") { allocated } }";
    for (name, query, code) in [
        ("all", "{ tenant(id: \"a\") { id } }", ""),
        ("all", refresh, "FORBIDDEN"),
        ("a", refresh, ""),
        ("boss", refresh, ""),
        ("boss", "{ tenants { totalCount } }", ""),
        ("exporter", "{ tenant(id: \"a\") { id } }", "FORBIDDEN"),
        ("exporter", "{ tenants { totalCount } }", "FORBIDDEN"),
    ] {
        let told = ask_as(&app, name, query).await;
        assert_eq!(told.code(), code, "{name}: {query}: {}", told.body);
    }
    let told = ask_as(&app, "all", refresh).await;
    assert_eq!(told.body["errors"][0]["message"], "this needs the role REFRESH, which all does not have");
    app.stop().await;
}

#[tokio::test]
async fn what_may_not_be_seen_looks_like_what_does_not_exist() {
    let (_world, app) = start().await;
    for query in [
        "{ tenant(id: \"ID\") { id } }",
        "{ tenants(where: { ids: [\"ID\"] }) { totalCount nodes { id } } }",
        "mutation { refreshSpaceAllocation(tenantId: \"ID\") { allocated } }",
    ] {
        let hidden = ask_as(&app, "a", &query.replace("ID", "b")).await;
        let absent = ask_as(&app, "a", &query.replace("ID", "c")).await;
        assert_eq!((hidden.status, hidden.body), (absent.status, absent.body), "{query}");
    }
    let told = ask_as(&app, "a", "{ tenants { totalCount nodes { id } } }").await;
    assert_eq!(told.body["data"]["tenants"], json!({ "totalCount": 1, "nodes": [{ "id": "a" }] }));
    let told = ask_as(&app, "all", "{ tenants { totalCount } }").await;
    assert_eq!(told.body["data"]["tenants"]["totalCount"], 2);
    app.stop().await;
}

#[tokio::test]
async fn without_an_id_the_only_tenant_that_the_caller_may_see_is_meant() {
    let (_world, app) = start().await;
    for (name, expected) in [("a", "a"), ("a-and-gone", "a")] {
        assert_eq!(ask_as(&app, name, "{ tenant { id } }").await.body["data"]["tenant"]["id"], expected);
    }
    for (name, seen) in [("all", "several tenants, and none of them is server.default_tenant"), ("nothing", "no tenant")] {
        let answer = ask_as(&app, name, "{ tenant { id } }").await;
        assert_eq!(answer.code(), "BAD_USER_INPUT");
        assert_eq!(answer.body["errors"][0]["message"], format!("id is required: you may see {seen}"));
    }
    app.stop().await;
}

/// What a subscription tells before it has told an event with a mark, or everything if it ends before.
async fn listen_as(app: &TestApp, name: &str, document: &str, mark: &str) -> String {
    let mut events = Events::of(Events::post(app, document, &[("x-api-key", &format!("key of {name}"))]).await);
    let mut told = String::new();
    while !told.contains(mark)
        && let Some(event) = events.next().await
    {
        told += event.data.as_deref().unwrap_or_default();
    }
    told
}

/// Every field of the schema that introspection gives, with arguments that name the hidden tenant wherever an id goes.
struct Walk<'a> {
    types: &'a Value,
}

impl Walk<'_> {
    fn type_named(&self, name: &str) -> &Value {
        self.types.as_array().unwrap().iter().find(|t| t["name"] == name).unwrap()
    }

    fn named(reference: &Value) -> &str {
        reference["name"].as_str().unwrap_or_else(|| Self::named(&reference["ofType"]))
    }

    /// A value for an argument that must be given; for ids and `since` also where they need not.
    fn argument(argument: &Value, id: &str) -> Option<String> {
        let name = argument["name"].as_str().unwrap();
        let required = argument["type"]["kind"] == "NON_NULL" && argument["defaultValue"].is_null();
        let value = match Self::named(&argument["type"]) {
            "ID" => format!("\"{id}\""),
            "DateTime" if name == "since" => "\"2026-03-01T00:00:00Z\"".to_owned(),
            _ if !required => return None,
            "DateTime" => "\"2026-03-01T00:00:00Z\"".to_owned(),
            "Duration" => "\"P1D\"".to_owned(),
            "String" => "\"region\"".to_owned(),
            "Int" => "5".to_owned(),
            "Float" => "1.0".to_owned(),
            "_Any" => format!("[{{ __typename: \"Tenant\", id: \"{id}\" }}]"),
            other => panic!("the walk does not know what to give for {name}: {other}"),
        };
        Some(format!("{name}: {value}"))
    }

    /// A selection of everything below a type. Lists of tenants are entered as deep as `depth` allows.
    fn select(&self, type_name: &str, id: &str, depth: usize) -> String {
        let described = self.type_named(type_name);
        if let Some(possible) = described["possibleTypes"].as_array() {
            let part = |t: &Value| format!("... on {0} {1}", Self::named(t), self.select(Self::named(t), id, depth));
            return format!("{{ __typename {} }}", possible.iter().map(part).collect::<Vec<_>>().join(" "));
        }
        let Some(fields) = described["fields"].as_array() else { return String::new() };
        let mut selection = String::from("{ __typename");
        for field in fields {
            let below = Self::named(&field["type"]);
            let is_leaf = matches!(self.type_named(below)["kind"].as_str(), Some("SCALAR" | "ENUM"));
            if depth == 0 && !is_leaf {
                continue;
            }
            let arguments: Vec<_> = field["args"].as_array().unwrap().iter().filter_map(|a| Self::argument(a, id)).collect();
            let arguments = if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
            let name = field["name"].as_str().unwrap();
            selection.extend([" ", name, &arguments, " ", &self.select(below, id, depth.saturating_sub(1))]);
        }
        selection + " }"
    }
}

#[tokio::test]
async fn no_path_through_the_schema_shows_another_tenants_data() {
    let (_world, app) = start().await;
    let introspection =
        "{ __schema { queryType { name } mutationType { name } subscriptionType { name } types { name kind possibleTypes { name } fields { name
        args { name defaultValue type { ...R } } type { ...R } } } } }
        fragment R on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";
    let schema = ask_as(&app, "all", introspection).await.body;
    let walk = Walk { types: &schema["data"]["__schema"]["types"] };

    // Changes of both, the own one last: so what comes before it is all that there is.
    app.store.record(&[observation("b", 1, 777_001, 888_002), observation("a", 2, 424_242, 500_000)]).await.unwrap();
    let mut seen = Vec::new();
    for (keyword, root) in [("query", "queryType"), ("mutation", "mutationType"), ("subscription", "subscriptionType")] {
        let root = schema["data"]["__schema"][root]["name"].as_str().unwrap();
        let fields = walk.type_named(root)["fields"].as_array().unwrap();
        for id in ["a", "b"] {
            // Each root field by itself, so that the error of one does not take the answer of another along.
            for field in fields {
                let arguments: Vec<_> = field["args"].as_array().unwrap().iter().filter_map(|a| Walk::argument(a, id)).collect();
                let arguments = if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
                let below = walk.select(Walk::named(&field["type"]), id, 4);
                let document = format!("{keyword} {{ {}{arguments} {below} }}", field["name"].as_str().unwrap());
                let told = match keyword {
                    "subscription" => Value::String(listen_as(&app, "a", &document, "424242").await),
                    _ => ask_as(&app, "a", &document).await.body,
                };
                seen.push((field["name"].as_str().unwrap().to_owned(), id, told, document));
            }
        }
    }
    let marks = ["HIDDEN", "hidden-region", "777001", "888001", "888002", "111000", "13000777"];
    for (field, id, answer, document) in &seen {
        let text = answer.to_string();
        for mark in marks {
            assert!(!text.contains(mark), "{field} with id {id} shows {mark}: {document}\n{text}");
        }
    }
    // The walk is worth something: with the right to see all, the same documents show the marks.
    let mut shown = String::new();
    for (_, _, _, document) in &seen {
        if document.starts_with("subscription") {
            let heard = listen_as(&app, "boss", document, "spaceAllocationChanged").await;
            assert_ne!(document.contains("tenantId: \"b\""), heard.contains("a Ltd"), "{document}: {heard}");
            continue;
        }
        shown += &ask_as(&app, "boss", document).await.body.to_string();
    }
    for mark in ["HIDDEN", "hidden-region", "777001", "888001", "13000777"] {
        assert!(shown.contains(mark), "the walk never meets {mark}");
    }
    // And the caller sees its own.
    for root in ["tenant", "spaceAllocationChanged"] {
        assert!(seen.iter().any(|(field, id, answer, _)| field == root && *id == "a" && answer.to_string().contains("a Ltd")));
    }
    app.stop().await;
}
