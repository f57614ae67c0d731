//! The documents: of each way to make an answer cost much, the heaviest that the default limits allow.

use std::fmt::Write as _;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::load::History;

/// What is asked.
pub(crate) struct Document {
    pub(crate) name: String,
    /// The body of the request.
    pub(crate) body: String,
    /// What `Accept-Encoding` says.
    pub(crate) encoding: &'static str,
    /// Over server-sent events, of which so many bytes are taken, instead of a plain answer.
    pub(crate) events: Option<usize>,
}

impl Document {
    fn of(name: &str, body: &Value) -> Self {
        Self { name: name.to_owned(), body: body.to_string(), encoding: "identity", events: None }
    }

    fn query(name: &str, query: &str) -> Self {
        Self::of(name, &json!({ "query": query }))
    }

    fn encoded(self, encoding: &'static str) -> Self {
        Self { name: format!("{}, {encoding}", self.name), encoding, ..self }
    }
}

const MEASURE: &str = "{ average min max first last }";

/// All of them.
pub(crate) fn all(history: &History) -> Vec<Document> {
    let (from, to) = (history.from, history.to);
    let point = format!("points {{ start end complete coverage allocated {MEASURE} total {MEASURE} utilization {MEASURE} }}");
    let days_ago = |days: i64| to - SignedDuration::from_hours(24 * days);
    let ids = |count: usize, from: usize| -> Vec<String> {
        history.tenants.iter().skip(from).take(count).map(|tenant| tenant.id.to_string()).collect()
    };
    let dense = ids(history.dense, 0);
    // Aliases of a field, each with arguments of its own.
    let aliases = |count: usize, field: &dyn Fn(usize) -> String| {
        (0..count).fold(String::new(), |mut all, place| {
            // Writing to a string does not fail.
            let _ = write!(all, " a{place}: {}", field(place));
            all
        })
    };
    let representations =
        |ids: &[String]| -> Vec<Value> { ids.iter().map(|id| json!({ "__typename": "Tenant", "id": id })).collect() };
    let entities =
        |selection: &str| format!("query($r: [_Any!]!) {{ _entities(representations: $r) {{ ... on Tenant {{ {selection} }} }} }}");
    let few_points = format!("usageOverTime(from: \"{from}\", interval: \"P1Y\") {{ coverage }}");
    let five_minutes = |first: usize, days: i64| {
        format!(
            "{{ tenants(first: {first}) {{ nodes {{ usageOverTime(from: \"{}\", to: \"{to}\", interval: \"PT5M\") {{ {point} }} }} }} }}",
            days_ago(days)
        )
    };
    let largest = |name: &str| Document::query(name, &five_minutes(5, 33));
    let since = days_ago(20);
    let changed = format!(
        "subscription {{ spaceAllocationChanged(since: \"{since}\") {{ tenant {{ id usageOverTime(from: \"{from}\") {{ {point} }} forecast {{ backtestError points {{ at lower upper }} }} }} }} }}"
    );
    let many_ids: Vec<String> = (0..10_000).map(|place| format!("no-such-{place:05}")).collect();
    vec![
        Document::query("a list of 100, a year in days", &format!("{{ tenants(first: 100) {{ nodes {{ id usageOverTime(from: \"{from}\") {{ points {{ start allocated {{ average max }} }} }} }} }} }}")),
        Document::query("a list of 340, a year in days", &format!("{{ tenants(first: 340) {{ nodes {{ usageOverTime(from: \"{from}\") {{ {point} }} }} }} }}")),
        Document::query("a list of 860, all of history as one point", &format!("{{ tenants(first: 860) {{ nodes {{ {few_points} }} }} }}")),
        Document::query("all dense tenants, a year in days", &format!("{{ tenants(first: {}) {{ nodes {{ usageOverTime(from: \"{from}\") {{ {point} }} }} }} }}", history.dense)),
        Document::query("one dense tenant, 90 stretches", &format!("{{ tenant(id: \"{}\") {{ {} }} }}", dense[0], aliases(90, &|place| format!("usageOverTime(from: \"{}\", interval: \"P1M\") {{ coverage }}", from + SignedDuration::from_mins(5 * i64::try_from(place).unwrap_or(0) + 1))))),
        largest("five minutes over 33 days of 5 tenants"),
        Document::of("entities of 860, all of history as one point", &json!({ "query": entities(&few_points), "variables": { "r": representations(&ids(860, 0)) } })),
        Document::of("entities of 4,000 unknown", &json!({ "query": entities("id"), "variables": { "r": representations(&many_ids[..4000]) } })),
        Document::query("growth of 1,000 over ten years", "{ tenants(first: 1000) { nodes { growth(over: \"P10Y\") { perDay } } } }"),
        Document::query("growth of dense tenants, 90 stretches", &format!("{{ tenants(first: 20) {{ nodes {{ {} }} }} }}", aliases(90, &|place| format!("growth(over: \"P{}D\") {{ perDay }}", 100 + place)))),
        Document::query("forecasts of 270", "{ tenants(first: 270) { nodes { forecast { latest backtestError } } } }"),
        Document::query("forecasts with 90 horizons of 4 dense tenants", &format!("{{ tenants(first: 4) {{ nodes {{ {} }} }} }}", aliases(45, &|place| format!("forecast(horizon: \"P{}D\", confidence: 0.{}) {{ latest backtestError }}", 700 - place, 50 + place)))),
        Document::query("snapshots of 190, 1,000 each, nothing of them", "{ tenants(first: 190) { nodes { snapshots(first: 1000) { __typename } } } }"),
        Document::query("snapshots of 9, 1,000 each", "{ tenants(first: 9) { nodes { snapshots(first: 1000) { nodes { allocated } } } } }"),
        Document::query("byType and labels of 450", "{ tenants(first: 450) { nodes { labels { key value } spaceAllocation { byType { spaceType allocated total utilization } } } } }"),
        Document::query("byType by 6 names of 130", &format!("{{ tenants(first: 130) {{ nodes {{ spaceAllocation {{ {} }} }} }} }}", aliases(6, &|_| "byType { spaceType allocated total }".to_owned()))),
        Document::query("the fleet, 99 stretches", &format!("{{ fleet {{ {} }} }}", aliases(99, &|place| format!("usageOverTime(from: \"{}\", interval: \"P1D\", timeZone: \"{}\") {{ coverage }}", from + SignedDuration::from_hours(i64::try_from(place).unwrap_or(0)), ["Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe"][place % 3])))),
        Document::query("the fleet in five minutes, 19 times", &format!("{{ fleet {{ {} }} }}", aliases(19, &|place| format!("usageOverTime(from: \"{}\", to: \"{to}\", interval: \"PT5M\", timeZone: \"Australia/Lord_Howe\") {{ points {{ start allocated {{ average }} }} }}", days_ago(33) + SignedDuration::from_mins(i64::try_from(place).unwrap_or(0)))))),
        Document::query("groups of groups with series", &format!("{{ fleet {{ groups(label: \"label11\", first: 21) {{ fleet {{ groups(label: \"label00\", first: 10) {{ fleet {{ usageOverTime(from: \"{}\") {{ coverage }} }} }} }} }} }} }}", days_ago(300))),
        Document::query("top by growth, 99 stretches", &format!("{{ fleet {{ {} }} }}", aliases(99, &|place| format!("top(by: GROWTH, over: \"P{}D\", first: 1) {{ value }}", 265 + place)))),
        Document::query("top by soonest full, 99 times", &format!("{{ fleet {{ {} }} }}", aliases(99, &|place| format!("top(by: SOONEST_FULL, first: {}) {{ value }}", place + 1)))),
        Document::query("top by soonest full of 45 fleets", &format!("{{ {} }}", aliases(45, &|place| format!("fleet(where: {{ nameContains: \"{}\" }}) {{ top(by: SOONEST_FULL, first: 3) {{ value }} }}", 1 + place)))),
        Document::of("19 fleets by 10,000 ids each", &json!({ "query": format!("query($ids: [ID!]) {{ {} }}", aliases(19, &|_| "fleet(where: { ids: $ids }) { tenantCount spaceAllocation { total } }".to_owned())), "variables": { "ids": many_ids } })),
        Document::of("50 lists by a name of 200 KB", &json!({ "query": format!("query($name: String) {{ {} }}", aliases(50, &|_| "tenants(where: { nameContains: $name }) { totalCount }".to_owned())), "variables": { "name": "İ".repeat(100_000) } })),
        Document::query("50 lists in an order", &format!("{{ {} }}", aliases(50, &|place| format!("tenants(first: 1, orderBy: {{ by: NAME, direction: DESC }}, where: {{ utilizationAtLeast: 0.{} }}) {{ totalCount }}", 100 + place)))),
        Document::query("1,000 tenants with other ages", &format!("{{ tenants(first: 1000) {{ nodes {{ {} }} }} }}", aliases(9, &|place| format!("spaceAllocation(maxAge: \"P{}D\") {{ allocated }}", 380 + place)))),
        Document::query("introspection", "{ __schema { types { name description fields { name description args { name description defaultValue type { name ofType { name ofType { name } } } } type { name ofType { name ofType { name } } } } inputFields { name description type { name } } enumValues { name description } } } }"),
        Document::of("10 lists of 340, a year in days, at once", &Value::Array((0..10).map(|place| json!({ "query": format!("{{ tenants(first: {}) {{ nodes {{ usageOverTime(from: \"{from}\") {{ coverage }} }} }} }}", 330 + place) })).collect())),
        largest("the largest answer").encoded("br"),
        largest("the largest answer").encoded("gzip"),
        largest("the largest answer").encoded("zstd"),
        Document { events: Some(20_000_000), ..Document::query("events with a heavy selection", &changed) },
        Document { events: Some(100_000_000), ..largest("the largest answer as an event") },
    ]
}
