//! Reading what is new in the store, for all subscribers of the process, and removing what is old.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{Feed, Inner, LOOK_EVERY, PAGE};
use crate::store::StoreError;
use crate::supervisor::{Supervisor, Task};
use crate::telemetry;

/// How often old changes are removed.
const PRUNE_EVERY: Duration = Duration::from_mins(10);

/// Changes that are removed in one transaction.
const PRUNED_AT_ONCE: u32 = 1000;

impl Feed {
    /// Follows the store until `stop`.
    pub async fn follow(self, stop: CancellationToken, supervisor: Supervisor) {
        let inner = &self.inner;
        let work = async {
            tokio::join!(
                supervisor.keep(Task::essential("feed"), stop.clone(), || inner.read_on()),
                // Without these two, changes are found by looking, and old ones stay.
                supervisor.keep(Task::housekeeping("feed_listening"), stop.clone(), || inner.listen()),
                supervisor.keep(Task::housekeeping("feed_pruning"), stop.clone(), || inner.prune()),
            )
        };
        tokio::select! {
            _ = work => {}
            () = stop.cancelled() => {}
        }
    }
}

impl Inner {
    async fn read_on(&self) {
        let mut signal = self.store.feed_signal();
        let mut failing = false;
        loop {
            match self.read_new().await {
                Ok(()) => {
                    if failing {
                        info!("reading changes again; nothing was lost");
                    }
                    failing = false;
                    let _ = tokio::time::timeout(LOOK_EVERY, signal.changed()).await;
                }
                Err(failure) => {
                    if !failing {
                        error!(error = telemetry::explain(&failure), "cannot read changes; subscribers wait");
                    }
                    failing = true;
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// Reads all that is new.
    async fn read_new(&self) -> Result<(), StoreError> {
        loop {
            let read_to = *self.read_to.borrow();
            let page = self.store.changes_after(read_to, None, PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            if !page.is_empty() {
                let tenants = self.tenants.current();
                for change in &page {
                    if let Some(watched) = tenants.get(change.tenant.as_str()) {
                        self.allocations.learn(watched, &change.change.after);
                    }
                }
                let read_to = self.recent.write().add(page.into_iter().map(Arc::new));
                self.read_to.send_replace(read_to);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Hears of what other replicas record, as long as the database lets us.
    async fn listen(&self) {
        loop {
            if let Err(failure) = self.store.listen_for_changes().await {
                debug!(error = telemetry::explain(&failure), "changes of other replicas are not heard of; looking for them");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn prune(&self) {
        loop {
            let before = self.clock.now().checked_sub(self.kept_for).unwrap_or(Timestamp::MIN);
            match self.store.prune_changes(before, PRUNED_AT_ONCE).await {
                Ok(pruned) if pruned >= u64::from(PRUNED_AT_ONCE) => continue,
                Ok(_) => {}
                Err(failure) => warn!(error = telemetry::explain(&failure), "cannot remove old changes; trying again later"),
            }
            tokio::time::sleep(PRUNE_EVERY).await;
        }
    }
}
