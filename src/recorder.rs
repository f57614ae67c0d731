//! Writes observations to the store in batches, and keeps those that cannot be written until they can.
//!
//! Everything that is observed goes through here: the collector's rounds and the calls that readers caused. One batch is one
//! transaction. While the database is away the observations wait in memory, oldest first, and are tried again with growing pauses;
//! whoever hands one over waits once [`WAITING_AT_MOST`] are pending, so that a long outage slows the collector and loses nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::metrics::CollectorMetrics;
use crate::quota::recording::Effect;
use crate::store::{Observation, SharedStore, StoreError};

/// Observations that may wait to be written; about 20 MB when full.
const WAITING_AT_MOST: usize = 100_000;
/// Observations in one transaction at most.
const BATCH_AT_MOST: usize = 512;
/// The pause after a first failed write; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The pause that is not exceeded.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

struct Entry {
    observation: Observation,
    done: Option<oneshot::Sender<Result<Option<Effect>, Arc<StoreError>>>>,
}

/// Hands observations over. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    entries: mpsc::Sender<Entry>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

/// The writing half. [`Writer::run`] is its life.
pub struct Writer {
    entries: mpsc::Receiver<Entry>,
    store: SharedStore,
    metrics: CollectorMetrics,
}

/// A recorder and the writer behind it.
#[must_use]
pub fn recorder(store: SharedStore, metrics: CollectorMetrics) -> (Recorder, Writer) {
    let (sender, receiver) = mpsc::channel(WAITING_AT_MOST);
    (Recorder { entries: sender }, Writer { entries: receiver, store, metrics })
}

impl Recorder {
    /// Hands an observation over to be written soon. Waits only when very many are pending.
    pub async fn record(&self, observation: Observation) {
        // The writer is gone only when the service is at its end.
        let _ = self.entries.send(Entry { observation, done: None }).await;
    }

    /// Hands an observation over and waits for the first attempt to write it.
    ///
    /// # Errors
    /// That attempt's failure. The observation is still kept and written when the database is back.
    pub async fn record_and_wait(&self, observation: Observation) -> Result<Option<Effect>, Arc<StoreError>> {
        let (done, written) = oneshot::channel();
        let _ = self.entries.send(Entry { observation, done: Some(done) }).await;
        written.await.unwrap_or_else(|_| Err(Arc::new(StoreError::Unusable("the service is shutting down".to_owned()))))
    }
}

impl Writer {
    /// Writes until `all_observed`, and then until nothing is pending.
    pub async fn run(mut self, all_observed: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH_AT_MOST);
        loop {
            let received = tokio::select! {
                received = self.entries.recv_many(&mut batch, BATCH_AT_MOST) => received,
                () = all_observed.cancelled(), if !self.entries.is_closed() => {
                    self.entries.close();
                    continue;
                }
            };
            if received == 0 {
                return;
            }
            self.metrics.pending.set(i64::try_from(self.entries.len() + batch.len()).unwrap_or(i64::MAX));
            self.write(&mut batch).await;
            self.metrics.pending.set(i64::try_from(self.entries.len()).unwrap_or(i64::MAX));
        }
    }

    /// Writes one batch, however long it takes, and leaves it empty.
    async fn write(&mut self, batch: &mut Vec<Entry>) {
        let (observations, mut waiting): (Vec<_>, Vec<_>) = batch.drain(..).map(|entry| (entry.observation, entry.done)).unzip();
        let mut pause = FIRST_PAUSE;
        let mut failed = false;
        let effects = loop {
            match self.store.record(&observations).await {
                Ok(effects) => break effects,
                Err(failure) => {
                    let failure = Arc::new(failure);
                    self.metrics.write_failures.inc();
                    if !failed {
                        let cause = failure.as_ref() as &dyn std::error::Error;
                        error!(
                            cause,
                            observations = observations.len(),
                            "cannot record; keeping the observations and trying again"
                        );
                        failed = true;
                    }
                    for done in waiting.iter_mut().filter_map(Option::take) {
                        let _ = done.send(Err(Arc::clone(&failure)));
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        };
        if failed {
            info!(observations = observations.len(), "recording again; nothing was lost");
        }
        for (effect, done) in effects.iter().zip(waiting) {
            if let Some(effect) = effect {
                self.metrics.count(*effect);
            }
            if let Some(done) = done {
                let _ = done.send(Ok(*effect));
            }
        }
    }
}
