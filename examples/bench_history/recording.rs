//! How long it takes to record a round of equal samples beside a year of history.

use std::time::Instant;

use jiff::SignedDuration;
use quotagraph::quota::{Sample, SpaceAllocation};
use quotagraph::store::{Observation, SharedStore};

use crate::Failed;
use crate::load::{History, INTERVAL_S};
use crate::report::{self, Target};

/// As the recorder writes them.
const BATCH: usize = 512;

/// Measures, prints, and says whether the target is met.
pub(crate) async fn measure(store: &SharedStore, history: &History, repetitions: u32) -> Result<bool, Failed> {
    let ids: Vec<_> = history.tenants.iter().map(|tenant| tenant.id.clone()).collect();
    let mut seconds = Vec::new();
    for _ in 0..repetitions {
        let next = |(tenant, newest): (_, SpaceAllocation)| {
            let at = newest.observed_at() + SignedDuration::from_secs(INTERVAL_S);
            let sample = Sample { allocation: SpaceAllocation::new(at, newest.by_type().to_vec()), interval_s: 300 };
            Observation { tenant, attempted_at: at, outcome: Ok(sample), next_due_at: Some(at) }
        };
        let observations: Vec<_> = store.latest(&ids).await?.into_iter().map(next).collect();
        let started = Instant::now();
        for batch in observations.chunks(BATCH) {
            store.record(batch).await?;
        }
        seconds.push(started.elapsed().as_secs_f64());
    }
    println!("\nadded to:");
    Ok(report::print(&format!("recording {} equal samples", ids.len()), "s", 2, &seconds, Target::Below(1.0)))
}
