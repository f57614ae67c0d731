//! Documents that were seen before are judged as at the first time, whatever their variables are, and validated again only when they must be.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};

use crate::support::app::{Database, TestApp, World, tenant};

/// A document and the types of its variables.
type Document = (&'static str, &'static [(&'static str, &'static str)]);

const DOCUMENTS: [Document; 17] = [
    ("query($v: ID!) { tenant(id: $v) { id spaceAllocation { allocated } } }", &[("v", "ID")]),
    (
        "query($v: ID, $l: String = \"region\") { tenant(id: $v) { id } fleet { groups(label: $l) { value } } }",
        &[("v", "ID"), ("l", "String")],
    ),
    ("query($v: String!) { tenant(id: $v) { id } }", &[("v", "String")]),
    ("query($v: ID!) { tenant(id: $v) { nothing } }", &[("v", "ID")]),
    (
        "query($n: Int, $m: Int = 900) { tenants(first: $n) { nodes { id } } b: tenants(last: $m) { totalCount } }",
        &[("n", "Int"), ("m", "Int")],
    ),
    (
        "query($n: Int!, $t: Int) { fleet { distribution(steps: $n) { from } spaceAllocation(spaceType: $t) { allocated } } }",
        &[("n", "Int"), ("t", "Int")],
    ),
    (
        "query($n: Int!) { tenant(id: \"acme\") { ...S @include(if: true) } } fragment S on Tenant { snapshots(first: $n) { nodes { total } } }",
        &[("n", "Int")],
    ),
    (
        "query($b: Boolean!, $c: Boolean = true) { tenant(id: \"acme\") { id @include(if: $b) name @skip(if: $c) } }",
        &[("b", "Boolean"), ("c", "Boolean")],
    ),
    (
        "query($f: Float, $g: Float) { tenants(where: { utilizationAtLeast: $f, utilizationBelow: $g }) { nodes { id } } }",
        &[("f", "Float"), ("g", "Float")],
    ),
    (
        "query($u: StorageUnit, $f: OnFailure!) { tenant(id: \"acme\") { spaceAllocation(onFailure: $f) { allocated(unit: $u) } } }",
        &[("u", "StorageUnit"), ("f", "OnFailure")],
    ),
    (
        "query($d: DateTime!, $i: Duration!, $z: String, $f: Fill!) { tenant(id: \"acme\") {
        usageOverTime(from: $d, interval: $i, timeZone: $z, fill: $f) { coverage points { start } } } }",
        &[("d", "DateTime"), ("i", "Duration"), ("z", "String"), ("f", "Fill")],
    ),
    (
        "query($i: Duration = \"PT5M\") { tenant(id: \"acme\") { spaceAllocation(maxAge: $i) { total } growth(over: $i) { from } } }",
        &[("i", "Duration")],
    ),
    (
        "query($w: TenantFilter, $o: TenantOrder) { tenants(where: $w, orderBy: $o) { nodes { id } } }",
        &[("w", "TenantFilter"), ("o", "TenantOrder")],
    ),
    (
        "query($w: TenantFilter!, $r: Ranking!, $n: Int!) { fleet(where: $w) { tenantCount top(by: $r, first: $n) { rank } } }",
        &[("w", "TenantFilter"), ("r", "Ranking"), ("n", "Int")],
    ),
    (
        "query($i: [ID!], $l: [LabelFilter!]!, $v: ID!) { tenants(where: { ids: $i, labels: $l }) { nodes { id } }
        b: fleet(where: { ids: [\"other\", $v] }) { tenantCount } }",
        &[("i", "[ID]"), ("l", "[LabelFilter]"), ("v", "ID")],
    ),
    // Here the types of variables are not compared with the places where they stand.
    (
        "query($v: ID!, $d: DateTime!) { fleet(where: { labels: { key: $v, value: $d } }) { tenantCount } }",
        &[("v", "ID"), ("d", "DateTime")],
    ),
    (
        "query A($v: ID!) { tenant(id: $v) { id } } query B($v: StorageUnit) { tenant(id: \"acme\") { spaceAllocation { total(unit: $v) } } }",
        &[("v", "StorageUnit")],
    ),
];

/// Values of a type, and values that are none, of which some are found wrong by the validation and some by who uses them.
fn values(of_type: &str) -> (Vec<Value>, Vec<Value>) {
    let odd = vec![json!(true), json!({ "a": 1 }), json!([[1]]), json!(-1.5), json!("")];
    let (good, bad) = match of_type {
        "ID" => (vec![json!("acme"), json!("other"), json!("nobody"), json!(7)], vec![json!(7.5), json!(["acme"])]),
        "String" => (vec![json!("Asia/Shanghai"), json!("UTC"), json!("region"), json!("Nowhere/At all")], vec![json!(7)]),
        "Int" => (
            vec![json!(0), json!(1), json!(7), json!(100), json!(249), json!(250), json!(1000), json!(2_147_483_647)],
            vec![json!(-1), json!(2_147_483_648_u64), json!(-9_000_000_000_i64), json!(1.5), json!("1"), json!(u64::MAX)],
        ),
        "Boolean" => (vec![json!(true), json!(false)], vec![json!("true"), json!(0)]),
        "Float" => (vec![json!(0), json!(0.5), json!(0.1), json!(-3), json!(1e300)], vec![json!("0.5")]),
        "StorageUnit" => (vec![json!("TB"), json!("GB"), json!("BYTE")], vec![json!("ELL"), json!("tb"), json!(1)]),
        "OnFailure" => (vec![json!("STALE"), json!("ERROR")], vec![json!("error"), json!(1)]),
        "Fill" => (vec![json!("NONE"), json!("LAST")], vec![json!("FIRST")]),
        "Ranking" => (vec![json!("UTILIZATION"), json!("COVERAGE")], vec![json!("NAME")]),
        "DateTime" => (
            vec![json!("2026-03-01T00:00:00Z"), json!("2026-03-02T01:00:00+08:00"), json!("2026-02-28T12:30:00.5Z")],
            vec![json!("yesterday"), json!("2026-03-01"), json!(1_772_323_200)],
        ),
        "Duration" => (vec![json!("PT1H"), json!("P1D"), json!("P30D")], vec![json!("an hour"), json!("P"), json!(3600)]),
        "TenantFilter" => (
            vec![
                json!({}),
                json!({ "ids": ["acme"], "nameContains": null }),
                json!({ "labels": [{ "key": "region", "value": "north" }], "utilizationAtLeast": 0.05 }),
                json!({ "labels": { "key": "region", "value": "south" } }),
            ],
            vec![
                json!({ "ids": [null] }),
                json!({ "id": "acme" }),
                json!({ "labels": [{ "key": "region" }] }),
                json!({ "labels": [{ "key": "region", "value": 7 }] }),
                json!({ "utilizationBelow": "1" }),
                json!("acme"),
            ],
        ),
        "TenantOrder" => (
            vec![json!({ "by": "ID" }), json!({ "by": "NAME", "direction": "DESC" }), json!({ "by": "ALLOCATED" })],
            vec![
                json!({}),
                json!({ "by": "SIZE" }),
                json!({ "by": "ID", "direction": null }),
                json!({ "by": "ID", "x": 1 }),
                json!("ID"),
            ],
        ),
        "[ID]" => (vec![json!([]), json!(["acme"]), json!("other"), json!([7, "acme"])], vec![json!([null]), json!(["acme", 0.5])]),
        "[LabelFilter]" => (
            vec![json!([]), json!([{ "key": "region", "value": "north" }]), json!({ "key": "region", "value": "south" })],
            vec![json!([null]), json!([{ "key": "region" }]), json!([{ "key": 1, "value": "a" }]), json!(["region"])],
        ),
        other => panic!("{other}"),
    };
    (good, [bad, odd].concat())
}

async fn start() -> (World, TestApp) {
    let mut tenants = vec![tenant("acme", 100, 1000), tenant("other", 7, 70)];
    tenants[0].labels = vec![("region", "north")];
    tenants[1].labels = vec![("region", "south")];
    let world = World::new(Database::sqlite(), tenants).await;
    // So low that some pages pass and others do not.
    let app = world.start_with(|config| config.limits.complexity = 500).await;
    app.collect().await;
    (world, app)
}

/// Asks as nobody did before, so that no finished answer is found. The document is to the letter the same.
async fn ask(app: &TestApp, document: &str, variables: &Map<String, Value>, number: u32) -> (u16, Value) {
    let body = json!({ "query": document, "operationName": document.contains("query B").then_some("B"), "variables": variables, "number": number });
    let (status, mut answer) = app.post(&body).await;
    if let Some(errors) = answer["errors"].as_array_mut() {
        // The library takes the operations of a document in any order.
        errors.sort_by_key(|error| error["locations"].to_string());
    }
    (status, answer)
}

async fn validations(app: &TestApp) -> u64 {
    app.metric("quotagraph_graphql_validations_total").await
}

#[tokio::test]
async fn random_variables_of_known_documents_are_answered_as_at_the_first_time() {
    let (_world, app) = start().await;
    let mut random = StdRng::seed_from_u64(20_260_302);
    let (mut refused, mut answered) = (0, 0);
    for number in 0..4000 {
        let (document, declared) = DOCUMENTS.choose(&mut random).unwrap();
        let mut variables = Map::new();
        for (name, of_type) in *declared {
            let (good, bad) = values(of_type);
            let value = match random.random_range(0..12) {
                0 => continue,
                1 => Value::Null,
                2 => bad.choose(&mut random).unwrap().clone(),
                _ => good.choose(&mut random).unwrap().clone(),
            };
            variables.insert((*name).to_owned(), value);
        }
        let known = ask(&app, document, &variables, number).await;
        // With a comment it is another document, which nobody has seen.
        let first = ask(&app, &format!("{document} # {number}"), &variables, number).await;
        assert_eq!(known, first, "{document} {variables:?}");
        if first.1["errors"].is_null() { answered += 1 } else { refused += 1 }
    }
    assert!(answered > 1000 && refused > 1000, "{answered} {refused}");
    // Nearly all documents of before, and at most a part of the known ones.
    let validations = validations(&app).await;
    assert!((3500..6500).contains(&validations), "{validations}");
    app.stop().await;
}

#[tokio::test]
async fn values_that_come_for_the_first_time_are_not_validated_when_others_of_their_type_were() {
    let (_world, app) = start().await;
    let mut number = 0;
    for (document, name, of_type) in [
        ("query($v: ID!) { tenant(id: $v) { id } }", "v", "ID"),
        ("query($v: String) { tenants(where: { nameContains: $v }) { totalCount } }", "v", "String"),
        ("query($v: Boolean!) { tenants { totalCount @include(if: $v) } }", "v", "Boolean"),
        ("query($v: Float) { fleet(where: { utilizationAtLeast: $v }) { tenantCount } }", "v", "Float"),
        ("query($v: StorageUnit!) { tenant(id: \"acme\") { spaceAllocation { total(unit: $v) } } }", "v", "StorageUnit"),
        ("query($v: DateTime) { tenant(id: \"acme\") { snapshots(from: $v) { pageInfo { hasNextPage } } } }", "v", "DateTime"),
        ("query($v: Duration!) { tenant(id: \"acme\") { growth(over: $v) { from } } }", "v", "Duration"),
        ("query($v: TenantFilter) { fleet(where: $v) { tenantCount } }", "v", "TenantFilter"),
        ("query($v: TenantOrder) { tenants(orderBy: $v) { nodes { id } } }", "v", "TenantOrder"),
        ("query($v: [ID!]!) { fleet(where: { ids: $v }) { tenantCount } }", "v", "[ID]"),
        ("query($v: [LabelFilter!]) { fleet(where: { labels: $v }) { tenantCount } }", "v", "[LabelFilter]"),
    ] {
        let before = validations(&app).await;
        for value in values(of_type).0 {
            number += 1;
            let variables = Map::from_iter([(name.to_owned(), value)]);
            let (status, answer) = ask(&app, document, &variables, number).await;
            assert_eq!((status, &answer["errors"]), (200, &Value::Null), "{document} {variables:?}");
        }
        assert_eq!(validations(&app).await, before + 1, "{document}");
        let absent = Map::new();
        ask(&app, document, &absent, 0).await;
        // One that must be there is missed before anything is validated.
        let judged = before + if document.contains("!)") { 1 } else { 2 };
        assert_eq!(validations(&app).await, judged, "without a value {document} is judged anew");
    }
    app.stop().await;
}

#[tokio::test]
async fn series_are_counted_by_their_points_each_time() {
    let (_world, app) = start().await;
    let document = "query($i: Duration!) { tenant(id: \"acme\") { usageOverTime(from: \"2026-01-01T00:00:00Z\", \
        to: \"2026-03-01T00:00:00Z\", interval: $i) { coverage } } }";
    let of =
        async |interval: &str, number| ask(&app, document, &Map::from_iter([("i".to_owned(), json!(interval))]), number).await.1;
    for round in 0..2 {
        assert!(of("P1M", round).await["errors"].is_null());
        let refused = of("PT15M", round).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX", "{refused}");
    }
    // Once for all intervals: what a document costs is counted before it is validated, and each time.
    assert_eq!(validations(&app).await, 1);
    app.stop().await;
}

#[tokio::test]
async fn lists_are_counted_by_the_number_that_is_given_however_often_the_document_was_valid() {
    let (_world, app) = start().await;
    let document = "query($n: Int!) { tenants(first: $n) { nodes { id } } }";
    let of = async |n: u32, number: u32| ask(&app, document, &Map::from_iter([("n".to_owned(), json!(n))]), number).await.1;
    for round in 0..3 {
        assert!(of(10, round).await["errors"].is_null());
        assert!(of(248, round).await["errors"].is_null());
        assert_eq!(of(249, round).await["errors"][0]["message"], "the document's complexity is 501; the limit is 500");
    }
    // Once for all numbers: the one that is too large is refused before.
    assert_eq!(validations(&app).await, 1);
    app.stop().await;
}
