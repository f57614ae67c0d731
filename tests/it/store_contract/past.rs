//! The past of tenants read piece by piece, against all of their runs at once.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use quotagraph::past::{Part, Pieces, read_past};
use quotagraph::quota::usage::{Segment, segments};
use quotagraph::quota::{TenantId, TimeRange};
use quotagraph::store::{Answering, SharedStore, StoreError};
use quotagraph::work::Work;
use rand::RngExt as _;

use super::{Home, at, id};
use crate::support::histories::{chance, random_samples, runs_of};

contract![pieces_come_to_what_all_runs_do, reading_ends_when_it_is_too_much, reading_ends_when_nobody_waits];

const ALL: Pieces = Pieces { tenants: 100, runs: 1_000_000 };

async fn read(store: &SharedStore, tenants: &[TenantId], part: Part, pieces: Pieces) -> Vec<(TenantId, Vec<Segment>)> {
    let work = Work::endless(Duration::from_secs(30));
    read_past(store.as_ref(), tenants, part, &work, pieces, <[Segment]>::to_vec).await.unwrap()
}

async fn pieces_come_to_what_all_runs_do(home: Home) {
    let mut chance = chance(7);
    let names = ["a", "b", "c", "never", "d"];
    let store = home.open_with(&names).await;
    let tenants: Vec<TenantId> = names.iter().map(|name| id(name)).collect();
    for (place, tenant) in tenants.iter().enumerate().filter(|(place, _)| *place != 3) {
        let runs = runs_of(&random_samples(&mut chance, at(0), 30 + 70 * place));
        store.insert_runs(tenant, &runs).await.unwrap();
    }
    for _ in 0..6 {
        let mut instants = [0; 3].map(|_| chance.random_range(-100_000..900_000_i64));
        instants.sort_unstable();
        let [from, now, to] = instants.map(at);
        for part in [
            Part { range: TimeRange { from, to: to.max(from + SignedDuration::from_secs(1)) }, space_type: None, now },
            Part { range: TimeRange { from, to: now.max(from + SignedDuration::from_secs(1)) }, space_type: Some(1), now: to },
            Part { range: TimeRange { from: Timestamp::MIN, to: Timestamp::MAX }, space_type: None, now },
        ] {
            let found = store.runs(&tenants, part.range, part.space_type).await.unwrap();
            let within = |known: &[Segment]| -> Vec<Segment> {
                known.iter().filter_map(|s| s.within(TimeRange { from: Timestamp::MIN, to: part.range.to })).collect()
            };
            let mut expected: Vec<_> =
                found.into_iter().map(|(tenant, runs)| (tenant, within(&segments(&runs, part.now)))).collect();
            expected.sort_by(|(a, _), (b, _)| a.cmp(b));
            for pieces in [ALL, Pieces { tenants: 2, runs: 12 }, Pieces { tenants: 3, runs: 40 }] {
                let mut found: Vec<_> =
                    read(&store, &tenants, part, pieces).await.into_iter().map(|(t, known)| (t, within(&known))).collect();
                found.sort_by(|(a, _), (b, _)| a.cmp(b));
                assert_eq!(found, expected, "{part:?} {pieces:?}");
            }
        }
    }
    store.close().await;
}

async fn reading_ends_when_it_is_too_much(home: Home) {
    let store = home.open_with(&["a", "b"]).await;
    let runs = runs_of(&random_samples(&mut chance(3), at(0), 400));
    store.insert_runs(&id("a"), &runs).await.unwrap();
    store.insert_runs(&id("b"), &runs).await.unwrap();
    let part = Part { range: TimeRange { from: at(0), to: Timestamp::MAX }, space_type: None, now: Timestamp::MAX };
    for pieces in [Pieces { tenants: 1, runs: 1000 }, Pieces { tenants: 2, runs: 20 }] {
        let work = Work::new(runs.len() + runs.len() / 2, Arc::new(Answering::new(Duration::from_secs(30))));
        let mut tenants = Vec::new();
        let read = read_past(store.as_ref(), &[id("a"), id("b")], part, &work, pieces, |known| tenants.push(known.len())).await;
        assert!(matches!(read, Err(StoreError::GivenUp)) && work.is_exceeded());
        assert!(tenants.len() <= 1, "the second one is not made any more");
    }
    store.close().await;
}

async fn reading_ends_when_nobody_waits(home: Home) {
    let store = home.open_with(&["a", "b"]).await;
    let runs = runs_of(&random_samples(&mut chance(3), at(0), 40));
    store.insert_runs(&id("a"), &runs).await.unwrap();
    store.insert_runs(&id("b"), &runs).await.unwrap();
    let part = Part { range: TimeRange { from: at(0), to: Timestamp::MAX }, space_type: None, now: Timestamp::MAX };
    let work = Work::endless(Duration::from_secs(30));
    let mut seen = 0;
    let gone_after_one = |_: &[Segment]| {
        seen += 1;
        work.give_up();
    };
    let pieces = Pieces { tenants: 1, ..Pieces::default() };
    let read = read_past(store.as_ref(), &[id("a"), id("b")], part, &work, pieces, gone_after_one).await;
    assert!(matches!(read, Err(StoreError::GivenUp)) && !work.is_exceeded());
    assert_eq!(seen, 1);
    store.close().await;
}
