//! Many tenants as one, through GraphQL.

use jiff::{SignedDuration, Timestamp};
use quotagraph::quota::{Run, Sample, SpaceAllocation, SpaceTypeAllocation};
use quotagraph::store::{Observation, PackWhen};
use serde_json::{Value, json};

use crate::support::app::{Database, TenantSetup, TestApp, World, tenant};

const TENANTS: [&str; 5] = ["a", "b", "c", "d", "never"];

fn labelled(setup: TenantSetup, labels: &[(&'static str, &'static str)]) -> TenantSetup {
    TenantSetup { labels: labels.to_vec(), ..setup }
}

/// Six hours of samples every five minutes from 2026-03-02T12:00Z. "b" pauses for an hour, "d" begins two hours late, "never" is never
/// answered for.
async fn history(database: Database) -> (World, TestApp) {
    history_among(database, 0).await
}

/// The same, with so many more tenants that are never asked.
async fn history_among(database: Database, others: usize) -> (World, TestApp) {
    let mut tenants = vec![
        labelled(tenant("a", 100, 1000), &[("region", "north")]),
        labelled(tenant("b", 200, 1000), &[("region", "south")]),
        labelled(tenant("c", 900, 1000), &[("region", "north"), ("tier", "gold")]),
        tenant("d", 10, 100),
        labelled(tenant("never", 1, 1), &[("region", "south")]),
    ];
    tenants.extend((0..others).map(|number| tenant(&format!("other-{number}"), 1, 1)));
    let world = World::new(database, tenants).await;
    world.set_behaviour("never", json!({ "status": 500 }));
    world.set_behaviour("d", json!({ "status": 500 }));
    let app = world.start().await;
    for tick in 0..72_i64 {
        world.set_values("a", &[(0, 100 + tick, 1000), (1, 5, 50)]);
        match tick {
            20 => world.set_values("c", &[(0, 950, 1000)]),
            24 => {
                world.set_behaviour("b", json!({ "status": 500 }));
                world.set_behaviour("d", json!({}));
            }
            36 => {
                world.set_behaviour("b", json!({}));
                world.set_values("b", &[(0, 260, 1300)]);
            }
            _ => {}
        }
        for id in TENANTS {
            let _ = app.ask(&format!("mutation {{ refreshSpaceAllocation(tenantId: \"{id}\") {{ allocated }} }}")).await;
        }
        world.advance_s(300);
    }
    (world, app)
}

async fn pack(app: &TestApp) {
    while app.store.pack_fleet(PackWhen { at_least: 1, older_than: Timestamp::MIN }).await.unwrap() > 0 {}
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

const SERIES: &str = "coverage points { start end complete coverage allocated { average min max first last } total { average first last } utilization { average } }";

async fn fleet_series(app: &TestApp, filter: &str, arguments: &str) -> Value {
    app.data(&format!("{{ fleet{filter} {{ usageOverTime({arguments}) {{ {SERIES} }} }} }}")).await["fleet"]["usageOverTime"]
        .clone()
}

#[tokio::test]
async fn the_series_of_a_fleet_adds_up_the_series_of_its_tenants_with_both_stores() {
    for database in [Database::sqlite(), Database::postgres().await] {
        let (_world, app) = history(database).await;
        // From 16:00 on, when all four have begun; at that time "b" has paused, and is carried.
        let arguments = "from: \"2026-03-02T14:30:00Z\", to: \"2026-03-02T18:00:00Z\", interval: \"PT30M\"";
        let before = fleet_series(&app, "", arguments).await;
        pack(&app).await;
        let fleet = fleet_series(&app, "", arguments).await;
        assert_eq!(fleet, before, "packed or not");
        assert_eq!(fleet_series(&app, "", arguments).await, fleet, "the same question again");

        let own = format!("{{ tenants {{ nodes {{ id usageOverTime({arguments}, fill: LAST) {{ {SERIES} }} }} }} }}");
        let own = app.data(&own).await["tenants"]["nodes"].as_array().unwrap().clone();
        let points = fleet["points"].as_array().unwrap();
        assert_eq!(points.len(), 7);
        for (place, point) in points.iter().enumerate() {
            let of = |tenant: &Value| tenant["usageOverTime"]["points"][place].clone();
            let coverage: f64 = own.iter().map(|tenant| number(&of(tenant)["coverage"])).sum::<f64>() / 5.0;
            assert!((number(&point["coverage"]) - coverage).abs() < 1e-12, "{place}: {point} {coverage}");
            // Where "b" has a gap within the bucket its own average is over the rest: see the next assertion.
            if place >= 2 {
                for (quantity, part) in
                    [("allocated", "average"), ("allocated", "first"), ("allocated", "last"), ("total", "average")]
                {
                    let known = own.iter().map(of).filter(|point| !point[quantity].is_null());
                    let sum: f64 = known.map(|point| number(&point[quantity][part])).sum();
                    assert!((number(&point[quantity][part]) - sum).abs() < 1e-9, "{place} {quantity} {part}: {point} {sum}");
                }
            }
        }
        // 14:30 to 15:00: "a" grows by 1 every 5 minutes from 130 + 5, "b" is carried at 200, "c" has 950, "d" 10.
        assert!((number(&points[0]["allocated"]["average"]) - (132.5 + 5.0 + 200.0 + 950.0 + 10.0)).abs() < 1e-9);
        app.stop().await;
    }
}

/// Whatever is asked about a few tenants comes from their runs, and about all from the log.
#[tokio::test]
async fn few_of_many_tenants_have_the_sums_that_all_have_when_the_others_have_nothing_with_both_stores() {
    const FEW: &str = "(where: { ids: [\"a\", \"b\", \"c\", \"d\", \"never\"] })";
    for database in [Database::sqlite(), Database::postgres().await] {
        let (world, app) = history_among(database, 1500).await;
        pack(&app).await;
        world.set_values("a", &[(0, 300, 1000)]);
        app.data("mutation { refreshSpaceAllocation(tenantId: \"a\") { allocated } }").await;
        world.advance_s(600);
        for arguments in [
            "from: \"2026-03-02T00:00:00Z\", interval: \"PT1H\"",
            "from: \"2026-03-02T13:01:00Z\", to: \"2026-03-02T16:59:00Z\", interval: \"PT1H\"",
            // "b" pauses from 14:00 to 15:00, and is covered for twelve and a half minutes of it.
            "from: \"2026-03-02T14:00:00Z\", to: \"2026-03-02T14:30:00Z\", interval: \"PT5M\"",
            // All pauses since 17:55.
            "from: \"2026-03-02T18:05:00Z\", interval: \"PT1M\"",
            "from: \"2026-03-02T12:00:00Z\", interval: \"P1D\", spaceType: 1",
            "from: \"2026-03-01T00:00:00Z\", to: \"2026-03-02T00:00:00Z\", interval: \"P1D\"",
        ] {
            let few = fleet_series(&app, FEW, arguments).await;
            let mut all = fleet_series(&app, "", arguments).await;
            let of_few = |coverage: &Value| number(coverage) * 1505.0 / 5.0;
            assert!((of_few(&all["coverage"]) - number(&few["coverage"])).abs() < 1e-9, "{arguments}: {few} {all}");
            for (point, of_all) in few["points"].as_array().unwrap().iter().zip(all["points"].as_array_mut().unwrap()) {
                assert!((of_few(&of_all["coverage"]) - number(&point["coverage"])).abs() < 1e-9, "{arguments}: {point} {of_all}");
                of_all["coverage"] = point["coverage"].clone();
                assert_eq!(point, of_all, "{arguments}");
            }
        }
        let growth =
            |filter: &str| format!("{{ fleet{filter} {{ top(by: GROWTH, over: \"PT4H\") {{ value tenant {{ id }} }} }} }}");
        let few = app.data(&growth(FEW)).await;
        assert_eq!(few["fleet"]["top"].as_array().unwrap().len(), 4);
        assert_eq!(few, app.data(&growth("")).await);
        let grouped = "groups(label: \"tier\") { value fleet { tenantCount usageOverTime(from: \"2026-03-02T12:00:00Z\", interval: \"PT1H\") { points { allocated { average last } } } } }";
        let few = app.data(&format!("{{ fleet{FEW} {{ {grouped} }} }}")).await["fleet"]["groups"].take();
        let all = app.data(&format!("{{ fleet {{ {grouped} }} }}")).await["fleet"]["groups"].take();
        assert_eq!((few[0]["value"].clone(), few[1]["fleet"]["tenantCount"].clone()), (json!("gold"), json!(4)));
        assert_eq!(few[1]["fleet"]["usageOverTime"], all[1]["fleet"]["usageOverTime"]);
        assert_eq!(few[0], all[0]);
        app.stop().await;
    }
}

#[tokio::test]
async fn a_question_that_is_asked_again_counts_what_came_since() {
    let (world, app) = history(Database::postgres().await).await;
    pack(&app).await;
    let arguments = "from: \"2026-03-01T00:00:00Z\", interval: \"P1D\"";
    let before = fleet_series(&app, "", arguments).await;
    world.advance_s(86_400);
    world.set_values("a", &[(0, 777, 1000)]);
    app.data("mutation { refreshSpaceAllocation(tenantId: \"a\") { allocated } }").await;
    world.advance_s(600);
    let after = fleet_series(&app, "", arguments).await;
    assert_eq!(before["points"].as_array().unwrap().len() + 1, after["points"].as_array().unwrap().len());
    // A service without memory of the first answer says the same.
    let fresh = world.start().await;
    assert_eq!(fleet_series(&fresh, "", arguments).await, after);
    assert_eq!(after["points"][2]["allocated"]["last"], 777.0 + 260.0 + 950.0 + 10.0);
    fresh.stop().await;
    app.stop().await;
}

#[tokio::test]
async fn sums_and_counts_are_over_the_tenants_with_a_known_allocation() {
    let (_world, app) = history(Database::sqlite()).await;
    let sums = "tenantCount observedCount spaceAllocation { allocated total available utilization byType { spaceType allocated } observedAt }";
    let data = app.data(&format!("{{ fleet {{ {sums} one: spaceAllocation(spaceType: 1) {{ allocated total }} }} }}")).await;
    let allocated = 171.0 + 5.0 + 260.0 + 950.0 + 10.0;
    let total = 1000.0 + 50.0 + 1300.0 + 1000.0 + 100.0;
    assert_eq!(data["fleet"]["tenantCount"], 5);
    assert_eq!(data["fleet"]["observedCount"], 4);
    let found = &data["fleet"]["spaceAllocation"];
    assert_eq!(found["allocated"], allocated);
    assert_eq!(found["total"], total);
    assert_eq!(found["available"], total - allocated);
    assert_eq!(found["utilization"], allocated / total);
    assert_eq!(found["byType"], json!([{ "spaceType": 0, "allocated": allocated - 5.0 }, { "spaceType": 1, "allocated": 5.0 }]));
    assert_eq!(found["observedAt"], "2026-03-02T17:55:00Z");
    assert_eq!(data["fleet"]["one"], json!({ "allocated": 5.0, "total": 50.0 }));
    let empty = app.data(&format!("{{ fleet(where: {{ ids: [\"nobody\"] }}) {{ {sums} }} }}")).await;
    assert_eq!(empty["fleet"]["spaceAllocation"]["utilization"], Value::Null);
    assert_eq!(empty["fleet"]["spaceAllocation"]["observedAt"], Value::Null);
    app.stop().await;
}

#[tokio::test]
async fn rankings_say_what_the_tenants_say_of_themselves() {
    let (_world, app) = history(Database::postgres().await).await;
    let top = async |arguments: &str| {
        let query =
            format!("{{ fleet {{ top({arguments}) {{ rank value tenant {{ id growth(over: \"P1D\") {{ perDay }} }} }} }} }}");
        app.data(&query).await["fleet"]["top"].as_array().unwrap().clone()
    };
    let ids = |ranked: &[Value]| ranked.iter().map(|r| r["tenant"]["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let by_utilization = top("by: UTILIZATION").await;
    assert_eq!(ids(&by_utilization), ["c", "b", "a", "d"]);
    assert_eq!(by_utilization.iter().map(|r| r["rank"].as_i64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(by_utilization[0]["value"], 0.95);
    assert_eq!(ids(&top("by: ALLOCATED, first: 2").await), ["c", "b"]);
    let by_growth = top("by: GROWTH, over: \"P1D\"").await;
    assert_eq!(ids(&by_growth), ["a", "b", "c", "d"]);
    for ranked in &by_growth {
        assert!((number(&ranked["value"]) - number(&ranked["tenant"]["growth"]["perDay"])).abs() < 1e-9, "{ranked}");
    }
    let by_coverage = top("by: COVERAGE, over: \"PT6H\"").await;
    assert_eq!(ids(&by_coverage), ["never", "d", "b", "a", "c"]);
    assert_eq!(by_coverage[0]["value"], 0.0);
    assert!((number(&by_coverage[1]["value"]) - 4.0 / 6.0).abs() < 1e-9);
    assert_eq!(ids(&top("by: SOONEST_FULL").await), Vec::<String>::new(), "six hours are too little to foresee anything");
    assert!(top("first: 0").await.is_empty());
    app.stop().await;
}

/// Tenants "a" to "d" with sixty days of one value each, to which "a" adds 10 GB a day of 1000, "b" 5 and "c" 1; "d" stays as it is. There are so many others.
async fn growing(database: Database, others: usize) -> (World, TestApp) {
    let mut tenants = vec![tenant("a", 690, 1000), tenant("b", 395, 1000), tenant("c", 159, 1000), tenant("d", 100, 1000)];
    tenants.extend((0..others).map(|number| tenant(&format!("other-{number}"), 1, 1)));
    let world = World::new(database, tenants).await;
    let app = world.start().await;
    for (id, daily_gb) in [("a", 10), ("b", 5), ("c", 1), ("d", 0)] {
        let run = |day: i64| {
            let last_at = world.now() - SignedDuration::from_hours(24 * (59 - day) + 1);
            let first_at = last_at - SignedDuration::from_hours(22);
            let allocated_gb = 100 + daily_gb * day;
            Run { space_type: 0, first_at, last_at, interval_s: 300, samples: 265, allocated_gb, total_gb: 1000, ended_at: None }
        };
        app.store.insert_runs(&id.parse().unwrap(), &(0..60).map(run).collect::<Vec<_>>()).await.unwrap();
    }
    pack(&app).await;
    world.advance_s(60);
    (world, app)
}

#[tokio::test]
async fn the_soonest_full_are_those_by_their_own_forecasts_and_a_change_is_seen_at_once_with_both_stores() {
    // All of four, by the log; four of many, by their runs.
    for (database, others) in
        [(Database::sqlite(), 0), (Database::postgres().await, 0), (Database::sqlite(), 1500), (Database::postgres().await, 1500)]
    {
        let (world, app) = growing(database, others).await;
        let soonest = async || {
            let filter = "(where: { ids: [\"a\", \"b\", \"c\", \"d\"] })";
            let query = format!(
                "{{ fleet{filter} {{ top(by: SOONEST_FULL) {{ value tenant {{ id forecast(threshold: 1) {{ reachesThresholdAt }} }} }} }} }}"
            );
            let found = app.data(&query).await["fleet"]["top"].take();
            for ranked in found.as_array().unwrap() {
                let at: Timestamp = ranked["tenant"]["forecast"]["reachesThresholdAt"].as_str().unwrap().parse().unwrap();
                let days = at.duration_since(world.now()).as_secs_f64() / 86_400.0;
                assert!((number(&ranked["value"]) - days).abs() < 2.0 / 86_400.0, "{ranked} {days}");
            }
            found
        };
        let ids = |ranked: &Value| {
            let id = |ranked: &Value| ranked["tenant"]["id"].as_str().unwrap().to_owned();
            ranked.as_array().unwrap().iter().map(id).collect::<Vec<_>>()
        };
        let first = soonest().await;
        assert_eq!(ids(&first), ["a", "b"], "others: {others}");
        assert!((number(&first[0]["value"]) - 31.0).abs() < 0.5, "{first}");
        assert_eq!(soonest().await, first);
        // Another pass over the packed days than the kept one says the same.
        let fresh = world.start().await;
        let query = "{ fleet { top(by: SOONEST_FULL) { value tenant { id } } } }";
        let of_all = fresh.data(query).await;
        assert_eq!(app.data(query).await, of_all);
        assert_eq!(app.data(query).await, of_all);
        fresh.stop().await;

        world.advance_s(300);
        world.set_values("d", &[(0, 1000, 1000)]);
        app.data("mutation { refreshSpaceAllocation(tenantId: \"d\") { allocated } }").await;
        world.advance_s(1);
        let changed = soonest().await;
        assert_eq!(ids(&changed), ["d", "a", "b"]);
        assert_eq!(changed[0]["value"], 0.0);
        // Late ones change the past: "b" has stood still for the last weeks.
        let late = |day: i64, allocated_gb: i64| {
            let at = world.now() - SignedDuration::from_hours(24 * day) - SignedDuration::from_mins(36);
            let value = SpaceTypeAllocation { space_type: 0, allocated_gb, total_gb: 1000 };
            let sample = Sample { allocation: SpaceAllocation::new(at, vec![value]), interval_s: 300 };
            Observation { tenant: "b".parse().unwrap(), attempted_at: at, outcome: Ok(sample), next_due_at: None }
        };
        app.store.record(&(1..20).map(|day| late(day, 395)).collect::<Vec<_>>()).await.unwrap();
        let after = soonest().await;
        assert_ne!(after, changed);
        world.advance_s(3600);
        assert!(ids(&soonest().await).starts_with(&["d".to_owned(), "a".to_owned()]));
        app.stop().await;
    }
}

#[tokio::test]
async fn a_fleet_is_split_by_the_values_of_a_label_and_by_steps_of_utilization() {
    let (_world, app) = history(Database::sqlite()).await;
    let arguments = "from: \"2026-03-02T15:00:00Z\", to: \"2026-03-02T18:00:00Z\", interval: \"PT1H\"";
    let query = format!(
        "{{ fleet {{ groups(label: \"region\", first: 20) {{ value fleet {{ tenantCount usageOverTime({arguments}) {{ {SERIES} }} groups(label: \"tier\", first: 20) {{ value fleet {{ tenantCount }} }} }} }} \
         distribution(steps: 4) {{ from to tenants }} }} }}"
    );
    let data = app.data(&query).await;
    let groups = data["fleet"]["groups"].as_array().unwrap();
    let shown: Vec<_> = groups.iter().map(|group| (group["value"].clone(), group["fleet"]["tenantCount"].clone())).collect();
    assert_eq!(shown, [(json!("north"), json!(2)), (json!("south"), json!(2)), (json!(null), json!(1))]);
    for (group, ids) in groups.iter().zip(["[\"a\", \"c\"]", "[\"b\", \"never\"]", "[\"d\"]"]) {
        let alone = fleet_series(&app, &format!("(where: {{ ids: {ids} }})"), arguments).await;
        assert_eq!(group["fleet"]["usageOverTime"], alone);
    }
    assert_eq!(
        groups[0]["fleet"]["groups"],
        json!([{ "value": "gold", "fleet": { "tenantCount": 1 } }, { "value": null, "fleet": { "tenantCount": 1 } }])
    );
    let steps = json!([
        { "from": 0.0, "to": 0.25, "tenants": 3 }, { "from": 0.25, "to": 0.5, "tenants": 0 },
        { "from": 0.5, "to": 0.75, "tenants": 0 }, { "from": 0.75, "to": 1.0, "tenants": 1 }, { "from": 1.0, "to": null, "tenants": 0 },
    ]);
    assert_eq!(data["fleet"]["distribution"], steps);
    app.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_an_argument_is_said_by_its_name() {
    let world = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await;
    let app = world.start().await;
    for (field, argument) in [
        ("groups(label: \"nope\") { value }", "label"),
        ("distribution(steps: 0) { from }", "steps"),
        ("top(first: -1) { rank }", "first"),
        ("top(by: GROWTH, over: \"PT0S\") { rank }", "over"),
        ("usageOverTime(from: \"2026-03-02T12:00:00Z\", to: \"2026-03-01T12:00:00Z\") { coverage }", "to"),
        ("usageOverTime(from: \"2026-03-01T12:00:00Z\", timeZone: \"Mars/Olympus\") { coverage }", "timeZone"),
        ("usageOverTime(from: \"2020-03-01T12:00:00Z\", interval: \"PT1S\") { coverage }", "interval"),
    ] {
        let (code, message) = app.error(&format!("{{ fleet {{ {field} }} }}")).await;
        assert_eq!(code, "BAD_USER_INPUT", "{field}");
        assert!(message.starts_with(&format!("{argument}:")), "{field}: {message}");
    }
    app.stop().await;
}
