//! Registering tenants and claiming those that are due.

use std::collections::BTreeSet;

use quotagraph::quota::{Label, Tenant};
use quotagraph::store::{Claim, DueTenant, SharedStore};

use super::{Home, at, collected, failed, history, id, run, seen, tenant};

contract![
    new_tenants_are_due_at_once_in_the_order_given,
    registering_again_keeps_schedule_and_order,
    a_tenant_that_is_no_longer_given_keeps_its_history_only,
    a_tenant_that_returns_is_due_at_once,
    ten_thousand_tenants_are_registered_at_once,
    a_claimed_tenant_is_not_claimed_again,
    a_claim_ends_with_its_observation,
    a_claim_that_expires_is_taken_over,
    an_answer_that_a_reader_caused_leaves_schedule_and_claim,
    failing_tenants_are_claimed_apart,
    the_longest_overdue_come_first,
    those_that_have_answered_are_claimed_apart_from_new_ones,
    of_the_failing_ones_those_come_first_that_may_well_answer_again,
    concurrent_claimers_never_share_a_tenant,
];

/// Claims at an instant until a minute later.
async fn claim(store: &SharedStore, seconds: i64, limit: u32) -> Vec<String> {
    ids(&store.claim_due(Claim::Healthy, at(seconds), at(seconds + 60), limit).await.unwrap())
}

fn ids(due: &[DueTenant]) -> Vec<String> {
    due.iter().map(|tenant| tenant.id.to_string()).collect()
}

async fn new_tenants_are_due_at_once_in_the_order_given(home: Home) {
    let store = home.open_with(&["c", "a", "b"]).await;
    assert_eq!(store.earliest_due().await.unwrap(), Some(at(0)));
    assert_eq!(claim(&store, -1, 10).await, [] as [&str; 0]);
    let due = store.claim_due(Claim::Healthy, at(0), at(60), 10).await.unwrap();
    assert_eq!(ids(&due), ["c", "a", "b"]);
    assert!(due.is_sorted_by_key(|tenant| tenant.ordinal));
    assert!(due.iter().all(|tenant| tenant.due_at == at(0) && tenant.consecutive_failures == 0));
}

async fn registering_again_keeps_schedule_and_order(home: Home) {
    let store = home.open_with(&["a", "b"]).await;
    let before = store.claim_due(Claim::Healthy, at(0), at(60), 10).await.unwrap();
    store.record(&[collected(seen("a", 0, &[]), 300), collected(seen("b", 0, &[]), 400)]).await.unwrap();
    let labels = vec![Label { key: "region".into(), value: "north \"1\"".into() }];
    let renamed = Tenant { name: "Ünïcode's".into(), labels, ..tenant("a") };
    store.register_tenants(&[tenant("c"), renamed, tenant("b")], at(350)).await.unwrap();
    let after = store.claim_due(Claim::Healthy, at(400), at(460), 10).await.unwrap();
    assert_eq!(
        after.iter().map(|t| (t.id.as_str(), t.due_at)).collect::<Vec<_>>(),
        [("a", at(300)), ("c", at(350)), ("b", at(400))]
    );
    assert_eq!((after[0].ordinal, after[2].ordinal), (before[0].ordinal, before[1].ordinal));
    assert!(after[1].ordinal > after[2].ordinal);
}

async fn a_tenant_that_is_no_longer_given_keeps_its_history_only(home: Home) {
    let store = home.open_with(&["a", "b"]).await;
    store.record(&[seen("a", 0, &[(0, 5, 1000)])]).await.unwrap();
    store.register_tenants(&[tenant("b")], at(10)).await.unwrap();
    assert_eq!(claim(&store, 100, 10).await, ["b"]);
    assert_eq!(history(&store, "a").await, [run(0, 0, 0, 1, 5)]);
    let (_, status) = store.collection_status(&[id("a")]).await.unwrap().remove(0);
    assert_eq!((status.last_success_at, status.next_attempt_at), (Some(at(0)), None));
    store.register_tenants(&[], at(20)).await.unwrap();
    assert_eq!(store.earliest_due().await.unwrap(), None);
}

async fn a_tenant_that_returns_is_due_at_once(home: Home) {
    let store = home.open_with(&["a"]).await;
    assert_eq!(claim(&store, 0, 10).await, ["a"]);
    store.register_tenants(&[], at(1)).await.unwrap();
    store.register_tenants(&[tenant("a")], at(2)).await.unwrap();
    assert_eq!(store.earliest_due().await.unwrap(), Some(at(2)));
    assert_eq!(claim(&store, 2, 10).await, ["a"]);
}

async fn ten_thousand_tenants_are_registered_at_once(home: Home) {
    let names = (0..10_000).map(|n| format!("tenant-{n:05}")).collect::<Vec<_>>();
    let names = names.iter().map(String::as_str).collect::<Vec<_>>();
    let store = home.open_with(&names).await;
    let due = store.claim_due(Claim::Healthy, at(0), at(60), 20_000).await.unwrap();
    assert_eq!(ids(&due), names);
    store.register_tenants(&names.iter().map(|name| tenant(name)).collect::<Vec<_>>(), at(1)).await.unwrap();
    store.register_tenants(&[tenant("one-more")], at(1)).await.unwrap();
    let one_more = store.claim_due(Claim::Healthy, at(1), at(60), 20_000).await.unwrap();
    assert_eq!(ids(&one_more), ["one-more"]);
    assert_eq!(one_more[0].ordinal, due[9_999].ordinal + 1, "registering known tenants uses up no ordinals");
}

async fn a_claimed_tenant_is_not_claimed_again(home: Home) {
    let store = home.open_with(&["a", "b", "c"]).await;
    assert_eq!(claim(&store, 0, 2).await.len(), 2);
    assert_eq!(claim(&store, 0, 2).await.len(), 1);
    assert_eq!(claim(&store, 0, 2).await.len(), 0);
    assert_eq!(store.earliest_due().await.unwrap(), Some(at(0)), "claimed but not collected is still due");
}

async fn a_claim_ends_with_its_observation(home: Home) {
    let store = home.open_with(&["a"]).await;
    assert_eq!(claim(&store, 0, 10).await, ["a"]);
    store.record(&[collected(seen("a", 0, &[]), 30)]).await.unwrap();
    assert_eq!(store.earliest_due().await.unwrap(), Some(at(30)));
    assert_eq!(claim(&store, 29, 10).await, [] as [&str; 0]);
    assert_eq!(claim(&store, 30, 10).await, ["a"]);
}

async fn a_claim_that_expires_is_taken_over(home: Home) {
    let store = home.open_with(&["a"]).await;
    assert_eq!(claim(&store, 0, 10).await, ["a"]);
    assert_eq!(claim(&store, 59, 10).await, [] as [&str; 0]);
    assert_eq!(claim(&store, 60, 10).await, ["a"]);
}

async fn an_answer_that_a_reader_caused_leaves_schedule_and_claim(home: Home) {
    let store = home.open_with(&["a"]).await;
    assert_eq!(claim(&store, 0, 10).await, ["a"]);
    store.record(&[seen("a", 1, &[(0, 5, 1000)])]).await.unwrap();
    assert_eq!(claim(&store, 2, 10).await, [] as [&str; 0]);
    store.record(&[collected(seen("a", 0, &[(0, 5, 1000)]), 300)]).await.unwrap();
    assert_eq!(store.earliest_due().await.unwrap(), Some(at(300)), "an attempt that a reader overtook still ends its claim");
}

async fn failing_tenants_are_claimed_apart(home: Home) {
    let store = home.open_with(&["good", "bad"]).await;
    store.record(&[collected(seen("good", 0, &[]), 10), collected(failed("bad", 0, "TIMEOUT"), 5)]).await.unwrap();
    assert_eq!(store.earliest_due().await.unwrap(), Some(at(5)));
    assert_eq!(claim(&store, 10, 10).await, ["good"]);
    let failing = store.claim_due(Claim::Failing, at(10), at(70), 10).await.unwrap();
    assert_eq!((ids(&failing), failing[0].consecutive_failures), (vec!["bad".to_owned()], 1));
    store.record(&[collected(seen("bad", 10, &[]), 20)]).await.unwrap();
    assert_eq!(claim(&store, 20, 10).await, ["bad"]);
}

async fn the_longest_overdue_come_first(home: Home) {
    let store = home.open_with(&["a", "b", "c"]).await;
    let next = [("a", 30), ("b", 10), ("c", 20)];
    store.record(&next.map(|(tenant, due)| collected(seen(tenant, 0, &[]), due))).await.unwrap();
    assert_eq!(claim(&store, 100, 2).await, ["b", "c"]);
    assert_eq!(claim(&store, 100, 2).await, ["a"]);
}

async fn those_that_have_answered_are_claimed_apart_from_new_ones(home: Home) {
    let store = home.open_with(&["new", "a", "b"]).await;
    store.record(&[collected(seen("a", 0, &[]), 20), collected(seen("b", 0, &[]), 10)]).await.unwrap();
    let answering = store.claim_due(Claim::Answering, at(30), at(90), 10).await.unwrap();
    assert_eq!(ids(&answering), ["b", "a"]);
    assert_eq!(claim(&store, 30, 10).await, ["new"]);
}

async fn of_the_failing_ones_those_come_first_that_may_well_answer_again(home: Home) {
    let store = home.open_with(&["never", "seldom", "twice", "once", "earlier", "lately", "good"]).await;
    let answered = [("earlier", 1), ("lately", 2), ("good", 2)];
    store.record(&answered.map(|(tenant, at)| collected(seen(tenant, at, &[]), 3))).await.unwrap();
    for (attempt, failing) in ["seldom never earlier", "never earlier twice", "never earlier twice once lately"].iter().enumerate()
    {
        let instant = 10 + i64::try_from(attempt).unwrap();
        let failed = failing.split(' ').map(|tenant| collected(failed(tenant, instant, "TIMEOUT"), 20 + instant));
        store.record(&failed.collect::<Vec<_>>()).await.unwrap();
    }
    let claim = async |claim, limit| ids(&store.claim_due(claim, at(100), at(160), limit).await.unwrap());
    assert_eq!(claim(Claim::Failing, 1).await, ["seldom"], "the longest overdue");
    assert_eq!(claim(Claim::Faltering, 2).await, ["lately", "earlier"]);
    assert_eq!(claim(Claim::Faltering, 9).await, ["once", "twice"], "one that failed thrice and never answered may hang");
    assert_eq!(claim(Claim::Failing, 9).await, ["never"]);
}

async fn concurrent_claimers_never_share_a_tenant(home: Home) {
    let names = (0..400).map(|n| format!("t{n}")).collect::<Vec<_>>();
    let one = home.open_with(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let two = home.open().await;
    let drain = async |store: &SharedStore| {
        let mut claimed = Vec::new();
        loop {
            let batch = claim(store, 0, 7).await;
            if batch.is_empty() {
                return claimed;
            }
            claimed.extend(batch);
        }
    };
    let (a, b, c, d) = tokio::join!(drain(&one), drain(&two), drain(&one), drain(&two));
    let mut all = [a, b, c, d].concat();
    // A claimer passes over rows that another one is just claiming, and may then find nothing: what is left is there for the next.
    all.extend(drain(&one).await);
    assert_eq!(all.len(), 400);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 400);
}
