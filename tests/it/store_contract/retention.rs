//! Thinning and forgetting of old history.

use jiff::tz::TimeZone;
use quotagraph::quota::calendar::buckets_within;
use quotagraph::quota::retention::Grain;
use quotagraph::quota::usage::{Fill, UsagePoint, series};
use quotagraph::quota::{Run, TimeRange};
use quotagraph::store::{ImportStep, Observation, Retention, SharedStore};

use super::fleet::{expected, pack, read, sums};
use super::{EVER, Home, at, history, id, run, seen, tenant};

contract![
    thinned_days_keep_their_averages_and_the_log_agrees,
    forgotten_history_keeps_what_is_known_at_the_cutoff_and_the_log_agrees,
    nothing_is_due_without_limits_or_without_old_history,
    tenants_that_are_no_longer_collected_are_thinned_too,
    samples_that_are_recorded_meanwhile_are_kept,
    imports_whose_history_was_made_less_are_known,
];

const DAY_S: i64 = 86_400;

/// Forty days of six samples an hour now and then, of two types of which one comes and goes.
fn samples(tenant: &str) -> Vec<Observation> {
    let busy = (0..40 * 24).filter(|hour| hour % 7 < 4);
    let of_hour = |hour: i64| (0..6).map(move |place| (hour, hour * 3600 + place * 290));
    let values = |(hour, seconds): (i64, i64)| {
        let mut values = vec![(0, 100 + seconds * 7 % 31, 1000 + hour / 200 * 50)];
        if hour % 3 > 0 {
            values.push((1, seconds % 5, 10));
        }
        (seconds, values)
    };
    busy.flat_map(of_hour).map(values).map(|(seconds, values)| seen(tenant, seconds, &values)).collect()
}

fn thinning(before_s: i64, grain: Grain) -> Retention {
    Retention { keep_from: None, thin_before: Some((at(before_s), grain)) }
}

async fn retain_all(store: &SharedStore, retention: &Retention) -> usize {
    let mut fewer = 0;
    loop {
        let due = store.retention_due(retention, 10).await.unwrap();
        if due.is_empty() {
            return fewer;
        }
        for tenant in due {
            fewer += store.retain(&tenant, retention).await.unwrap().unwrap();
        }
    }
}

fn points(runs: &[Run], interval: &str, from_s: i64) -> Vec<UsagePoint> {
    let range = TimeRange { from: at(from_s), to: at(45 * DAY_S) };
    let buckets = buckets_within(range, interval.parse().unwrap(), &TimeZone::UTC, 5000).unwrap();
    series(runs, &buckets, range, at(50 * DAY_S), Fill::Last).points
}

fn assert_same_averages(before: &[Run], after: &[Run], interval: &str) {
    for (before, after) in points(before, interval, 0).iter().zip(points(after, interval, 0)) {
        assert_eq!((before.coverage.to_bits(), before.total), (after.coverage.to_bits(), after.total));
        assert_eq!(before.allocated.map(|m| m.average), after.allocated.map(|m| m.average));
        let averages = before.utilization.zip(after.utilization).map(|(before, after)| (before.average - after.average).abs());
        assert!(averages.is_none_or(|difference| difference < 1e-12));
    }
}

async fn assert_log_agrees(store: &SharedStore, tenants: &[&str]) {
    assert_eq!(sums(read(store, EVER, None).await.changes), expected(store, tenants).await);
    pack(store).await;
    let log = read(store, EVER, None).await;
    assert_eq!(sums(log.changes.iter().copied()), expected(store, tenants).await);
    assert_eq!(sums(log.changes.iter().copied()).len(), log.changes.len(), "what cancels out is gone");
}

async fn thinned_days_keep_their_averages_and_the_log_agrees(home: Home) {
    for (grain, interval) in [(Grain::Hour, "PT1H"), (Grain::Day, "P1D")] {
        let name = if grain == Grain::Hour { "hours" } else { "days" };
        let store = home.open().await;
        store.register_tenants(&[tenant(name)], at(0)).await.unwrap();
        store.record(&samples(name)).await.unwrap();
        pack(&store).await;
        let before = history(&store, name).await;
        let latest = store.latest(&[id(name)]).await.unwrap();
        let fewer = retain_all(&store, &thinning(36 * DAY_S + 5000, grain)).await;
        let after = history(&store, name).await;
        assert_eq!(fewer, before.len() - after.len());
        assert!(after.len() * 10 < before.len() * 7, "{} {}", before.len(), after.len());
        assert_same_averages(&before, &after, interval);
        let recent = |runs: &[Run]| runs.iter().filter(|run| run.first_at >= at(36 * DAY_S)).cloned().collect::<Vec<_>>();
        assert_eq!(recent(&before), recent(&after));
        assert_eq!(store.latest(&[id(name)]).await.unwrap(), latest);
        assert_eq!(retain_all(&store, &thinning(36 * DAY_S + 6000, grain)).await, 0);
        assert_eq!(history(&store, name).await, after);
    }
    assert_log_agrees(&home.open().await, &["hours", "days"]).await;
}

async fn forgotten_history_keeps_what_is_known_at_the_cutoff_and_the_log_agrees(home: Home) {
    let store = home.open_with(&["a"]).await;
    store.record(&samples("a")).await.unwrap();
    pack(&store).await;
    let before = history(&store, "a").await;
    let cutoff = 30 * DAY_S + 1800;
    let retention = Retention { keep_from: Some(at(cutoff)), thin_before: None };
    let fewer = retain_all(&store, &retention).await;
    let after = history(&store, "a").await;
    assert_eq!(fewer, before.len() - after.len());
    let is_old = |run: &&Run| run.first_at <= at(cutoff);
    assert_eq!((before.iter().filter(is_old).count() > 1000, after.iter().filter(is_old).count()), (true, 2));
    assert_eq!(points(&before, "PT1H", cutoff + 1800), points(&after, "PT1H", cutoff + 1800));
    assert_eq!(retain_all(&store, &retention).await, 0);
    assert_log_agrees(&store, &["a"]).await;
    // Far in the future, the newest of each type is left.
    retain_all(&store, &Retention { keep_from: Some(at(1000 * DAY_S)), thin_before: Some((at(900 * DAY_S), Grain::Day)) }).await;
    assert_eq!(history(&store, "a").await.len(), 2);
    assert_log_agrees(&store, &["a"]).await;
}

async fn nothing_is_due_without_limits_or_without_old_history(home: Home) {
    let store = home.open_with(&["a", "b"]).await;
    store.record(&[seen("a", 0, &[(0, 1, 2)]), seen("a", 300, &[(0, 2, 2)])]).await.unwrap();
    let none = Retention { keep_from: None, thin_before: None };
    assert_eq!(store.retention_due(&none, 10).await.unwrap(), []);
    let both = Retention { keep_from: Some(at(-10 * DAY_S)), thin_before: Some((at(0), Grain::Hour)) };
    assert_eq!(retain_all(&store, &both).await, 0);
    assert_eq!(store.retention_due(&both, 10).await.unwrap(), []);
    assert_eq!(store.retain(&id("nobody"), &both).await.unwrap(), Some(0));
    assert_eq!(history(&store, "a").await.len(), 2);
}

async fn tenants_that_are_no_longer_collected_are_thinned_too(home: Home) {
    let store = home.open_with(&["a"]).await;
    store.record(&samples("a")).await.unwrap();
    store.register_tenants(&[], at(0)).await.unwrap();
    assert!(retain_all(&store, &thinning(40 * DAY_S, Grain::Day)).await > 0);
}

async fn samples_that_are_recorded_meanwhile_are_kept(home: Home) {
    let store = home.open_with(&["a", "b"]).await;
    store.record(&samples("a")).await.unwrap();
    let before = history(&store, "a").await;
    let retention = Retention { keep_from: Some(at(5 * DAY_S)), thin_before: Some((at(20 * DAY_S), Grain::Hour)) };
    let recording = async {
        for place in 0..60 {
            let values = [(0, place % 3, 10)];
            let both = [seen("a", 41 * DAY_S + place * 300, &values), seen("b", place * 300, &values)];
            store.record(&both).await.unwrap();
        }
    };
    let (fewer, ()) = tokio::join!(retain_all(&store, &retention), recording);
    retain_all(&store, &retention).await;
    assert!(fewer > 0);
    let after = history(&store, "a").await;
    let middle =
        |runs: &[Run]| points(runs, "PT1H", 6 * DAY_S).into_iter().filter(|point| point.start < at(40 * DAY_S)).collect::<Vec<_>>();
    for (before, after) in middle(&before).iter().zip(middle(&after)) {
        assert_eq!(before.coverage.to_bits(), after.coverage.to_bits());
        assert_eq!(before.allocated.map(|m| m.average), after.allocated.map(|m| m.average));
    }
    assert_eq!(after.iter().filter(|run| run.first_at >= at(41 * DAY_S)).count(), 60);
    assert_log_agrees(&store, &["a", "b"]).await;
}

async fn imports_whose_history_was_made_less_are_known(home: Home) {
    let store = home.open_with(&["a", "b"]).await;
    store.record(&samples("a")).await.unwrap();
    store.record(&samples("b")).await.unwrap();
    // A value of each of two days, and one of a day that is thinned already.
    let import = async |tenant: &str, day: i64| {
        let before = history(&store, tenant).await;
        // On an hour's last tenth nothing is recorded, and it is within a gap of nobody.
        let imported = run(7, day * DAY_S + 3500, day * DAY_S + 3500, 1, 5);
        let number = store.begin_import("file", at(0)).await.unwrap();
        let step = ImportStep::Apply(number);
        let revise = |found: &[Run]| Some([found, std::slice::from_ref(&imported)].concat());
        assert!(store.revise_runs(&id(tenant), (imported.first_at, imported.last_at), step, &revise).await.unwrap());
        assert_eq!(history(&store, tenant).await.len(), before.len() + 1);
        number
    };
    let reduced = async |number: i64, tenant: &str| store.imported_runs(number, &id(tenant)).await.unwrap().are_reduced;
    let (early, late, of_other) = (import("a", 2).await, import("a", 30).await, import("b", 30).await);
    retain_all(&store, &thinning(10 * DAY_S, Grain::Hour)).await;
    assert_eq!((reduced(early, "a").await, reduced(late, "a").await, reduced(of_other, "b").await), (true, false, false));
    let after_thinning = import("a", 3).await;
    retain_all(&store, &thinning(20 * DAY_S, Grain::Hour)).await;
    assert!(!reduced(after_thinning, "a").await, "what is imported later stays as it is");
    let forgetting = Retention { keep_from: Some(at(4 * DAY_S)), thin_before: None };
    retain_all(&store, &forgetting).await;
    assert_eq!((reduced(after_thinning, "a").await, reduced(late, "a").await), (true, false));
}
