//! Asks every tenant once an interval and records what it answers, or that it did not.
//!
//! Due tenants are claimed in the store, so any number of replicas share the work and a replica that dies is taken over when its
//! lease ends. There are two lanes (`lane.rs`): tenants whose last attempt failed are asked in a lane of their own, so that however many of
//! them time out, the healthy ones are asked when they are due. A lane claims some tenants, asks them concurrently, and hands every
//! outcome to the recorder, which writes many in one transaction. A failure is recorded as such and leaves a gap; it is not tried
//! again before the tenant's next slot.

mod lane;
mod schedule;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::SignedDuration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use self::lane::{Lane, Queues, ROUNDS};
pub use self::schedule::next_slot;
use crate::allocations::Allocations;
use crate::clock::SharedClock;
use crate::koodrive::Failure;
use crate::metrics::CollectorMetrics;
use crate::quota::{Sample, SpaceAllocation};
use crate::recorder::Recorder;
use crate::store::{Claim, CollectionError, DueTenant, Observation, SharedStore, StoreError};
use crate::supervisor::Supervisor;
use crate::telemetry;
use crate::tenants::Tenants;

/// How often a lane looks for due tenants when it found fewer than it could take.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How the collector works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The sampling interval in seconds; at least 1.
    pub interval_s: u32,
    /// Tenants asked at once; at least 1. Those that failed last time have a quarter of it for themselves, at least 1.
    pub concurrency: usize,
    /// How long one tenant may take at most; bounds the leases.
    pub longest_ask: SignedDuration,
}

/// The collector. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Collector {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    tenants: Arc<Tenants>,
    allocations: Allocations,
    store: SharedStore,
    recorder: Recorder,
    clock: SharedClock,
    metrics: CollectorMetrics,
    supervisor: Supervisor,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Collector {
    /// A collector of the tenants that are watched.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "the parts that it works with; one call, in the composition root")]
    pub fn new(
        settings: Settings,
        tenants: Arc<Tenants>,
        allocations: Allocations,
        store: SharedStore,
        recorder: Recorder,
        clock: SharedClock,
        metrics: CollectorMetrics,
        supervisor: Supervisor,
    ) -> Self {
        Self { inner: Arc::new(Inner { settings, tenants, allocations, store, recorder, clock, metrics, supervisor }) }
    }

    /// Collects until `shutdown`, then lets the asks under way finish. What was claimed and not yet asked is left to its lease.
    pub async fn run(&self, shutdown: CancellationToken) {
        let supervisor = &self.inner.supervisor;
        let run = |lane: Lane| {
            let until = shutdown.clone();
            supervisor.keep(lane.task(), shutdown.clone(), move || self.run_lane(lane, until.clone()))
        };
        tokio::join!(run(Lane::Healthy), run(Lane::Failing));
    }

    /// One step: asks every tenant that is due now and waits until all outcomes are recorded. Gives how many were asked.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn collect_due(&self) -> Result<usize, StoreError> {
        let mut asked = 0;
        for lane in [Lane::Healthy, Lane::Failing] {
            let places = lane.places(self.inner.settings.concurrency);
            // A tenant that fails in the first lane is due again an interval later, so neither lane sees one twice.
            loop {
                let due = self.inner.claim(lane.all(), places * ROUNDS).await?;
                if due.is_empty() {
                    break;
                }
                asked += due.len();
                let mut asks: JoinSet<Option<Observation>> = JoinSet::new();
                let mut observations = Vec::with_capacity(due.len());
                for due in due {
                    if asks.len() >= places {
                        observations.extend(asks.join_next().await.and_then(Result::ok).flatten());
                    }
                    let inner = Arc::clone(&self.inner);
                    asks.spawn(async move { inner.ask_safely(due).await });
                }
                observations.extend(asks.join_all().await.into_iter().flatten());
                self.inner.store.record(&observations).await?;
            }
        }
        Ok(asked)
    }

    async fn run_lane(&self, lane: Lane, shutdown: CancellationToken) {
        let mut queues = Queues::of(lane, lane.places(self.inner.settings.concurrency));
        let mut asks: JoinSet<()> = JoinSet::new();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut claims_fail = false;
        loop {
            while let Some((due, place)) = queues.take() {
                let inner = Arc::clone(&self.inner);
                asks.spawn(async move {
                    let _place = place;
                    if let Some(observation) = inner.ask_safely(due).await {
                        inner.recorder.record(observation).await;
                    }
                });
            }
            let wanted = queues.wanted();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(_) = asks.join_next() => {}
                _ = look.tick(), if !wanted.is_empty() => for (claim, limit) in wanted {
                    match self.inner.claim(claim, limit).await {
                        Ok(due) => {
                            if claims_fail {
                                info!("claiming due tenants again");
                            }
                            claims_fail = false;
                            if due.len() == limit {
                                look.reset_immediately();
                            }
                            queues.add(claim, due);
                        }
                        Err(failure) => {
                            self.inner.metrics.claim_failures.inc();
                            if !claims_fail {
                                error!(error = telemetry::explain(&failure), "cannot claim due tenants; trying again");
                            }
                            claims_fail = true;
                            break;
                        }
                    }
                },
            }
        }
        while asks.join_next().await.is_some() {}
    }
}

impl Inner {
    async fn claim(&self, claim: Claim, limit: usize) -> Result<Vec<DueTenant>, StoreError> {
        let now = self.clock.now();
        // Even when every ask takes its longest, the last of the claimed ones is recorded before the lease ends.
        let rounds = i32::try_from(ROUNDS + 1).unwrap_or(i32::MAX);
        let lease = self.settings.longest_ask.saturating_mul(rounds).saturating_add(SignedDuration::from_secs(10));
        let lease_until = now.saturating_add(lease).unwrap_or(jiff::Timestamp::MAX);
        self.store.claim_due(claim, now, lease_until, u32::try_from(limit).unwrap_or(u32::MAX)).await
    }

    /// Asks one tenant. A panic, which is a fault of ours, is an outcome, too: the tenant is asked again in its next slot, and the others meanwhile.
    async fn ask_safely(&self, due: DueTenant) -> Option<Observation> {
        let (attempted_at, tenant, ordinal) = (self.clock.now(), due.id.clone(), due.ordinal);
        match AssertUnwindSafe(self.ask(due)).catch_unwind().await {
            Ok(observation) => observation,
            Err(panic) => {
                self.supervisor.note_part(Lane::Healthy.task(), &*panic);
                let message = "Asking this tenant failed inside of quotagraph; its log says why.".to_owned();
                let outcome = Err(CollectionError { code: "INTERNAL".to_owned(), message });
                let next_due_at = Some(next_slot(self.clock.now(), self.settings.interval_s, ordinal));
                Some(Observation { tenant, attempted_at, outcome, next_due_at })
            }
        }
    }

    /// Asks one tenant. Never fails: a failure is an outcome. `None` for a tenant that this replica does not watch (its configuration
    /// is older or newer than another's): the claim is left to its lease, for a replica that does.
    async fn ask(&self, due: DueTenant) -> Option<Observation> {
        let attempted_at = self.clock.now();
        let tenants = self.tenants.current();
        let watched = tenants.get(due.id.as_str())?;
        let outcome = self.allocations.fetch_now(watched).await.map_err(|failure| describe(&failure));
        self.metrics.count_attempt(outcome.is_ok());
        let next_due_at = Some(next_slot(self.clock.now(), self.settings.interval_s, due.ordinal));
        let outcome = outcome.map(|allocation| self.sample(&allocation));
        Some(Observation { tenant: due.id, attempted_at, outcome, next_due_at })
    }

    fn sample(&self, allocation: &SpaceAllocation) -> Sample {
        Sample { allocation: allocation.clone(), interval_s: self.settings.interval_s }
    }
}

/// A failure in words that may be shown to whoever may see the tenant.
fn describe(failure: &Failure) -> CollectionError {
    let sentence = failure.verdict.sentence();
    let message = match failure.verdict.upstream_code() {
        Some(code) => format!("{} ({code}).", sentence.trim_end_matches('.')),
        None => sentence.to_owned(),
    };
    CollectionError { code: failure.verdict.code().to_owned(), message }
}
