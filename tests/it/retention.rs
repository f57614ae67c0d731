//! `[retention]` in a running service.

use std::time::Duration;

use quotagraph::quota::{Sample, SpaceAllocation, SpaceTypeAllocation, TimeRange};
use quotagraph::store::Observation;
use serde_json::Value;

use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::process::until;

const QUERY: &str = "{ tenant(id: \"acme\") { usageOverTime(from: \"2026-02-01T00:00:00Z\", interval: \"P1D\") {
    points { coverage allocated { average } utilization { average } } } } }";

/// Samples every five minutes of which each has another value, for three days that begin so many days ago.
async fn record(world: &World, app: &TestApp, days_ago: i64) {
    let sample = |place: i64| {
        let at = world.now() - jiff::SignedDuration::from_secs(days_ago * 86_400 - place * 300);
        let values = vec![SpaceTypeAllocation { space_type: 0, allocated_gb: 100 + place % 5, total_gb: 400 }];
        let sample = Sample { allocation: SpaceAllocation::new(at, values), interval_s: 300 };
        Observation { tenant: "acme".parse().unwrap(), attempted_at: at, outcome: Ok(sample), next_due_at: None }
    };
    app.store.record(&(0..3 * 288).map(sample).collect::<Vec<_>>()).await.unwrap();
}

async fn runs(app: &TestApp) -> usize {
    let ever = TimeRange { from: jiff::Timestamp::MIN, to: jiff::Timestamp::MAX };
    app.store.runs(&["acme".parse().unwrap()], ever, None).await.unwrap()[0].1.len()
}

fn averages(data: &Value) -> Vec<(f64, Option<f64>)> {
    let points = data["tenant"]["usageOverTime"]["points"].as_array().unwrap();
    points.iter().map(|point| (point["coverage"].as_f64().unwrap(), point["allocated"]["average"].as_f64())).collect()
}

#[tokio::test]
async fn a_service_thins_and_forgets_what_has_become_old_and_answers_the_same() {
    for database in [Database::sqlite(), Database::postgres().await] {
        let world = World::new(database, vec![tenant("acme", 100, 400)]).await;
        let app = world.start().await;
        for days_ago in [25, 15, 5] {
            record(&world, &app, days_ago).await;
        }
        let before = averages(&app.data(QUERY).await);
        let recorded = runs(&app).await;
        drop(app);
        let thinning = world.start_with(|config| config.retention.thin_after = Some(Duration::from_hours(10 * 24))).await;
        until("thinning", async || runs(&thinning).await < recorded / 2).await;
        assert_eq!(averages(&thinning.data(QUERY).await), before);
        let thinned = runs(&thinning).await;
        drop(thinning);
        let forgetting = world.start_with(|config| config.retention.keep_for = Some(Duration::from_hours(20 * 24))).await;
        until("forgetting", async || runs(&forgetting).await < thinned).await;
        let now = averages(&forgetting.data(QUERY).await);
        let place = before.len() - 19;
        assert_eq!(now[place..], before[place..]);
        // The value that was known at the cutoff is all that is left of before.
        let left = now[..place].iter().filter(|(coverage, _)| *coverage > 0.0).collect::<Vec<_>>();
        assert!(left.len() == 1 && left[0].0 < 0.01, "{now:?}");
    }
}
