//! The log of changes that sums over tenants are computed from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use quotagraph::quota::TimeRange;
use quotagraph::quota::fleet::{Change, DayChanges, Step, steps};
use quotagraph::store::{FleetMark, FleetPart, PackWhen, SharedStore};
use tokio::sync::mpsc;

use super::{EVER, Home, at, history, id, run, seen};

contract![
    the_log_says_what_the_runs_say_packed_or_not,
    a_reader_goes_on_where_it_was_as_long_as_nothing_before_has_changed,
    a_range_is_opened_with_what_came_before_it,
    added_runs_are_in_the_log,
    packing_waits_for_enough_changes_or_old_ones,
    the_newest_sample_says_how_far_it_holds,
    what_was_recorded_before_there_was_a_log_is_in_it,
];

/// Packs everything now.
const NOW: PackWhen = PackWhen { at_least: 1, older_than: Timestamp::MIN };
const DAY_S: i64 = 86_400;

/// What reading the log gave.
pub(super) struct Log {
    resumed: bool,
    mark: Option<FleetMark>,
    /// The opening's standings as changes at the beginning of time.
    opening: Vec<Change>,
    pub(super) changes: Vec<Change>,
}

pub(super) async fn read(store: &SharedStore, range: TimeRange, resume: Option<FleetMark>) -> Log {
    let (sender, mut parts) = mpsc::channel(100);
    store.read_fleet(range, resume, &sender).await.unwrap();
    drop(sender);
    let Some(FleetPart::Begin { resumed, mark, opening, recent }) = parts.recv().await else { panic!("no beginning") };
    let opening = opening.standings().map(|(tenant_no, space_type, s)| {
        let step = Step { at: i64::MIN, space_type, allocated_gb: s.allocated_gb, total_gb: s.total_gb, held: s.held };
        Change { tenant_no, step }
    });
    let mut log = Log { resumed, mark, opening: opening.collect(), changes: recent };
    assert!(log.changes.is_sorted_by_key(|change| change.step.at));
    while let Some(part) = parts.recv().await {
        let FleetPart::Day { day, changes } = part else { panic!("two beginnings") };
        log.changes.extend(DayChanges::read(day, &changes).unwrap().to_vec());
    }
    log
}

pub(super) async fn pack(store: &SharedStore) {
    while store.pack_fleet(NOW).await.unwrap() > 0 {}
}

/// What changes add up to, by instant, tenant and type.
pub(super) fn sums(changes: impl IntoIterator<Item = Change>) -> BTreeMap<(i64, u32, i32), (i64, i64, i32)> {
    let mut sums = BTreeMap::<_, (i64, i64, i32)>::new();
    for Change { tenant_no, step } in changes {
        let sum = sums.entry((step.at, tenant_no, step.space_type)).or_default();
        *sum = (sum.0 + step.allocated_gb, sum.1 + step.total_gb, sum.2 + step.held);
    }
    sums.retain(|_, sum| *sum != (0, 0, 0));
    sums
}

/// What the runs of some tenants say.
pub(super) async fn expected(store: &SharedStore, tenants: &[&str]) -> BTreeMap<(i64, u32, i32), (i64, i64, i32)> {
    let mut changes = Vec::new();
    for tenant in store.fleet_tenants().await.unwrap() {
        if tenants.contains(&tenant.id.as_str()) {
            let of_tenant = |step| Change { tenant_no: tenant.tenant_no, step };
            changes.extend(steps(&history(store, tenant.id.as_str()).await).into_iter().map(of_tenant));
        }
    }
    sums(changes)
}

/// Fails when the log says something else than the runs.
pub(super) async fn assert_log_agrees(store: &SharedStore, tenants: &[&str]) {
    assert_eq!(sums(read(store, EVER, None).await.changes), expected(store, tenants).await);
}

async fn the_log_says_what_the_runs_say_packed_or_not(home: Home) {
    let names = ["a", "b", "c"];
    let store = home.open_with(&names).await;
    // A small generator (Lehmer's) instead of many cases: packing is slow to set up and the same for all.
    let mut state = 48_271_u64;
    let mut pick = move |below: u64| {
        state = state * 48_271 % 2_147_483_647;
        i64::try_from(state % below).unwrap()
    };
    for round in 0..60 {
        let batch: Vec<_> = (0..8)
            .map(|_| {
                let mut values = vec![(0, pick(3), 10 + pick(2)), (1, pick(3), 10 + pick(2)), (2, pick(3), 10 + pick(2))];
                values.retain(|_| pick(4) > 0);
                let day = pick(70) * DAY_S;
                seen(names[usize::try_from(pick(3)).unwrap()], day + pick(20) * 300, &values)
            })
            .collect();
        store.record(&batch).await.unwrap();
        if round % 7 == 3 {
            pack(&store).await;
        }
    }
    let expected = expected(&store, &names).await;
    assert_eq!(sums(read(&store, EVER, None).await.changes), expected);
    pack(&store).await;
    let log = read(&store, EVER, None).await;
    assert_eq!(sums(log.changes), expected);
    // Every month opens with what came before it.
    for day in [0, 20, 31, 40, 61, 69] {
        let from = at(day * DAY_S);
        let log = read(&store, TimeRange { from, to: at(100 * DAY_S) }, None).await;
        let total = |changes: Vec<Change>| {
            let changes = changes.into_iter().map(|change| Change { step: Step { at: 0, ..change.step }, ..change });
            sums(changes).into_iter().map(|((_, no, space_type), sum)| ((no, space_type), sum)).collect::<BTreeMap<_, _>>()
        };
        let all = expected.iter().map(|((at, tenant_no, space_type), (allocated_gb, total_gb, held))| Change {
            tenant_no: *tenant_no,
            step: Step { at: *at, space_type: *space_type, allocated_gb: *allocated_gb, total_gb: *total_gb, held: *held },
        });
        assert_eq!(total([log.opening, log.changes].concat()), total(all.collect()), "from day {day}");
    }
}

async fn a_reader_goes_on_where_it_was_as_long_as_nothing_before_has_changed(home: Home) {
    let store = home.open_with(&["a"]).await;
    let value = |day: i64, value: i64| seen("a", day * DAY_S, &[(0, value, 1000)]);
    store.record(&[value(0, 1), value(1, 2), value(2, 3)]).await.unwrap();
    assert_eq!(read(&store, EVER, None).await.mark, None, "nothing is packed");
    pack(&store).await;
    let first = read(&store, EVER, None).await;
    let mark = first.mark.unwrap();
    assert!(!first.resumed);

    store.record(&[value(3, 4)]).await.unwrap();
    let second = read(&store, EVER, Some(mark)).await;
    assert!(second.resumed);
    let all = read(&store, EVER, None).await.changes;
    let since_mark = all.into_iter().filter(|change| change.step.at >= mark.day * DAY_S * 1000);
    assert_eq!(sums(second.changes), sums(since_mark));

    pack(&store).await;
    assert!(read(&store, EVER, Some(mark)).await.resumed, "what was packed since is later");
    store.record(&[seen("a", DAY_S + 7200, &[(0, 9, 1000)])]).await.unwrap();
    assert!(!read(&store, EVER, Some(mark)).await.resumed, "a late sample");
    pack(&store).await;
    assert!(!read(&store, EVER, Some(mark)).await.resumed, "a late sample that is packed");
}

async fn a_range_is_opened_with_what_came_before_it(home: Home) {
    let store = home.open_with(&["a"]).await;
    store.record(&[seen("a", 0, &[(0, 5, 1000)]), seen("a", 40 * DAY_S, &[(0, 7, 1000)])]).await.unwrap();
    pack(&store).await;
    let log = read(&store, TimeRange { from: at(35 * DAY_S), to: at(36 * DAY_S) }, None).await;
    assert_eq!(log.opening.iter().map(|c| (c.step.allocated_gb, c.step.held)).collect::<Vec<_>>(), [(5, 0)]);
    assert_eq!(log.changes, []);
}

async fn added_runs_are_in_the_log(home: Home) {
    let store = home.open_with(&["a"]).await;
    store.record(&[seen("a", 6000, &[(0, 5, 1000)])]).await.unwrap();
    let runs = [run(0, 0, 600, 3, 4), run(0, 900, 1200, 2, 5), run(1, 0, 1200, 5, 6), run(0, 7000, 7300, 2, 8)];
    store.insert_runs(&id("a"), &runs).await.unwrap();
    assert_eq!(sums(read(&store, EVER, None).await.changes), expected(&store, &["a"]).await);
    let holds_until = store.fleet_tenants().await.unwrap()[0].holds_until;
    assert_eq!(holds_until, Some(at(7300 + 750)));
}

async fn packing_waits_for_enough_changes_or_old_ones(home: Home) {
    let store = home.open_with(&["a"]).await;
    assert_eq!(store.pack_fleet(NOW).await.unwrap(), 0, "there is nothing");
    store.record(&[seen("a", 0, &[(0, 5, 1000)]), seen("a", 300, &[(0, 6, 1000)])]).await.unwrap();
    assert_eq!(store.pack_fleet(PackWhen { at_least: 3, older_than: at(0) }).await.unwrap(), 0);
    assert_eq!(store.pack_fleet(PackWhen { at_least: 3, older_than: at(1) }).await.unwrap(), 2);
    store.record(&[seen("a", 600, &[(0, 7, 1000)])]).await.unwrap();
    assert_eq!(store.pack_fleet(PackWhen { at_least: 1, older_than: at(0) }).await.unwrap(), 1);
}

async fn the_newest_sample_says_how_far_it_holds(home: Home) {
    let store = home.open_with(&["a", "b"]).await;
    let holds_until = async |name: &str| {
        let tenants = store.fleet_tenants().await.unwrap();
        tenants.into_iter().find(|tenant| tenant.id.as_str() == name).unwrap().holds_until
    };
    assert_eq!(holds_until("a").await, None);
    store.record(&[seen("a", 0, &[(0, 5, 1000)]), seen("a", 300, &[(0, 5, 1000)])]).await.unwrap();
    assert_eq!(holds_until("a").await, Some(at(1050)));
    store.record(&[seen("a", 150, &[(0, 5, 1000)])]).await.unwrap();
    assert_eq!(holds_until("a").await, Some(at(1050)), "a late sample");
    assert_eq!(holds_until("b").await, None);
}

async fn what_was_recorded_before_there_was_a_log_is_in_it(home: Home) {
    let store = home.open_with(&["a", "b"]).await;
    store
        .record(&[
            seen("a", 0, &[(0, 5, 1000), (1, 3, 1000)]),
            seen("a", 300, &[(0, 6, 1000)]),
            seen("a", 6000, &[(0, 6, 1000), (1, 4, 1000)]),
            seen("b", 100, &[(0, 1, 1000)]),
        ])
        .await
        .unwrap();
    let (expected, holds_until) = (expected(&store, &["a", "b"]).await, store.fleet_tenants().await.unwrap());
    store.close().await;
    // As a version without the log left it.
    home.execute(
        "drop view usage_daily; drop view usage_latest; drop view usage_runs; drop view usage_tenants; drop view if exists visible_tenants; \
         drop table if exists analyst_tenants; drop table import_runs; drop table imports; drop table fleet_changes; \
         drop table fleet_days; drop table fleet_openings; alter table tenants drop column last_observed_at; \
         alter table tenants drop column holds_until; alter table tenants drop column thinned_until; \
         delete from quotagraph_migrations where name >= '0004_fleet_log'",
    )
    .await;
    let store = home.open().await;
    assert_eq!(sums(read(&store, EVER, None).await.changes), expected);
    assert_eq!(store.fleet_tenants().await.unwrap(), holds_until);
}
