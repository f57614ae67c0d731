//! Recording samples.

use quotagraph::quota::recording::Effect::{Changed, Conflict, Extended, Unchanged};
use quotagraph::quota::{Run, Sample};

use super::{Home, answer, at, failed, history, id, run, seen};

contract![
    equal_samples_make_one_run,
    the_same_sample_twice_changes_nothing,
    a_late_sample_extends_what_it_belongs_to,
    a_late_sample_that_contradicts_changes_nothing,
    a_late_sample_closes_a_gap,
    a_gap_longer_than_two_and_a_half_intervals_stays_visible,
    a_changed_interval_starts_a_run,
    space_types_have_runs_of_their_own,
    a_type_that_disappears_ends_and_may_return,
    the_largest_and_the_smallest_numbers_survive,
    a_batch_is_applied_in_the_order_of_its_instants,
    many_samples_of_many_tenants_go_in_one_batch,
    unknown_tenants_and_failures_are_passed_over,
    concurrent_batches_lose_nothing,
    whole_runs_can_be_added,
    runs_that_overlap_are_refused_and_nothing_is_added,
];

async fn equal_samples_make_one_run(home: Home) {
    let store = home.open_with(&["acme"]).await;
    let mut effects = Vec::new();
    for seconds in [0, 300, 600] {
        effects.extend(store.record(&[seen("acme", seconds, &[(0, 5, 1000)])]).await.unwrap());
    }
    assert_eq!(effects, [Some(Changed), Some(Extended), Some(Extended)]);
    assert_eq!(history(&store, "acme").await, [run(0, 0, 600, 3, 5)]);
}

async fn the_same_sample_twice_changes_nothing(home: Home) {
    let store = home.open_with(&["acme"]).await;
    let batch = [seen("acme", 0, &[(0, 5, 1000)]), seen("acme", 300, &[(0, 6, 1000)])];
    store.record(&batch).await.unwrap();
    let before = history(&store, "acme").await;
    assert_eq!(store.record(&batch).await.unwrap(), [Some(Unchanged), Some(Unchanged)]);
    assert_eq!(history(&store, "acme").await, before);
}

async fn a_late_sample_extends_what_it_belongs_to(home: Home) {
    let store = home.open_with(&["acme"]).await;
    store.record(&[seen("acme", 600, &[(0, 5, 1000)])]).await.unwrap();
    assert_eq!(store.record(&[seen("acme", 300, &[(0, 5, 1000)])]).await.unwrap(), [Some(Extended)]);
    assert_eq!(store.record(&[seen("acme", 0, &[(0, 4, 1000)])]).await.unwrap(), [Some(Changed)]);
    assert_eq!(history(&store, "acme").await, [run(0, 0, 0, 1, 4), run(0, 300, 600, 2, 5)]);
}

async fn a_late_sample_that_contradicts_changes_nothing(home: Home) {
    let store = home.open_with(&["acme"]).await;
    store.record(&[seen("acme", 0, &[(0, 5, 1000)]), seen("acme", 600, &[(0, 5, 1000)])]).await.unwrap();
    assert_eq!(store.record(&[seen("acme", 300, &[(0, 6, 1000)])]).await.unwrap(), [Some(Conflict)]);
    assert_eq!(history(&store, "acme").await, [run(0, 0, 600, 2, 5)]);
}

async fn a_late_sample_closes_a_gap(home: Home) {
    let store = home.open_with(&["acme"]).await;
    store.record(&[seen("acme", 0, &[(0, 5, 1000)])]).await.unwrap();
    store.record(&[seen("acme", 900, &[(0, 5, 1000)])]).await.unwrap();
    assert_eq!(history(&store, "acme").await.len(), 2);
    assert_eq!(store.record(&[seen("acme", 450, &[(0, 5, 1000)])]).await.unwrap(), [Some(Extended)]);
    assert_eq!(history(&store, "acme").await, [run(0, 0, 900, 3, 5)]);
}

async fn a_gap_longer_than_two_and_a_half_intervals_stays_visible(home: Home) {
    let store = home.open_with(&["acme"]).await;
    for seconds in [0, 750, 1501] {
        store.record(&[seen("acme", seconds, &[(0, 5, 1000)])]).await.unwrap();
    }
    assert_eq!(history(&store, "acme").await, [run(0, 0, 750, 2, 5), run(0, 1501, 1501, 1, 5)]);
}

async fn a_changed_interval_starts_a_run(home: Home) {
    let store = home.open_with(&["acme"]).await;
    store.record(&[seen("acme", 0, &[(0, 5, 1000)])]).await.unwrap();
    let mut faster = seen("acme", 60, &[]);
    faster.outcome = Ok(Sample { allocation: answer(60, &[(0, 5, 1000)]), interval_s: 60 });
    store.record(&[faster]).await.unwrap();
    assert_eq!(history(&store, "acme").await, [run(0, 0, 0, 1, 5), Run { interval_s: 60, ..run(0, 60, 60, 1, 5) }]);
}

async fn space_types_have_runs_of_their_own(home: Home) {
    let store = home.open_with(&["acme"]).await;
    store.record(&[seen("acme", 0, &[(0, 5, 1000), (7, 1, 1000), (-3, 2, 1000)])]).await.unwrap();
    store.record(&[seen("acme", 300, &[(0, 5, 1000), (7, 2, 1000), (-3, 2, 1000)])]).await.unwrap();
    let expected = [run(-3, 0, 300, 2, 2), run(0, 0, 300, 2, 5), run(7, 0, 0, 1, 1), run(7, 300, 300, 1, 2)];
    assert_eq!(history(&store, "acme").await, expected);
}

async fn a_type_that_disappears_ends_and_may_return(home: Home) {
    let store = home.open_with(&["acme"]).await;
    let both = [(0, 5, 1000), (1, 9, 1000)];
    for (seconds, values) in [(0, &both[..1]), (300, &both[..]), (600, &both[..1]), (900, &both[..1]), (1200, &both[..])] {
        store.record(&[seen("acme", seconds, values)]).await.unwrap();
    }
    let ended = Run { ended_at: Some(at(600)), ..run(1, 300, 300, 1, 9) };
    assert_eq!(history(&store, "acme").await, [run(0, 0, 1200, 5, 5), ended, run(1, 1200, 1200, 1, 9)]);
}

async fn the_largest_and_the_smallest_numbers_survive(home: Home) {
    let store = home.open_with(&["acme"]).await;
    let values = [(i32::MIN, 0, i64::MAX), (i32::MAX, i64::MAX, 0)];
    store.record(&[seen("acme", 0, &values)]).await.unwrap();
    store.record(&[seen("acme", 300, &values)]).await.unwrap();
    let (tenant, latest) = store.latest(&[id("acme")]).await.unwrap().remove(0);
    assert_eq!((tenant, latest), (id("acme"), answer(300, &values)));
    assert_eq!(history(&store, "acme").await.len(), 2);
}

async fn a_batch_is_applied_in_the_order_of_its_instants(home: Home) {
    let store = home.open_with(&["acme", "other"]).await;
    let five = [(0, 5, 1000)];
    let batch = [
        seen("acme", 900, &[(0, 6, 1000)]),
        seen("acme", 300, &five),
        seen("other", 300, &[(1, 7, 1000)]),
        seen("acme", 600, &five),
        seen("acme", 0, &five),
        seen("acme", 300, &five),
    ];
    let effects = store.record(&batch).await.unwrap();
    assert_eq!(effects, [Changed, Extended, Changed, Extended, Changed, Unchanged].map(Some));
    assert_eq!(history(&store, "acme").await, [run(0, 0, 600, 3, 5), run(0, 900, 900, 1, 6)]);
    assert_eq!(history(&store, "other").await, [run(1, 300, 300, 1, 7)]);
}

async fn many_samples_of_many_tenants_go_in_one_batch(home: Home) {
    let names = (0..2000).map(|n| format!("tenant-{n:05}")).collect::<Vec<_>>();
    let store = home.open_with(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for seconds in [0, 300] {
        let batch = names.iter().map(|name| seen(name, seconds, &[(0, 5, 1000), (1, 6, 1000)])).collect::<Vec<_>>();
        store.record(&batch).await.unwrap();
    }
    let batch = (2..500).map(|n| seen("tenant-00000", n * 300, &[(0, 5, 1000), (1, 6, 1000)])).collect::<Vec<_>>();
    assert!(store.record(&batch).await.unwrap().iter().all(|effect| *effect == Some(Extended)));
    assert_eq!(history(&store, "tenant-00000").await, [run(0, 0, 149_700, 500, 5), run(1, 0, 149_700, 500, 6)]);
    assert_eq!(history(&store, "tenant-01999").await, [run(0, 0, 300, 2, 5), run(1, 0, 300, 2, 6)]);
}

async fn unknown_tenants_and_failures_are_passed_over(home: Home) {
    let store = home.open_with(&["acme", "former"]).await;
    store.register_tenants(&[super::tenant("acme")], at(0)).await.unwrap();
    let value = [(0, 5, 1000)];
    let batch = [
        seen("nobody", 0, &value),
        failed("nobody", 0, "TIMEOUT"),
        seen("acme", 0, &value),
        failed("acme", 300, "TIMEOUT"),
        seen("former", 0, &value),
    ];
    assert_eq!(store.record(&batch).await.unwrap(), [None, None, Some(Changed), None, None]);
    assert_eq!(store.record(&[]).await.unwrap(), []);
    assert_eq!(history(&store, "nobody").await, []);
    assert_eq!(history(&store, "former").await, []);
}

async fn concurrent_batches_lose_nothing(home: Home) {
    let tenants = ["a", "b", "c", "d"];
    let (one, two) = (home.open_with(&tenants).await, home.open_with(&tenants).await);
    let batches = |first: i64, backwards: bool| {
        let batch = move |n: i64| {
            let mut batch = tenants.map(|t| seen(t, (2 * n + first) * 300, &[(0, 5, 1000)]));
            if backwards {
                batch.reverse();
            }
            batch
        };
        (0..20).map(batch).collect::<Vec<_>>()
    };
    let write = async |store: &super::SharedStore, batches: Vec<[_; 4]>| {
        for batch in batches {
            store.record(&batch).await.unwrap();
        }
    };
    tokio::join!(write(&one, batches(0, false)), write(&two, batches(1, true)));
    for tenant in tenants {
        let runs = history(&one, tenant).await;
        assert_eq!((runs.len(), runs[0].first_at, runs[0].last_at), (1, at(0), at(39 * 300)));
    }
}

async fn whole_runs_can_be_added(home: Home) {
    let store = home.open_with(&["acme"]).await;
    let ended = Run { ended_at: Some(at(900)), ..run(1, 0, 600, 3, 9) };
    let runs = [run(0, 0, 600, 3, 5), run(0, 900, 1200, 2, 6), ended];
    store.insert_runs(&id("acme"), &runs).await.unwrap();
    store.insert_runs(&id("acme"), &[]).await.unwrap();
    assert_eq!(history(&store, "acme").await, runs);
    store.record(&[seen("acme", 1500, &[(0, 6, 1000)])]).await.unwrap();
    assert_eq!(history(&store, "acme").await[1], run(0, 900, 1500, 3, 6));
    let (_, latest) = store.latest(&[id("acme")]).await.unwrap().remove(0);
    assert_eq!(latest, answer(1500, &[(0, 6, 1000)]));
}

async fn runs_that_overlap_are_refused_and_nothing_is_added(home: Home) {
    let store = home.open_with(&["acme"]).await;
    store.insert_runs(&id("acme"), &[run(0, 0, 600, 3, 5)]).await.unwrap();
    assert!(store.insert_runs(&id("acme"), &[run(0, 900, 900, 1, 5), run(0, 600, 700, 1, 6)]).await.is_err());
    assert!(store.insert_runs(&id("acme"), &[run(1, 0, 600, 3, 5), run(1, 300, 900, 3, 5)]).await.is_err());
    assert!(store.insert_runs(&id("nobody"), &[run(0, 0, 600, 3, 5)]).await.is_err());
    assert_eq!(history(&store, "acme").await, [run(0, 0, 600, 3, 5)]);
}
