use async_graphql::parser::parse_query;
use serde_json::json;

use super::*;

const NOW: &str = "2026-03-02T12:00:00Z";

fn cost_with(document: &str, variables: serde_json::Value) -> Cost {
    let document = parse_query(document).unwrap();
    cost_of(&document, &Variables::from_json(variables), NOW.parse().unwrap(), 40)
}

fn complexity(document: &str) -> usize {
    cost_with(document, json!({})).complexity
}

#[test]
fn every_field_counts_as_often_as_it_may_be_in_the_answer() {
    let year = "from: \"2025-01-01T00:00:00Z\", to: \"2026-01-01T00:00:00Z\"";
    let hours = format!("usageOverTime({year}, interval: \"PT1H\")");
    let full = "points { start end complete coverage allocated { average min max first last } total { average } utilization { average max } }";
    let fields = |count: usize| (0..count).map(|n| format!("a{n}: start")).collect::<Vec<_>>().join(" ");
    for (document, expected) in [
        ("{ tenant { id name } }".to_owned(), 3),
        ("{ tenants(first: 10) { totalCount nodes { id } } }".to_owned(), 3 + 10 * 3),
        ("{ tenants { nodes { snapshots(last: 7) { nodes { total } } } } }".to_owned(), 3 + 50 * (1 + 3 + 1 + 7 * 2)),
        ("{ tenants { nodes { snapshots(first: 1000) { __typename } } } }".to_owned(), 3 + 50 * (1 + 3 + 100)),
        ("{ tenant { labels { key value } spaceAllocation { byType { total } } } }".to_owned(), 1 + 1 + 4 * 2 + 1 + 1 + 8),
        ("{ fleet { spaceAllocation { byType { total } } } }".to_owned(), 5 + 5 + 1 + 8),
        ("{ fleet { observedCount spaceAllocation { total } } }".to_owned(), 5 + 5 + 5 + 1),
        ("{ fleet { top(first: 20) { rank } distribution(steps: 4) { tenants } } }".to_owned(), 5 + 50 + 20 + 5 + 4),
        ("{ fleet { top { rank } distribution { tenants } } }".to_owned(), 5 + 50 + 10 + 5 + 10),
        ("{ fleet { groups(label: \"a\") { value } } }".to_owned(), 5 + 5 + 100),
        (
            "{ fleet { groups(label: \"a\", first: 7) { fleet { groups(label: \"b\", first: 3) { value } } } } }".to_owned(),
            5 + 5 + 7 * (1 + 5 + 3),
        ),
        // A series by its points, with up to fifteen fields.
        (format!("{{ tenant {{ {hours} {{ coverage }} }} }}"), 1 + 20 + 876 + 1),
        (format!("{{ tenant {{ {hours} {{ {full} }} }} }}"), 1 + 20 + 876 + 1),
        (format!("{{ tenant {{ {hours} {{ points {{ {} }} }} }} }}", fields(15)), 1 + 20 + 876 + 1),
        (format!("{{ tenant {{ {hours} {{ points {{ {} }} }} }} }}", fields(30)), 1 + 20 + 1752 + 1),
        (format!("{{ tenant {{ {hours} {{ points {{ {} }} b: points {{ {} }} }} }} }}", fields(10), fields(20)), 1 + 20 + 1752 + 2),
        (
            format!(
                "{{ tenant {{ {hours} {{ ...S }} }} }} fragment S on UsageSeries {{ points {{ ...P ...P }} }} fragment P on UsagePoint {{ {} }}",
                fields(15)
            ),
            1 + 20 + 1752 + 1,
        ),
        (format!("{{ tenants(first: 20) {{ nodes {{ {hours} {{ {full} }} }} }} }}"), 3 + 20 * (1 + 20 + 876 + 1)),
        (format!("{{ fleet {{ usageOverTime({year}) {{ coverage }} }} }}"), 5 + 50 + 37 + 1),
        (
            format!("{{ fleet {{ groups(label: \"a\", first: 10) {{ fleet {{ {hours} {{ coverage }} }} }} }} }}"),
            5 + 5 + 10 * (1 + 50 + 876 + 1),
        ),
        // A forecast by its days, when they are asked for.
        ("{ tenant { forecast(horizon: \"P300D\") { latest } } }".to_owned(), 1 + 50 + 1),
        ("{ tenant { forecast(horizon: \"P300D\") { points { at } backtestError } } }".to_owned(), 1 + 50 + 30 + 1 + 20),
        ("{ tenant { forecast { points { at } } } }".to_owned(), 1 + 50 + 18 + 1),
        (format!("{{ tenant {{ forecast(horizon: \"P300D\") {{ points {{ {} }} }} }} }}", fields(30)), 1 + 50 + 60 + 1),
        // Entities by their representations, equal ones too.
        ("{ _entities(representations: [{id: 1}, {id: 1}, {id: 2}]) { ... on Tenant { id name } } }".to_owned(), 3 + 3 * 2),
        ("{ _entities(representations: {id: 1}) { ... on Tenant { id name } } }".to_owned(), 3 + 2),
        (
            format!(
                "{{ _entities(representations: [{}]) {{ ... on Tenant {{ {hours} {{ coverage }} }} }} }}",
                "{id: 1} ".repeat(400)
            ),
            3 + 400 * (20 + 876 + 1) + 400 * 2 / 10,
        ),
        ("{ tenants(first: 10) { __typename nodes { __typename id __typename } } }".to_owned(), 3 + 10 * (1 + 1 + 1)),
        // What is wrong counts little.
        ("{ tenants(first: -1) { nodes { id } } }".to_owned(), 3),
        ("{ tenants(first: \"x\") { nodes { id } } }".to_owned(), 3 + 50 * 2),
        ("{ tenant { usageOverTime(from: \"yesterday\") { coverage } } }".to_owned(), 1 + 20 + 1),
        ("{ tenant { usageOverTime { coverage } } }".to_owned(), 1 + 20 + 1),
        ("{ nothing { at { all } } ...Nowhere }".to_owned(), 3),
        // The costliest operation counts.
        ("query A { tenant { id } } query B { tenants(first: 2) { nodes { id } } }".to_owned(), 3 + 4),
    ] {
        assert_eq!(complexity(&document), expected, "{document}");
    }
}

#[test]
fn nothing_is_so_much_that_it_counts_for_nothing() {
    let top = "top(first: 2147483647) { tenant { snapshots(first: 2147483647) { nodes { total } } } }";
    let groups = |within: &str| format!("groups(label: \"a\", first: 2147483647) {{ fleet {{ {within} }} }}");
    assert_eq!(complexity(&format!("{{ fleet {{ {} }} }}", groups(&groups(top)))), usize::MAX);
    // Fragments that double eight times over are counted once each.
    let chain = (0..30).map(|n| format!("fragment F{n} on Tenant {{ ...F{} ...F{} }} ", n + 1, n + 1)).collect::<Vec<_>>().concat();
    assert_eq!(complexity(&format!("{{ tenant {{ ...F0 }} }} {chain} fragment F30 on Tenant {{ id }}")), 1 + (1 << 30));
    // What contains itself is refused elsewhere, and so is what is too deep.
    assert_eq!(complexity("{ tenant { ...F } } fragment F on Tenant { id ...F }"), 2);
    let deep = (0..1000).map(|n| format!("fragment F{n} on Tenant {{ ...F{} }} ", n + 1)).collect::<Vec<_>>().concat();
    assert_eq!(complexity(&format!("{{ tenant {{ ...F0 }} }} {deep} fragment F1000 on Tenant {{ id }}")), 1);
}

#[test]
fn what_depends_on_variables_or_the_time_is_told() {
    let series =
        |arguments: &str| format!("query($n: Int = 30, $t: DateTime) {{ tenant {{ usageOverTime({arguments}) {{ coverage }} }} }}");
    for (document, variables, complexity, is_steady) in [
        ("query($n: Int = 30) { tenants(first: $n) { nodes { id } } }".to_owned(), json!({}), 63, false),
        ("query($n: Int = 30) { tenants(first: $n) { nodes { id } } }".to_owned(), json!({ "n": 4 }), 11, false),
        ("query($n: Int = 30) { tenants(first: $n) { nodes { id } } }".to_owned(), json!({ "n": null }), 103, false),
        (
            "query($i: ID) { tenant(id: $i) { id } tenants(where: { ids: [$i] }) { totalCount } }".to_owned(),
            json!({ "i": "a" }),
            55,
            true,
        ),
        (series("from: \"2026-03-01T00:00:00Z\", interval: \"PT1H\""), json!({}), 1 + 20 + 4 + 1, false),
        (
            series("from: \"2026-03-01T00:00:00Z\", to: $t, interval: \"PT1H\""),
            json!({ "t": "2026-03-03T00:00:00Z" }),
            1 + 20 + 5 + 1,
            false,
        ),
        (
            series("from: \"2026-03-01T00:00:00Z\", to: \"2026-03-02T00:00:00Z\", interval: \"PT1H\""),
            json!({}),
            1 + 20 + 3 + 1,
            true,
        ),
        (
            "query($r: [_Any!]!) { _entities(representations: $r) { __typename ... on Tenant { id } } }".to_owned(),
            json!({ "r": [1, 1, 1, 1] }),
            3 + 4,
            false,
        ),
    ] {
        let cost = cost_with(&document, variables);
        assert_eq!((cost.complexity, cost.is_steady), (complexity, is_steady), "{document}");
    }
}

#[test]
fn introspection_that_goes_round_in_circles_is_told() {
    let fields = |levels: usize| {
        format!("{{ __schema {{ types {}{{ name }}{} }} }}", "{ fields { type ".repeat(levels), " } }".repeat(levels))
    };
    for (document, introspects_deep) in [
        (fields(1), false),
        (fields(2), false),
        (fields(3), true),
        ("{ __type(name: \"Query\") { fields { type { ...F } } } } fragment F on __Type { interfaces { inputFields { name } } }".to_owned(), true),
        ("{ __type(name: \"Query\") { ...F fields { type { fields { type { ...F } } } } } } fragment F on __Type { fields { name } }".to_owned(), true),
    ] {
        assert_eq!(cost_with(&document, json!({})).introspects_deep, introspects_deep, "{document}");
    }
}

#[test]
fn the_values_of_arguments_count_wherever_they_are_used() {
    let ids = |count: usize| json!({ "ids": vec!["a"; count] });
    let uses = |times: usize| {
        let fields: Vec<_> = (0..times).map(|n| format!("a{n}: tenants(where: $w, first: 1) {{ totalCount }}")).collect();
        format!("query($w: TenantFilter) {{ {} }}", fields.join(" "))
    };
    let of = |times: usize, variable: serde_json::Value| cost_with(&uses(times), json!({ "w": variable }));
    let one = of(1, json!(null)).complexity;
    // Few count nothing, whatever they are.
    assert_eq!([of(1, ids(3)), of(5, ids(3))].map(|cost| (cost.complexity, cost.is_steady)), [(one, true), (5 * one, true)]);
    assert_eq!([of(1, ids(1000)), of(50, ids(1000))].map(|cost| cost.complexity), [one + 100, 50 * (one + 100)]);
    assert!(!of(1, ids(1000)).is_steady, "with another list it costs something else");
    let label = json!({ "key": "", "value": "" });
    assert_eq!(of(50, json!({ "labels": vec![label; 1000] })).complexity, 50 * (one + 300));
    assert_eq!(of(50, json!({ "nameContains": "x".repeat(100_000) })).complexity, 50 * (one + 100));
    // Written in the document, and as a default.
    let list = vec!["\"a\""; 1000].join(" ");
    assert_eq!(complexity(&format!("{{ tenants(where: {{ ids: [{list}] }}, first: 1) {{ totalCount }} }}")), one + 100);
    let by_default = format!("query($i: [ID!] = [{list}]) {{ tenants(where: {{ ids: $i }}, first: 1) {{ totalCount }} }}");
    assert_eq!(complexity(&by_default), one + 100);
    // Where a field is there often, so are its arguments.
    let zone = "query($z: String) { tenants(first: 10) { nodes { usageOverTime(from: \"2026-03-01T00:00:00Z\", timeZone: $z) { coverage } } } }";
    let (short, long) =
        (cost_with(zone, json!({ "z": "UTC" })).complexity, cost_with(zone, json!({ "z": "x".repeat(10_000) })).complexity);
    assert_eq!(long, short + 10 * 10);
}
