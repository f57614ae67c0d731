//! Numbers at their limits: nothing that an upstream, an import or an older version can have brought breaks recording, packing or a sum.

use quotagraph::quota::fleet::Change;
use quotagraph::quota::{MAX_SPACE_TYPES, MAX_SPACE_TYPES_EVER};
use quotagraph::store::{Observation, PackWhen};

use super::fleet::{pack, read};
use super::{EVER, Home, at, history, id, seen};
use crate::support::sql;

contract![
    the_widest_values_are_recorded_packed_and_summed_to_the_digit,
    the_views_take_the_widest_values,
    a_history_takes_no_more_types_than_it_can_bear,
    days_with_more_types_than_16_bits_count_are_packed,
];

const MAX: i64 = i64::MAX;

async fn the_widest_values_are_recorded_packed_and_summed_to_the_digit(home: Home) {
    let store = home.open_with(&["a", "b"]).await;
    let all = |value: i64| (0..8).map(|space_type| (space_type, value, MAX)).collect::<Vec<_>>();
    let batch = [seen("a", 0, &all(MAX)), seen("b", 0, &all(MAX)), seen("a", 300, &all(0)), seen("a", 600, &all(MAX))];
    store.record(&batch).await.unwrap();
    // A late sample corrects the widest value by the widest value, and back.
    store.record(&[seen("b", 150, &all(0)), seen("b", 300, &all(MAX)), seen("b", 450, &[])]).await.unwrap();
    assert_eq!(history(&store, "a").await.iter().map(|run| run.allocated_gb).max(), Some(MAX));

    let sum = |changes: &[Change]| {
        changes.iter().fold((0, 0), |(allocated, total): (i128, i128), Change { step, .. }| {
            (allocated + i128::from(step.allocated_gb), total + i128::from(step.total_gb))
        })
    };
    // Tenant a carries eight of the widest values, tenant b nothing any more.
    let expected = (8 * i128::from(MAX), 8 * i128::from(MAX));
    assert_eq!(sum(&read(&store, EVER, None).await.changes), expected);
    pack(&store).await;
    assert_eq!(sum(&read(&store, EVER, None).await.changes), expected);

    let latest = store.latest(&[id("a")]).await.unwrap();
    assert_eq!((latest[0].1.allocated_gb(), latest[0].1.total_gb()), expected);
}

async fn the_views_take_the_widest_values(home: Home) {
    let store = home.open_with(&["a", "b"]).await;
    let values: Vec<_> = (0..64).map(|space_type| (space_type, MAX, MAX)).collect();
    store
        .record(&[seen("a", 0, &values), seen("b", 0, &[(0, MAX, 0)]), seen("a", 300, &values), seen("b", 300, &[(0, 0, MAX)])])
        .await
        .unwrap();
    for view in ["usage_runs", "usage_latest"] {
        let rows = sql::rows(&home.url, &format!("select * from {view} where tenant = 'a'")).await;
        assert_eq!(rows.len(), 64, "{view}");
        assert!(
            rows.iter().all(|row| row["allocated_gb"].as_i64() == Some(MAX) && row["utilization"].as_f64() == Some(1.0)),
            "{rows:?}"
        );
    }
    let widest = 9_223_372_036_854_775_807_f64;
    for row in sql::rows(&home.url, "select * from usage_daily where tenant = 'a'").await {
        let average = row["allocated_gb_average"].as_f64().unwrap();
        assert!((average - widest).abs() < 2048.0, "{row:?}");
        assert_eq!(row["utilization_average"].as_f64(), Some(1.0));
    }
    // As docs/SQL.md sums.
    let sums =
        "select sum(allocated_gb * 1.0) as allocated_gb, sum(total_gb * 1.0) as total_gb from usage_latest where tenant = 'a'";
    let sums = sql::rows(&home.url, sums).await;
    assert!((sums[0]["allocated_gb"].as_f64().unwrap() / widest - 64.0).abs() < 1e-9, "{sums:?}");
}

async fn a_history_takes_no_more_types_than_it_can_bear(home: Home) {
    let store = home.open_with(&["a", "b"]).await;
    let others = |round: usize| {
        let first = i32::try_from(round * MAX_SPACE_TYPES).unwrap();
        seen(
            "a",
            i64::try_from(round).unwrap() * 300,
            &(first..first + 64).map(|space_type| (space_type, 1, 2)).collect::<Vec<_>>(),
        )
    };
    let rounds = MAX_SPACE_TYPES_EVER / MAX_SPACE_TYPES;
    let batch: Vec<Observation> = (0..rounds + 2).map(others).chain([seen("b", 300, &[(0, 1, 2)])]).collect();
    let effects = store.record(&batch).await.unwrap();
    assert!(effects[..rounds].iter().all(Option::is_some));
    assert_eq!((effects[rounds], effects[rounds + 1]), (None, None));
    assert!(effects[rounds + 2].is_some(), "another tenant is not concerned");

    let status = store.collection_status(&[id("a")]).await.unwrap().pop().unwrap().1;
    assert_eq!(status.consecutive_failures, 2);
    assert_eq!(status.last_success_at, Some(at(300 * (i64::try_from(rounds).unwrap() - 1))));
    let (error, _) = status.last_error.unwrap();
    assert_eq!(error.code, "UPSTREAM_INVALID");
    assert!(error.message.contains("more than 256 different space types"), "{}", error.message);

    // What the tenant has had goes on being recorded, by itself and by another store.
    let known = seen("a", 3000, &[(0, 5, 6), (255, 7, 8)]);
    assert!(home.open().await.record(&[known]).await.unwrap()[0].is_some());
    assert_eq!(store.collection_status(&[id("a")]).await.unwrap()[0].1.consecutive_failures, 0);
    assert!(store.record(&[seen("a", 3300, &[(256, 1, 2)])]).await.unwrap()[0].is_none());
}

async fn days_with_more_types_than_16_bits_count_are_packed(home: Home) {
    let store = home.open_with(&["a", "b"]).await;
    store.record(&[seen("a", 0, &[(0, 1, 2)]), seen("b", 0, &[(0, 3, 4)])]).await.unwrap();
    // As versions before the limit on types have left it.
    home.execute(if home.url.starts_with("sqlite:") {
        "with recursive n (i) as (select 1 union all select i + 1 from n where i < 70000)
         insert into fleet_changes (at, allocated_gb, total_gb, tenant_no, space_type, held)
         select (select min(at) from fleet_changes) + i, 5, 9, (select min(tenant_no) from tenants), i, 1 from n"
    } else {
        "insert into fleet_changes (at, allocated_gb, total_gb, tenant_no, space_type, held)
         select (select min(at) from fleet_changes) + i * interval '1 millisecond', 5, 9, (select min(tenant_no) from tenants), i, 1
         from generate_series(1, 70000) i"
    })
    .await;
    assert_eq!(store.pack_fleet(PackWhen { at_least: 1, older_than: at(0) }).await.unwrap(), 70_002);
    store.record(&[seen("b", 600, &[(0, 4, 4)])]).await.unwrap();
    pack(&store).await;
    let changes = read(&store, EVER, None).await.changes;
    assert_eq!(changes.len(), 70_003, "one day, packed twice");
    assert_eq!(changes.iter().map(|change| change.step.allocated_gb).sum::<i64>(), 70_000 * 5 + 1 + 4);
}
