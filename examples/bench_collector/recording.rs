//! How long it takes to record a round of equal samples, without the calls.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use quotagraph::clock::{Clock, SystemClock};
use quotagraph::metrics::Metrics;
use quotagraph::quota::{Sample, SpaceAllocation, SpaceTypeAllocation, TenantId};
use quotagraph::recorder::recorder;
use quotagraph::store::{Observation, SharedStore};
use quotagraph::supervisor::Supervisor;
use tokio_util::sync::CancellationToken;

use crate::fleet::{TOTAL_GB, known, tenant_id};
use crate::report::{self, Target};
use crate::{Failed, open, postgres};

const TENANTS: u32 = 10_000;
const INTERVAL_S: u32 = 300;
const TARGET: Target = Target::Below(1.0);

/// Measures, prints, and says whether the target is met.
pub(crate) async fn measure(repetitions: u32) -> Result<bool, Failed> {
    let database = postgres::database().await;
    let store = open(&database.url).await?;
    let ids = (0..TENANTS).map(tenant_id).collect::<Result<Vec<_>, _>>()?;
    let mut at = SystemClock.now();
    store.register_tenants(&ids.iter().map(known).collect::<Vec<_>>(), at).await?;
    record(&store, &ids, at).await?;
    let mut seconds = Vec::new();
    for _ in 0..repetitions {
        at += SignedDuration::from_secs(INTERVAL_S.into());
        let started = Instant::now();
        record(&store, &ids, at).await?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    store.close().await;
    println!("\n{TENANTS} equal samples, handed to the recorder:");
    Ok(report::print("until all are recorded", "s", 2, &seconds, TARGET))
}

async fn record(store: &SharedStore, ids: &[TenantId], at: Timestamp) -> Result<(), Failed> {
    let (recorder, writer) = recorder(store.clone(), Metrics::default().collector, Supervisor::default());
    let all_observed = CancellationToken::new();
    let writing = tokio::spawn(writer.run(all_observed.clone()));
    for id in ids {
        let value = SpaceTypeAllocation { space_type: 0, allocated_gb: 1000, total_gb: TOTAL_GB };
        let observation = Observation {
            tenant: id.clone(),
            attempted_at: at,
            outcome: Ok(Sample { allocation: SpaceAllocation::new(at, vec![value]), interval_s: INTERVAL_S }),
            next_due_at: Some(at + SignedDuration::from_secs(INTERVAL_S.into())),
        };
        recorder.record(observation).await;
    }
    all_observed.cancel();
    Ok(writing.await?)
}
