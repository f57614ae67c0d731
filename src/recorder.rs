//! Writes observations to the store in batches, and keeps those that cannot be written until they can.
//!
//! Everything that is observed goes through here: the collector's rounds and the calls that readers caused. One batch is one
//! transaction. While the database is down the observations wait in memory, oldest first, and are tried again with growing pauses;
//! whoever hands one over waits once [`WAITING_AT_MOST`] are pending, so that a long outage slows the collector and loses nothing.
//!
//! An observation at which recording panics, which is a fault of ours, is given up alone: those of the same batch are recorded without it.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::metrics::CollectorMetrics;
use crate::quota::recording::Effect;
use crate::store::{Observation, SharedStore, StoreError};
use crate::supervisor::{Supervisor, Task};
use crate::telemetry;

/// Observations that are kept while the database is down; about 30 MB. Beyond that, whoever hands one over waits.
const WAITING_AT_MOST: usize = 100_000;
/// Observations that are handed over ahead of the writer.
const HANDED_OVER_AT_MOST: usize = 2048;
/// Observations in one transaction at most.
const BATCH_AT_MOST: usize = 512;
/// The pause after a first failed write; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The pause that is not exceeded.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The name under which its failures are counted.
const TASK: Task = Task::essential("recorder");

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
    supervisor: Supervisor,
}

/// A recorder and the writer behind it.
#[must_use]
pub fn recorder(store: SharedStore, metrics: CollectorMetrics, supervisor: Supervisor) -> (Recorder, Writer) {
    let (sender, receiver) = mpsc::channel(HANDED_OVER_AT_MOST);
    (Recorder { entries: sender }, Writer { entries: receiver, store, metrics, supervisor })
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
        let mut pending = VecDeque::new();
        while !pending.is_empty() || self.receive(&mut pending, &all_observed).await {
            let batch = pending.drain(..pending.len().min(BATCH_AT_MOST)).collect();
            self.write(batch, &mut pending, &all_observed).await;
        }
    }

    /// Waits for observations; `false` when there will be none any more.
    async fn receive(&mut self, pending: &mut VecDeque<Entry>, all_observed: &CancellationToken) -> bool {
        let mut received = Vec::new();
        loop {
            tokio::select! {
                count = self.entries.recv_many(&mut received, BATCH_AT_MOST) => {
                    pending.extend(received);
                    return count > 0;
                }
                () = all_observed.cancelled(), if !self.entries.is_closed() => self.entries.close(),
            }
        }
    }

    /// Writes one batch, however long it takes. What comes meanwhile is added to `pending`.
    async fn write(&mut self, batch: Vec<Entry>, pending: &mut VecDeque<Entry>, all_observed: &CancellationToken) {
        let Err((batch, panic)) = self.try_write(batch, pending, all_observed).await else { return };
        if let [_] = batch.as_slice() {
            return self.give_up(batch, &*panic);
        }
        drop(panic);
        for entry in batch {
            if let Err((entry, panic)) = self.try_write(vec![entry], pending, all_observed).await {
                self.give_up(entry, &*panic);
            }
        }
    }

    /// Leaves out what cannot be recorded.
    fn give_up(&self, entries: Vec<Entry>, panic: &(dyn Any + Send)) {
        self.supervisor.note_part(TASK, panic);
        for Entry { observation, done } in entries {
            let (tenant, at) = (&observation.tenant, observation.attempted_at);
            error!(%tenant, %at, "an observation cannot be recorded and is left out; this is a fault of quotagraph");
            if let Some(done) = done {
                let _ = done.send(Err(Arc::new(StoreError::Unusable("the observation cannot be recorded".to_owned()))));
            }
        }
    }

    /// The same, unless recording panics. Then the batch comes back.
    async fn try_write(
        &mut self,
        batch: Vec<Entry>,
        pending: &mut VecDeque<Entry>,
        all_observed: &CancellationToken,
    ) -> Result<(), (Vec<Entry>, Box<dyn Any + Send>)> {
        let (observations, mut waiting): (Vec<_>, Vec<_>) = batch.into_iter().map(|entry| (entry.observation, entry.done)).unzip();
        let mut pause = FIRST_PAUSE;
        let mut failed = false;
        let effects = loop {
            self.show_pending(observations.len() + pending.len());
            match AssertUnwindSafe(self.store.record(&observations)).catch_unwind().await {
                Ok(Ok(effects)) => break effects,
                Err(panic) => {
                    let entry = |(observation, done)| Entry { observation, done };
                    return Err((observations.into_iter().zip(waiting).map(entry).collect(), panic));
                }
                Ok(Err(failure)) => {
                    self.metrics.write_failures.inc();
                    if !failed {
                        error!(
                            error = telemetry::explain(&failure),
                            observations = observations.len(),
                            "cannot record; keeping what was observed and trying again"
                        );
                        failed = true;
                    }
                    let failure = Arc::new(failure);
                    for done in waiting.iter_mut().filter_map(Option::take) {
                        let _ = done.send(Err(Arc::clone(&failure)));
                    }
                    self.keep_for(pause, &failure, pending, all_observed).await;
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
        self.show_pending(pending.len());
        Ok(())
    }

    /// Takes in what is observed during a pause after a failure. Who waits for the first attempt to write is told of that failure.
    async fn keep_for(
        &mut self,
        pause: Duration,
        failure: &Arc<StoreError>,
        pending: &mut VecDeque<Entry>,
        all_observed: &CancellationToken,
    ) {
        let over = tokio::time::sleep(pause);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return,
                more = self.receive(pending, all_observed), if pending.len() < WAITING_AT_MOST => {
                    for done in pending.iter_mut().filter_map(|entry| entry.done.take()) {
                        let _ = done.send(Err(Arc::clone(failure)));
                    }
                    if !more {
                        return over.await;
                    }
                }
            }
        }
    }

    fn show_pending(&self, taken: usize) {
        self.metrics.pending.set(i64::try_from(self.entries.len() + taken).unwrap_or(i64::MAX));
    }
}
