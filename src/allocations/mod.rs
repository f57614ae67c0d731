//! The read-through cache in front of the upstream, and the rules by which it answers.
//!
//! **Key.** The tenant and the generation of its credential. Never the upstream's URL (it is the same for all tenants) nor the
//! request (its signature differs each time).
//!
//! **Order.** A reader states a [`Demand`]. What is known in memory answers at once if it is young enough:
//!
//! | age of the known value | what happens |
//! |---|---|
//! | up to `fresh_for` and `max_age` | served, [`Source::Cache`] |
//! | more than `fresh_for`, up to `max_age` (`stale_for` where the reader states none) | served, [`Source::Stale`], and refreshed in the background |
//! | more, or nothing is known | awaited: the newest stored run first, then the upstream ([`Source::Live`]) |
//!
//! A value that came from the database says [`Source::Stored`] in place of the first two. A `max_age` of zero always asks the upstream.
//!
//! **Failure.** When the upstream cannot answer, the last known value of whatever age is served, marked by its source, unless the
//! reader asked for an error. Failures are never kept as values. After a failed refresh in the background, the next one waits a growing time,
//! so that a broken upstream is not asked by every reader.
//!
//! **Coalescing.** Any number of concurrent readers of one key make one call. The call does not end with the reader that caused it.
//!
//! **Feeding.** Every answer of the upstream, whoever caused it, is put here and handed to the recorder; so after a restart the
//! newest stored run is known. The cache is bounded; what it drops is read from the store again.

mod back_off;
mod demand;
mod known;
mod settings;
mod single_flight;
mod version;

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::SignedDuration;
use tracing::{Instrument as _, warn};

use self::back_off::BackOff;
pub use self::demand::{AllocationAnswer, Demand, OnFailure, Source};
use self::known::{Key, KnownAllocations};
pub use self::settings::Settings;
use self::single_flight::{JoinOutcome, SharedCall, SingleFlight};
pub use self::version::Version;
use crate::clock::SharedClock;
use crate::koodrive::{Cause, Client, Failure, Verdict};
use crate::metrics::CacheMetrics;
use crate::quota::{Sample, SpaceAllocation};
use crate::recorder::Recorder;
use crate::store::{Observation, SharedStore, StoreError};
use crate::telemetry;
use crate::tenants::{TenantSet, WatchedTenant};

/// How long a reader lets the database look for a newer run before the upstream is asked.
const STORE_PATIENCE: Duration = Duration::from_millis(500);

type Fetched = Result<Arc<SpaceAllocation>, Arc<Failure>>;

/// The cache. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Allocations {
    inner: Arc<Inner>,
}

struct Inner {
    known: KnownAllocations,
    loads: SingleFlight<Key, ()>,
    fetches: SingleFlight<Key, Fetched>,
    /// Refreshes in the background. Apart from the calls: what they find in the database is no live answer for whoever waits for one.
    refreshes: SingleFlight<Key, ()>,
    back_off: BackOff<Key>,
    client: Client,
    store: SharedStore,
    recorder: Recorder,
    clock: SharedClock,
    settings: Settings,
    metrics: CacheMetrics,
}

impl std::fmt::Debug for Allocations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Allocations").field("known", &self.inner.known.len()).finish_non_exhaustive()
    }
}

impl Allocations {
    /// An empty cache in front of `client`.
    #[must_use]
    pub fn new(
        settings: Settings,
        client: Client,
        store: SharedStore,
        recorder: Recorder,
        clock: SharedClock,
        metrics: CacheMetrics,
    ) -> Self {
        let known = KnownAllocations::new(settings, Arc::clone(&clock));
        let (loads, fetches, refreshes) = (SingleFlight::default(), SingleFlight::default(), SingleFlight::default());
        let back_off = BackOff::default();
        Self {
            inner: Arc::new(Inner {
                known,
                loads,
                fetches,
                refreshes,
                back_off,
                client,
                store,
                recorder,
                clock,
                settings,
                metrics,
            }),
        }
    }

    /// The answer that memory can give at once, if any; one that is past the fresh limit is refreshed in the background.
    #[must_use]
    pub fn peek(&self, watched: &Arc<WatchedTenant>, demand: Demand) -> Option<AllocationAnswer> {
        let known = self.inner.known.get(&Key::of(watched))?;
        let answer = self.inner.known.acceptable(&known, demand)?;
        let fresh = self.inner.known.is_fresh(&known);
        if answer.source == Source::Cache {
            self.inner.metrics.hits.inc();
        } else {
            self.inner.metrics.stale.inc();
        }
        if !fresh {
            self.refresh_behind(watched);
        }
        Some(answer)
    }

    /// The answer to a demand, from memory, the database or the upstream.
    ///
    /// # Errors
    /// The upstream's failure, when nothing is known or the demand prefers the error.
    pub async fn get(&self, watched: &Arc<WatchedTenant>, demand: Demand) -> Result<AllocationAnswer, Arc<Failure>> {
        self.get_after(watched, demand, Loaded::No).await
    }

    async fn get_after(
        &self,
        watched: &Arc<WatchedTenant>,
        demand: Demand,
        loaded: Loaded,
    ) -> Result<AllocationAnswer, Arc<Failure>> {
        if let Some(answer) = self.peek(watched, demand) {
            return Ok(answer);
        }
        self.inner.metrics.misses.inc();
        let mut looked = loaded == Loaded::JustNow;
        if !looked && demand.max_age.is_none_or(|limit| limit > SignedDuration::ZERO) {
            self.load(watched).await;
            looked = true;
            if let Some(answer) = self.stored_answer(watched, demand) {
                return Ok(answer);
            }
        }
        match self.fetch(watched, demand).await {
            Ok(answer) => Ok(answer),
            Err(failure) if demand.on_failure == OnFailure::Error => Err(failure),
            Err(failure) => {
                // Once is enough: a database that is down is not waited for twice.
                if !looked && !self.inner.known.contains(&Key::of(watched)) {
                    self.load(watched).await;
                }
                self.inner
                    .known
                    .get(&Key::of(watched))
                    .map(|known| self.inner.known.last_known(&known, demand.max_age))
                    .ok_or(failure)
            }
        }
    }

    /// The answers to many demands, in order. What memory lacks is read from the database with one statement.
    pub async fn get_many(&self, demands: &[(Arc<WatchedTenant>, Demand)]) -> Vec<Result<AllocationAnswer, Arc<Failure>>> {
        let is_known = |watched: &WatchedTenant| self.inner.known.contains(&Key::of(watched));
        let loaded: Vec<_> = demands.iter().map(|(w, _)| if is_known(w) { Loaded::No } else { Loaded::JustNow }).collect();
        let demands = || demands.iter().zip(&loaded).map(|((watched, demand), loaded)| (watched, *demand, *loaded));
        let lacking: Vec<_> = demands().filter(|(_, _, l)| *l == Loaded::JustNow).map(|(w, ..)| Arc::clone(w)).collect();
        if !lacking.is_empty() {
            self.inner.load_into_known(&lacking).await;
        }
        join_all(demands().map(|(watched, demand, loaded)| self.get_after(watched, demand, loaded))).await
    }

    /// The newest known allocation of each tenant, of whatever age, in order; never asks the upstream.
    ///
    /// # Errors
    /// When memory lacks some and the database cannot be read.
    pub async fn newest_known(&self, watched: &[Arc<WatchedTenant>]) -> Result<Vec<Option<Arc<SpaceAllocation>>>, StoreError> {
        let known = |w: &Arc<WatchedTenant>| self.inner.known.get(&Key::of(w)).map(|k| k.allocation);
        let lacking: Vec<_> = watched.iter().filter(|w| known(w).is_none()).cloned().collect();
        if !lacking.is_empty() {
            self.inner.try_load_into_known(&lacking).await?;
        }
        Ok(watched.iter().map(known).collect())
    }

    /// Asks the upstream now, past what is known, joining a call that is under way. The caller hands the answer to the recorder.
    ///
    /// # Errors
    /// The upstream's failure.
    pub async fn fetch_now(&self, watched: &Arc<WatchedTenant>) -> Result<Arc<SpaceAllocation>, Arc<Failure>> {
        let inner = &self.inner;
        let call = || inner.clone().call(Arc::clone(watched), Recording::ByCaller);
        match inner.fetches.join_or_start(Key::of(watched), || None::<Infallible>, call) {
            JoinOutcome::Joined(call) => {
                inner.metrics.coalesced.inc();
                outcome_of(call).await
            }
            JoinOutcome::Started(call) => outcome_of(call).await,
            JoinOutcome::Found(never) => match never {},
        }
    }

    /// Waits until an answer that was fetched now is recorded, and gives it.
    ///
    /// # Errors
    /// The database's. The answer is kept and recorded later; also when nobody waits any more.
    pub async fn record_now(
        &self,
        watched: &Arc<WatchedTenant>,
        allocation: Arc<SpaceAllocation>,
    ) -> Result<AllocationAnswer, Arc<StoreError>> {
        self.inner.recorder.record_and_wait(self.inner.observation(watched, &allocation)).await?;
        Ok(self.inner.known.live(&Key::of(watched), allocation, Some(SignedDuration::ZERO)))
    }

    /// Takes up what another replica has recorded.
    pub fn learn(&self, watched: &WatchedTenant, recorded: &SpaceAllocation) {
        self.inner.known.remember(Key::of(watched), &Arc::new(recorded.clone()), true);
    }

    /// The version of all tenants' known values together: another one as soon as any of them has changed.
    #[must_use]
    pub fn figures_version(&self) -> u64 {
        self.inner.known.figures_version()
    }

    /// Drops what is kept of tenants and credentials that are no longer in use.
    pub fn forget_former(&self, tenants: &TenantSet) {
        let in_use: HashSet<Key> = tenants.all().iter().map(|watched| Key::of(watched)).collect();
        self.inner.back_off.retain(|key| in_use.contains(key));
        self.inner.known.retain(&in_use);
        self.inner.client.retain(tenants.all().iter().map(|watched| &watched.account));
    }

    /// Answers from what was just loaded from the database, if the demand allows.
    fn stored_answer(&self, watched: &Arc<WatchedTenant>, demand: Demand) -> Option<AllocationAnswer> {
        let known = self.inner.known.get(&Key::of(watched))?;
        let answer = self.inner.known.acceptable(&known, demand)?;
        if !self.inner.known.is_fresh(&known) {
            self.refresh_behind(watched);
        }
        Some(answer)
    }

    async fn fetch(&self, watched: &Arc<WatchedTenant>, demand: Demand) -> Result<AllocationAnswer, Arc<Failure>> {
        let inner = &self.inner;
        let key = Key::of(watched);
        let find = || inner.known.get(&key).and_then(|known| inner.known.acceptable(&known, demand));
        match inner.fetches.join_or_start(key.clone(), find, || inner.clone().call(Arc::clone(watched), Recording::ByCall)) {
            JoinOutcome::Found(answer) => Ok(answer),
            JoinOutcome::Joined(call) => {
                inner.metrics.coalesced.inc();
                outcome_of(call).await.map(|allocation| inner.known.live(&key, allocation, demand.max_age))
            }
            JoinOutcome::Started(call) => {
                outcome_of(call).await.map(|allocation| inner.known.live(&key, allocation, demand.max_age))
            }
        }
    }

    /// Refreshes a value in the background: first from the database, where another replica may have recorded a newer one, then
    /// from the upstream.
    fn refresh_behind(&self, watched: &Arc<WatchedTenant>) {
        let inner = &self.inner;
        let key = Key::of(watched);
        if !inner.back_off.is_over(&key, inner.clock.now()) {
            return;
        }
        let refresh = {
            let (inner, watched) = (inner.clone(), Arc::clone(watched));
            move || async move {
                inner.load_into_known(std::slice::from_ref(&watched)).await;
                let (key, call) = (Key::of(&watched), || inner.clone().call(watched, Recording::ByCall));
                match inner.fetches.join_or_start(key.clone(), || inner.known.fresh(&key), call) {
                    JoinOutcome::Joined(call) | JoinOutcome::Started(call) => drop(call.await),
                    JoinOutcome::Found(()) => {}
                }
            }
        };
        let _ = inner.refreshes.join_or_start(key.clone(), || inner.known.fresh(&key), refresh);
    }

    /// Reads one tenant's newest run into memory; concurrent readers share the statement.
    async fn load(&self, watched: &Arc<WatchedTenant>) {
        let (inner, tenant) = (self.inner.clone(), Arc::clone(watched));
        let load = move || async move { inner.load_into_known(std::slice::from_ref(&tenant)).await };
        match self.inner.loads.join_or_start(Key::of(watched), || None::<()>, load) {
            JoinOutcome::Joined(call) | JoinOutcome::Started(call) => {
                let _ = call.await;
            }
            JoinOutcome::Found(()) => {}
        }
    }
}

/// Whether a tenant's newest run was read from the database for this very answer; then it is not read once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loaded {
    No,
    JustNow,
}

/// Who hands a call's answer to the recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recording {
    ByCall,
    ByCaller,
}

/// Waits for a call; a call whose task failed counts as one that did not reach the upstream.
async fn outcome_of(call: SharedCall<Fetched>) -> Fetched {
    call.await.unwrap_or_else(|| {
        let cause = Cause::Connection("the task of the call failed".to_owned());
        let verdict = Verdict::Unreachable { cause, retry_after: None };
        Err(Arc::new(Failure { verdict, trace_id: None, attempts: 0, took: Duration::ZERO }))
    })
}

impl Inner {
    /// One call to the upstream; its answer is put into memory before the call ends.
    async fn call(self: Arc<Self>, watched: Arc<WatchedTenant>, recording: Recording) -> Fetched {
        let key = Key::of(&watched);
        let span = tracing::debug_span!("fetch", tenant = %watched.tenant.id);
        match self.client.space_allocation(&watched.account).instrument(span).await {
            Ok(allocation) => {
                self.back_off.succeeded(&key);
                let allocation = Arc::new(allocation);
                self.known.remember(key, &allocation, false);
                if recording == Recording::ByCall {
                    self.recorder.record(self.observation(&watched, &allocation)).await;
                }
                Ok(allocation)
            }
            Err(failure) => {
                self.back_off.failed(key, self.clock.now());
                Err(Arc::new(failure))
            }
        }
    }

    fn observation(&self, watched: &WatchedTenant, allocation: &SpaceAllocation) -> Observation {
        Observation {
            tenant: watched.tenant.id.clone(),
            attempted_at: allocation.observed_at(),
            outcome: Ok(Sample { allocation: allocation.clone(), interval_s: self.settings.interval_s }),
            next_due_at: None,
        }
    }

    /// Loads from the database without insisting: a database that is slow or away must not keep a reader from the upstream.
    async fn load_into_known(&self, watched: &[Arc<WatchedTenant>]) {
        match tokio::time::timeout(STORE_PATIENCE, self.try_load_into_known(watched)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(error = telemetry::explain(&error), "cannot read the newest snapshots; asking the upstream");
            }
            Err(_) => warn!(patience_ms = STORE_PATIENCE.as_millis(), "reading the newest snapshots is slow; asking the upstream"),
        }
    }

    async fn try_load_into_known(&self, watched: &[Arc<WatchedTenant>]) -> Result<(), StoreError> {
        let ids: Vec<_> = watched.iter().map(|w| w.tenant.id.clone()).collect();
        let mut latest: std::collections::HashMap<_, _> = self.store.latest(&ids).await?.into_iter().collect();
        for watched in watched {
            if let Some(allocation) = latest.remove(&watched.tenant.id) {
                self.known.remember(Key::of(watched), &Arc::new(allocation), true);
            }
        }
        Ok(())
    }
}
