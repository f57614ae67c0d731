//! Keeps old history as small as the config says, in the background.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::SharedClock;
use crate::quota::retention::Grain;
use crate::store::{Retention, SharedStore, StoreError};
use crate::telemetry;

/// How often it is looked for history that has become old.
const PAUSE: Duration = Duration::from_hours(1);
/// Tenants that are looked up together.
const TENANTS_AT_ONCE: u32 = 100;

/// How old history may become.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ages {
    /// Older history is forgotten.
    pub keep_for: Option<SignedDuration>,
    /// Older history is thinned.
    pub thin_after: Option<(SignedDuration, Grain)>,
}

impl Ages {
    /// Whether any history becomes old.
    #[must_use]
    pub fn are_set(&self) -> bool {
        self.keep_for.is_some() || self.thin_after.is_some()
    }

    /// Which history is old now.
    fn at(&self, now: Timestamp) -> Retention {
        let before = |age: SignedDuration| now.saturating_sub(age).unwrap_or(Timestamp::MIN);
        Retention { keep_from: self.keep_for.map(before), thin_before: self.thin_after.map(|(age, grain)| (before(age), grain)) }
    }
}

/// Thins and forgets what has become old, until it is stopped. Any number of replicas may do so: one works, the others find nothing left. Each
/// transaction takes a part of one tenant, so that recording waits for little.
pub async fn keep_retained(store: SharedStore, clock: SharedClock, ages: Ages, stop: CancellationToken) {
    loop {
        match pass(&store, &ages.at(clock.now()), &stop).await {
            Ok(0) => {}
            Ok(runs) => info!(runs, "old history has become less"),
            Err(error) => {
                warn!(error = telemetry::explain(&error), "cannot thin old history; it stays readable, and is tried again");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Works through all that is due, and says by how many runs it became less.
async fn pass(store: &SharedStore, retention: &Retention, stop: &CancellationToken) -> Result<usize, StoreError> {
    let mut fewer = 0;
    loop {
        let due = store.retention_due(retention, TENANTS_AT_ONCE).await?;
        if due.is_empty() {
            return Ok(fewer);
        }
        for tenant in due {
            if stop.is_cancelled() {
                return Ok(fewer);
            }
            match store.retain(&tenant, retention).await? {
                Some(runs) => fewer += runs,
                None => return Ok(fewer),
            }
        }
    }
}
