//! The status of the collection.

use quotagraph::store::{CollectionError, CollectionStatus, SharedStore};

use super::{Home, at, collected, failed, id, seen};

contract![
    a_tenant_starts_without_attempts,
    failures_count_until_a_success,
    a_late_observation_does_not_move_the_status_back,
    the_same_failure_twice_counts_once,
    unknown_tenants_have_no_status,
];

async fn status(store: &SharedStore) -> CollectionStatus {
    let mut found = store.collection_status(&[id("acme")]).await.unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0).1
}

fn error(code: &str, seconds: i64) -> (CollectionError, jiff::Timestamp) {
    (CollectionError { code: code.into(), message: format!("{code} it was") }, at(seconds))
}

async fn a_tenant_starts_without_attempts(home: Home) {
    let store = home.open_with(&["acme"]).await;
    assert_eq!(status(&store).await, CollectionStatus { next_attempt_at: Some(at(0)), ..CollectionStatus::default() });
}

async fn failures_count_until_a_success(home: Home) {
    let store = home.open_with(&["acme"]).await;
    store.record(&[collected(seen("acme", 0, &[(0, 5, 1000)]), 300)]).await.unwrap();
    store.record(&[collected(failed("acme", 300, "TIMEOUT"), 600)]).await.unwrap();
    store.record(&[collected(failed("acme", 600, "OVERLOADED"), 900)]).await.unwrap();
    let failing = CollectionStatus {
        last_attempt_at: Some(at(600)),
        last_success_at: Some(at(0)),
        next_attempt_at: Some(at(900)),
        consecutive_failures: 2,
        last_error: Some(error("OVERLOADED", 600)),
    };
    assert_eq!(status(&store).await, failing);
    store.record(&[collected(seen("acme", 900, &[(0, 5, 1000)]), 1200)]).await.unwrap();
    let good = CollectionStatus {
        last_attempt_at: Some(at(900)),
        last_success_at: Some(at(900)),
        next_attempt_at: Some(at(1200)),
        consecutive_failures: 0,
        ..failing
    };
    assert_eq!(status(&store).await, good);
}

async fn a_late_observation_does_not_move_the_status_back(home: Home) {
    let store = home.open_with(&["acme"]).await;
    store.record(&[collected(failed("acme", 600, "TIMEOUT"), 900)]).await.unwrap();
    store.record(&[collected(seen("acme", 300, &[(0, 5, 1000)]), 400), failed("acme", 0, "OVERLOADED")]).await.unwrap();
    let expected = CollectionStatus {
        last_attempt_at: Some(at(600)),
        last_success_at: Some(at(300)),
        next_attempt_at: Some(at(900)),
        consecutive_failures: 1,
        last_error: Some(error("TIMEOUT", 600)),
    };
    assert_eq!(status(&store).await, expected);
}

async fn the_same_failure_twice_counts_once(home: Home) {
    let store = home.open_with(&["acme"]).await;
    let attempt = failed("acme", 0, "TIMEOUT");
    store.record(&[attempt.clone(), attempt.clone()]).await.unwrap();
    store.record(&[attempt]).await.unwrap();
    assert_eq!(status(&store).await.consecutive_failures, 1);
}

async fn unknown_tenants_have_no_status(home: Home) {
    let store = home.open_with(&["acme"]).await;
    let found = store.collection_status(&[id("nobody"), id("acme")]).await.unwrap();
    assert_eq!(found.into_iter().map(|(tenant, _)| tenant).collect::<Vec<_>>(), [id("acme")]);
}
