//! The views for analysts say what the API says, and the documented queries run.

use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use quotagraph::quota::calendar::buckets_within;
use quotagraph::quota::usage::{Fill, series};
use quotagraph::quota::{Run, Sample, SpaceAllocation, TimeRange};
use quotagraph::store::{Observation, SharedStore};
use serde_json::{Map, Value};

use super::{Home, answer, at, history, id, seen, tenant};
use crate::support::sql;

type Row = Map<String, Value>;

/// In seconds.
const GRID: i64 = 4999;

/// A sample in a stretch of five days, on a grid of more than an hour on which gaps are within and beyond tolerance, and days begin and end everywhere.
fn sample() -> impl Strategy<Value = Sample> {
    let types = subsequence(vec![0, 1], 0..=2);
    let values = prop::collection::vec((0..5_000_000_i64, select(vec![0_i64, 7, 6_000_000])), 2);
    (0..90_i64, types, values, select(vec![1800_u32, 3600, 3600, 20_000])).prop_map(|(place, types, values, interval_s)| {
        let values =
            types.iter().zip(values).map(|(space_type, (allocated, total))| (*space_type, allocated, total)).collect::<Vec<_>>();
        Sample { allocation: answer(place * GRID, &values), interval_s }
    })
}

#[test]
fn postgres_answers_days_as_the_api_does() {
    compare(|runtime| runtime.block_on(Home::postgres()));
}

#[test]
fn sqlite_answers_days_as_the_api_does() {
    compare(|_| Home::sqlite());
}

/// Half of the histories end a while ago, the others may reach up to now and hold beyond it.
fn compare(home: impl FnOnce(&tokio::runtime::Runtime) -> Home) {
    static CASE: AtomicU32 = AtomicU32::new(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let home = home(&runtime);
    let store = runtime.block_on(home.open());
    let usual = Config::default();
    let config = Config { cases: usual.cases / 6, failure_persistence: None, ..usual };
    let strategy = (prop::collection::vec(sample(), 1..25), any::<bool>());
    let outcome = TestRunner::new(config).run(&strategy, |(samples, recent)| {
        let name = format!("case-{}", CASE.fetch_add(1, Ordering::Relaxed));
        runtime.block_on(async {
            let shift = if recent { now_of(&home).await.as_second() - at(GRID * 89).as_second() } else { 0 };
            record(&store, &name, &samples, shift).await;
            compare_case(&home, &store, &name).await
        })
    });
    outcome.unwrap();
}

async fn record(store: &SharedStore, name: &str, samples: &[Sample], shift_s: i64) {
    store.register_tenants(&[tenant(name)], at(0)).await.unwrap();
    let mut samples = samples.to_vec();
    samples.sort_by_key(|sample| sample.allocation.observed_at());
    let observe = |sample: &Sample| {
        let seconds = sample.allocation.observed_at().as_second() - at(0).as_second() + shift_s;
        let values = sample.allocation.by_type().iter().map(|v| (v.space_type, v.allocated_gb, v.total_gb)).collect::<Vec<_>>();
        let sample = Sample { allocation: answer(seconds, &values), interval_s: sample.interval_s };
        Observation { tenant: id(name), attempted_at: at(seconds), outcome: Ok(sample), next_due_at: None }
    };
    store.record(&samples.iter().map(observe).collect::<Vec<_>>()).await.unwrap();
}

async fn now_of(home: &Home) -> Timestamp {
    instant(&sql::rows(&home.url, &format!("select {} as now", now_in(home))).await[0]["now"])
}

fn now_in(home: &Home) -> &'static str {
    if home.url.starts_with("sqlite:") { "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')" } else { "now()" }
}

async fn compare_case(home: &Home, store: &SharedStore, name: &str) -> Result<(), TestCaseError> {
    let runs = history(store, name).await;
    let rows = sql::rows(
        &home.url,
        &format!("select *, {} as now from usage_daily where tenant = '{name}' order by space_type, day", now_in(home)),
    )
    .await;
    compare_runs(home, name, &runs).await?;
    compare_latest(home, store, name).await?;
    let now = match rows.first() {
        Some(row) => instant(&row["now"]),
        None => now_of(home).await,
    };
    let mut ahead = rows.iter();
    let until = until(&runs, now);
    for runs in runs.chunk_by(|a, b| a.space_type == b.space_type) {
        compare_days(runs, until, now, &mut ahead)?;
    }
    prop_assert_eq!(ahead.next(), None);
    Ok(())
}

/// Until when the tenant's newest sample holds, as far as that has passed.
fn until(runs: &[Run], now: Timestamp) -> Timestamp {
    runs.iter().map(|run| (run.last_at, run.holds_until_next())).max().map_or(now, |(_, until)| until.min(now))
}

fn compare_days<'a>(
    runs: &[Run],
    until: Timestamp,
    now: Timestamp,
    rows: &mut impl Iterator<Item = &'a Row>,
) -> Result<(), TestCaseError> {
    let range = TimeRange { from: runs[0].first_at, to: until };
    if range.to <= range.from {
        return Ok(());
    }
    let buckets = buckets_within(range, "P1D".parse().unwrap(), &TimeZone::UTC, 1000).unwrap();
    for point in series(runs, &buckets, range, now, Fill::None).points {
        let row = rows.next().ok_or_else(|| TestCaseError::fail(format!("no row for {point:?}")))?;
        prop_assert_eq!(row["space_type"].as_i64(), Some(runs[0].space_type.into()));
        prop_assert_eq!(&row["day"], &Value::from(TimeZone::UTC.to_datetime(point.start).date().to_string()));
        prop_assert_eq!(instant(&row["start"]), point.start);
        prop_assert_eq!(row["complete"].as_bool().unwrap_or(row["complete"] == 1), point.complete);
        compare_cell(&row["coverage"], Some(point.coverage), row)?;
        for (of, measure) in [("allocated_gb", point.allocated), ("total_gb", point.total), ("utilization", point.utilization)] {
            compare_cell(&row[&format!("{of}_average")], measure.map(|m| m.average), row)?;
            compare_cell(&row[&format!("{of}_min")], measure.map(|m| m.min), row)?;
            compare_cell(&row[&format!("{of}_max")], measure.map(|m| m.max), row)?;
        }
    }
    Ok(())
}

async fn compare_runs(home: &Home, name: &str, runs: &[Run]) -> Result<(), TestCaseError> {
    let query = format!("select * from usage_runs where tenant = '{name}' order by space_type, first_observed_at");
    let rows = sql::rows(&home.url, &query).await;
    prop_assert_eq!(rows.len(), runs.len());
    for (place, (row, run)) in rows.iter().zip(runs).enumerate() {
        let next = runs.get(place + 1).filter(|next| next.space_type == run.space_type).map(|next| next.first_at);
        prop_assert_eq!(row["space_type"].as_i64(), Some(run.space_type.into()));
        prop_assert_eq!(instant(&row["first_observed_at"]), run.first_at);
        prop_assert_eq!(instant(&row["last_observed_at"]), run.last_at);
        prop_assert_eq!(instant(&row["holds_until"]), run.holds_until(next));
        prop_assert_eq!(row["ended_at"].as_str().map(|text| text.parse().unwrap()), run.ended_at);
        let numbers = ["interval_s", "observations", "allocated_gb", "total_gb"].map(|column| row[column].as_i64().unwrap());
        prop_assert_eq!(numbers, [i64::from(run.interval_s), run.samples, run.allocated_gb, run.total_gb]);
        compare_cell(&row["utilization"], ratio(run.allocated_gb, run.total_gb), row)?;
    }
    Ok(())
}

async fn compare_latest(home: &Home, store: &SharedStore, name: &str) -> Result<(), TestCaseError> {
    let query = format!("select * from usage_latest where tenant = '{name}' order by space_type");
    let rows = sql::rows(&home.url, &query).await;
    let latest = store.latest(&[id(name)]).await.unwrap().pop().map(|(_, answer)| answer);
    let values = latest.iter().flat_map(SpaceAllocation::by_type).collect::<Vec<_>>();
    prop_assert_eq!(rows.len(), values.len());
    for (row, value) in rows.iter().zip(values) {
        prop_assert_eq!(Some(instant(&row["observed_at"])), latest.as_ref().map(SpaceAllocation::observed_at));
        let numbers = ["space_type", "allocated_gb", "total_gb"].map(|column| row[column].as_i64().unwrap());
        prop_assert_eq!(numbers, [i64::from(value.space_type), value.allocated_gb, value.total_gb]);
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "as the API")]
fn ratio(allocated_gb: i64, total_gb: i64) -> Option<f64> {
    (total_gb != 0).then(|| allocated_gb as f64 / total_gb as f64)
}

fn instant(cell: &Value) -> Timestamp {
    cell.as_str().unwrap().parse().unwrap()
}

/// Equal but for the last bits, which depend on the order of adding up.
fn compare_cell(cell: &Value, expected: Option<f64>, row: &Row) -> Result<(), TestCaseError> {
    let equal = match (cell.as_f64(), expected) {
        (Some(cell), Some(expected)) => (cell - expected).abs() <= expected.abs() * 1e-14,
        (None, None) => cell.is_null(),
        _ => false,
    };
    prop_assert!(equal, "{cell} for {expected:?} in {row:?}");
    Ok(())
}

contract!(
    values_near_the_greatest_do_not_overflow,
    a_condition_on_tenant_and_day_is_one_on_the_primary_key,
    every_documented_query_runs
);

async fn values_near_the_greatest_do_not_overflow(home: Home) {
    let store = home.open_with(&["a"]).await;
    store.record(&[seen("a", 0, &[(0, i64::MAX - 1, i64::MAX)]), seen("a", 300, &[(0, i64::MAX, i64::MAX)])]).await.unwrap();
    let row = &sql::rows(&home.url, "select * from usage_daily where coverage > 0").await[0];
    assert!((row["allocated_gb_average"].as_f64().unwrap() / 2_f64.powi(63) - 1.0).abs() < 1e-14, "{row:?}");
}

async fn a_condition_on_tenant_and_day_is_one_on_the_primary_key(home: Home) {
    home.open_with(&["a"]).await;
    let explain = if home.url.starts_with("sqlite:") { "explain query plan" } else { "set enable_seqscan = off; explain" };
    for query in [
        "select * from usage_daily where tenant = 'a' and day between '2026-03-01' and '2026-03-31'",
        "select * from usage_runs where tenant = 'a' and space_type = 0 and first_observed_at >= '2026-03-01'",
        "select * from usage_latest where tenant = 'a'",
    ] {
        let plan = sql::plan(&home.url, &format!("{explain} {query}")).await;
        let scans_of_runs = plan.lines().filter(|line| line.contains("space_runs") || line.contains("SEARCH r ")).count();
        assert!(scans_of_runs > 0 && !plan.contains("Seq Scan on space_runs") && !plan.contains("SCAN r"), "{plan}");
        if home.url.starts_with("sqlite:") {
            assert!(plan.contains("sqlite_autoindex_tenants_1 (tenant_id=?)"), "{plan}");
        } else {
            assert!(plan.contains("tenant_id = 'a'"), "{plan}");
            let is_pushed = |line: &str| line.contains("first_at") && line.contains(">= '2026-03-01");
            assert!(plan.lines().any(is_pushed) || query.contains("usage_latest"), "{plan}");
        }
    }
}

/// The documented queries with what their code blocks are marked with.
fn documented() -> impl Iterator<Item = (&'static str, &'static str)> {
    let blocks = include_str!("../../../docs/SQL.md").split("```sql").skip(1);
    let of_block = |block: &'static str| block.split_once("```").unwrap().0.split_once('\n').unwrap();
    blocks.map(of_block).map(|(mark, query)| (mark.trim(), query))
}

async fn every_documented_query_runs(home: Home) {
    let store = home.open().await;
    // Two months up to now, with some days without observations before the last one.
    let half_days = (0..124_i64).filter(|place| !(40..50).contains(place));
    let sample = |place: i64| {
        let allocation = answer((place - 123) * 43_200, &[(0, 200 + place, 1000), (1, 5, 10)]);
        Sample { allocation, interval_s: 20_000 }
    };
    let samples: Vec<_> = half_days.map(sample).collect();
    let now = now_of(&home).await.as_second() - at(0).as_second();
    for tenant in ["acme", "northwind", "evergreen"] {
        record(&store, tenant, &samples, now).await;
    }
    let dialect = if home.url.starts_with("sqlite:") { &["", "sqlite"][..] } else { &["", "postgres", "grafana"] };
    let queries = documented().filter(|(mark, _)| dialect.contains(mark)).collect::<Vec<_>>();
    assert!(queries.len() >= 8);
    for (_, query) in queries {
        let within = |column: &str| format!("{column} BETWEEN now() - interval '30 days' AND now()");
        let of_grafana = |query: String, column: &str| query.replace(&format!("$__timeFilter({column})"), &within(column));
        let query = ["start", "first_observed_at"].into_iter().fold(query.to_owned(), of_grafana);
        assert!(!sql::rows(&home.url, &query).await.is_empty(), "{query}");
    }
}
