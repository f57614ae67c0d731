//! Subscriptions to observed changes. What is observed is put into the store at chosen instants.

use jiff::{SignedDuration, Timestamp, ToSpan as _};
use quotagraph::quota::{Sample, SpaceAllocation, SpaceTypeAllocation};
use quotagraph::store::Observation;
use serde_json::{Value, json};

use crate::support::app::{START, TestApp};

mod ending;
mod events;
mod limits;
mod replay;
mod replicas;
mod resuming;
mod rights;
mod websocket;

/// A subscription that asks for what tells changes apart.
pub(crate) fn changes_of(arguments: &str) -> String {
    let fields = "tenant { id } before { allocated observedAt } after { allocated total observedAt source } recordedAt";
    format!("subscription {{ spaceAllocationChanged{arguments} {{ {fields} }} }}")
}

fn since(at: &str) -> String {
    changes_of(&format!("(since: \"{at}\")"))
}

/// So many seconds after the start of the tests.
fn at(seconds: i64) -> Timestamp {
    START.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

/// An observation of a tenant that has 100 GB, so many milliseconds after the start.
fn seen(tenant: &str, millis: i64, allocated_gb: i64) -> Observation {
    let observed_at = at(0) + millis.milliseconds();
    let allocation = SpaceAllocation::new(observed_at, vec![SpaceTypeAllocation { space_type: 0, allocated_gb, total_gb: 100 }]);
    let sample = Sample { allocation, interval_s: 300 };
    Observation { tenant: tenant.parse().unwrap(), attempted_at: observed_at, outcome: Ok(sample), next_due_at: None }
}

/// Records that a tenant has so much allocated, so many seconds after the start.
pub(crate) async fn record(app: &TestApp, tenant: &str, seconds: i64, allocated_gb: i64) {
    app.store.record(&[seen(tenant, seconds * 1000, allocated_gb)]).await.unwrap();
}

/// What [`changes_of`] gives for a change that was recorded at once.
fn told(tenant: &str, before: Option<(i64, i64)>, after: (i64, i64)) -> Value {
    let before = before.map(|(seconds, allocated)| json!({ "allocated": float(allocated), "observedAt": at(seconds).to_string() }));
    let observed_at = at(after.0).to_string();
    json!({
        "tenant": { "id": tenant },
        "before": before,
        "after": { "allocated": float(after.1), "total": 100.0, "observedAt": observed_at, "source": "STORED" },
        "recordedAt": observed_at,
    })
}

fn float(gb: i64) -> f64 {
    f64::from(i32::try_from(gb).unwrap())
}
