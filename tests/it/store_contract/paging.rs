//! Paging through a tenant's snapshots.

use quotagraph::quota::Run;
use quotagraph::store::{SharedStore, SnapshotKey, SnapshotQuery};

use super::{Home, at, id, run};

contract![
    pages_forwards_and_backwards_meet_every_run_once,
    a_page_lies_between_its_cursors,
    a_page_keeps_to_its_range_by_the_samples,
    a_page_of_one_type_has_only_that_type,
    an_unknown_tenant_has_no_page,
];

/// Runs in the order of the pages: two types that start together twice, and one more of each.
fn all() -> Vec<Run> {
    vec![
        run(0, 0, 300, 2, 1),
        run(1, 0, 600, 3, 2),
        run(0, 600, 900, 2, 3),
        run(1, 900, 900, 1, 4),
        run(0, 1200, 1500, 2, 5),
        run(1, 1200, 2100, 4, 6),
    ]
}

async fn open(home: &Home) -> SharedStore {
    let store = home.open_with(&["acme"]).await;
    store.insert_runs(&id("acme"), &all()).await.unwrap();
    store
}

fn key(run: &Run) -> SnapshotKey {
    SnapshotKey { first_at: run.first_at, space_type: run.space_type }
}

async fn page(store: &SharedStore, query: &SnapshotQuery) -> (Vec<Run>, bool) {
    // Asked together with another tenant's, which must not get in the way.
    let pages = store.snapshots(&[id("nobody"), id("acme")], query).await.unwrap();
    pages.into_iter().find(|(tenant, _)| *tenant == id("acme")).map(|(_, page)| (page.runs, page.more)).unwrap_or_default()
}

async fn pages_forwards_and_backwards_meet_every_run_once(home: Home) {
    let store = open(&home).await;
    for limit in 1..8 {
        let (mut met, mut after) = (Vec::new(), None);
        loop {
            let (runs, more) = page(&store, &SnapshotQuery { after, limit, ..SnapshotQuery::default() }).await;
            after = runs.last().map(key);
            met.extend(runs);
            if !more {
                break;
            }
        }
        assert_eq!(met, all(), "forwards by {limit}");

        let (mut met, mut before) = (Vec::new(), None);
        loop {
            let query = SnapshotQuery { before, limit, backwards: true, ..SnapshotQuery::default() };
            let (runs, more) = page(&store, &query).await;
            before = runs.first().map(key);
            met.splice(0..0, runs);
            if !more {
                break;
            }
        }
        assert_eq!(met, all(), "backwards by {limit}");
    }
}

async fn a_page_lies_between_its_cursors(home: Home) {
    let (store, all) = (open(&home).await, all());
    let between = SnapshotQuery { after: Some(key(&all[0])), before: Some(key(&all[5])), limit: 3, ..SnapshotQuery::default() };
    assert_eq!(page(&store, &between).await, (all[1..4].to_vec(), true));
    assert_eq!(page(&store, &SnapshotQuery { backwards: true, ..between.clone() }).await, (all[2..5].to_vec(), true));
    assert_eq!(page(&store, &SnapshotQuery { limit: 4, ..between }).await, (all[1..5].to_vec(), false));
}

async fn a_page_keeps_to_its_range_by_the_samples(home: Home) {
    let (store, all) = (open(&home).await, all());
    for (from, to, expected) in
        [(600, 1200, &all[1..4]), (601, 1200, &all[2..4]), (0, 1, &all[..2]), (2100, 9999, &all[5..]), (2101, 9999, &[])]
    {
        let query = SnapshotQuery { from: Some(at(from)), to: Some(at(to)), limit: 10, ..SnapshotQuery::default() };
        assert_eq!(page(&store, &query).await, (expected.to_vec(), false), "{from} to {to}");
        assert_eq!(page(&store, &SnapshotQuery { backwards: true, ..query }).await, (expected.to_vec(), false));
    }
}

async fn a_page_of_one_type_has_only_that_type(home: Home) {
    let (store, all) = (open(&home).await, all());
    let query = SnapshotQuery { space_type: Some(1), limit: 2, ..SnapshotQuery::default() };
    assert_eq!(page(&store, &query).await, (vec![all[1].clone(), all[3].clone()], true));
    assert_eq!(page(&store, &SnapshotQuery { space_type: Some(9), ..query }).await, (vec![], false));
}

async fn an_unknown_tenant_has_no_page(home: Home) {
    let store = open(&home).await;
    let query = SnapshotQuery { limit: 2, ..SnapshotQuery::default() };
    assert_eq!(store.snapshots(&[id("nobody")], &query).await.unwrap(), vec![]);
}
