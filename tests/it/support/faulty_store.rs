//! A store that panics where a test says so, as a fault of ours would make it.

use std::collections::HashMap;
use std::sync::Mutex;

use jiff::Timestamp;
use quotagraph::quota::recording::Effect;
use quotagraph::quota::{Run, SpaceAllocation, Tenant, TenantId, TimeRange};
use quotagraph::store::{
    AnalystRole, AnalystTenants, Analysts, Claim, CollectionStatus, DueTenant, Feed, FeedBounds, FleetLog, FleetMark, FleetPart,
    FleetTenant, History, HistoryRetention, ImportRecord, ImportStep, ImportedRuns, Imports, Lifecycle, Observation, PackWhen,
    RecordedChange, Recording, Retention, Revise, RunScan, Schedule, SharedStore, SnapshotPage, SnapshotQuery, StoreError,
};
use tokio::sync::{mpsc, watch};

/// A store with faults.
pub struct FaultyStore {
    inner: SharedStore,
    /// How often each method is still to panic.
    faults: Mutex<HashMap<&'static str, u32>>,
    /// The tenant whose observations cannot be recorded.
    poison: Mutex<Option<&'static str>>,
}

impl FaultyStore {
    pub fn over(inner: SharedStore) -> Self {
        Self { inner, faults: Mutex::default(), poison: Mutex::default() }
    }

    /// Makes a method panic so many times.
    pub fn break_down(&self, method: &'static str, times: u32) {
        self.faults.lock().unwrap().insert(method, times);
    }

    /// Makes recording panic whenever an observation of this tenant is in the batch.
    pub fn poison(&self, tenant: &'static str) {
        *self.poison.lock().unwrap() = Some(tenant);
    }

    fn fail(&self, method: &'static str) {
        let is_due = self.faults.lock().unwrap().get_mut(method).is_some_and(|left| {
            let is_due = *left > 0;
            *left = left.saturating_sub(1);
            is_due
        });
        assert!(!is_due, "injected: {method}");
    }

    fn fail_at(&self, observations: &[Observation]) {
        let poison = *self.poison.lock().unwrap();
        let is_poisoned = observations.iter().any(|o| Some(o.tenant.as_str()) == poison);
        assert!(!is_poisoned, "injected: poison");
    }
}

#[async_trait::async_trait]
impl Lifecycle for FaultyStore {
    async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        self.fail("migrate");
        self.inner.migrate().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.fail("ping");
        self.inner.ping().await
    }

    async fn close(&self) {
        self.fail("close");
        self.inner.close().await;
    }
}

#[async_trait::async_trait]
impl Schedule for FaultyStore {
    async fn register_tenants(&self, tenants: &[Tenant], now: Timestamp) -> Result<(), StoreError> {
        self.fail("register_tenants");
        self.inner.register_tenants(tenants, now).await
    }

    async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        self.fail("tenants");
        self.inner.tenants().await
    }

    async fn claim_due(
        &self,
        claim: Claim,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueTenant>, StoreError> {
        self.fail("claim_due");
        self.inner.claim_due(claim, now, lease_until, limit).await
    }

    async fn collection_status(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, CollectionStatus)>, StoreError> {
        self.fail("collection_status");
        self.inner.collection_status(tenants).await
    }

    async fn earliest_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.fail("earliest_due");
        self.inner.earliest_due().await
    }
}

#[async_trait::async_trait]
impl Recording for FaultyStore {
    async fn record(&self, observations: &[Observation]) -> Result<Vec<Option<Effect>>, StoreError> {
        self.fail("record");
        self.fail_at(observations);
        self.inner.record(observations).await
    }

    async fn insert_runs(&self, tenant: &TenantId, runs: &[Run]) -> Result<(), StoreError> {
        self.fail("insert_runs");
        self.inner.insert_runs(tenant, runs).await
    }
}

#[async_trait::async_trait]
impl History for FaultyStore {
    async fn latest(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, SpaceAllocation)>, StoreError> {
        self.fail("latest");
        self.inner.latest(tenants).await
    }

    async fn runs(
        &self,
        tenants: &[TenantId],
        range: TimeRange,
        space_type: Option<i32>,
    ) -> Result<Vec<(TenantId, Vec<Run>)>, StoreError> {
        self.fail("runs");
        self.inner.runs(tenants, range, space_type).await
    }

    async fn scan(&self, tenants: &[TenantId], scan: &RunScan) -> Result<Vec<(TenantId, SnapshotPage)>, StoreError> {
        self.fail("scan");
        self.inner.scan(tenants, scan).await
    }

    async fn snapshots(&self, tenants: &[TenantId], query: &SnapshotQuery) -> Result<Vec<(TenantId, SnapshotPage)>, StoreError> {
        self.fail("snapshots");
        self.inner.snapshots(tenants, query).await
    }
}

#[async_trait::async_trait]
impl Feed for FaultyStore {
    async fn changes_after(
        &self,
        place: Timestamp,
        tenants: Option<&[TenantId]>,
        limit: u32,
    ) -> Result<Vec<RecordedChange>, StoreError> {
        self.fail("changes_after");
        self.inner.changes_after(place, tenants, limit).await
    }

    async fn feed_bounds(&self) -> Result<Option<FeedBounds>, StoreError> {
        self.fail("feed_bounds");
        self.inner.feed_bounds().await
    }

    async fn prune_changes(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.fail("prune_changes");
        self.inner.prune_changes(before, limit).await
    }

    fn feed_signal(&self) -> watch::Receiver<()> {
        self.inner.feed_signal()
    }

    async fn listen_for_changes(&self) -> Result<(), StoreError> {
        self.fail("listen_for_changes");
        self.inner.listen_for_changes().await
    }
}

#[async_trait::async_trait]
impl FleetLog for FaultyStore {
    async fn fleet_tenants(&self) -> Result<Vec<FleetTenant>, StoreError> {
        self.fail("fleet_tenants");
        self.inner.fleet_tenants().await
    }

    async fn read_fleet(
        &self,
        range: TimeRange,
        resume: Option<FleetMark>,
        parts: &mpsc::Sender<FleetPart>,
    ) -> Result<(), StoreError> {
        self.fail("read_fleet");
        self.inner.read_fleet(range, resume, parts).await
    }

    async fn pack_fleet(&self, when: PackWhen) -> Result<usize, StoreError> {
        self.fail("pack_fleet");
        self.inner.pack_fleet(when).await
    }
}

#[async_trait::async_trait]
impl Imports for FaultyStore {
    async fn revise_runs(
        &self,
        tenant: &TenantId,
        stretch: (Timestamp, Timestamp),
        step: ImportStep,
        revise: Revise<'_>,
    ) -> Result<bool, StoreError> {
        self.fail("revise_runs");
        self.inner.revise_runs(tenant, stretch, step, revise).await
    }

    async fn begin_import(&self, source: &str, now: Timestamp) -> Result<i64, StoreError> {
        self.fail("begin_import");
        self.inner.begin_import(source, now).await
    }

    async fn end_undo(&self, import: i64, now: Timestamp) -> Result<(), StoreError> {
        self.fail("end_undo");
        self.inner.end_undo(import, now).await
    }

    async fn imports(&self) -> Result<Vec<ImportRecord>, StoreError> {
        self.fail("imports");
        self.inner.imports().await
    }

    async fn imported_runs(&self, import: i64, tenant: &TenantId) -> Result<ImportedRuns, StoreError> {
        self.fail("imported_runs");
        self.inner.imported_runs(import, tenant).await
    }
}

#[async_trait::async_trait]
impl HistoryRetention for FaultyStore {
    async fn retention_due(&self, retention: &Retention, limit: u32) -> Result<Vec<TenantId>, StoreError> {
        self.fail("retention_due");
        self.inner.retention_due(retention, limit).await
    }

    async fn retain(&self, tenant: &TenantId, retention: &Retention) -> Result<Option<usize>, StoreError> {
        self.fail("retain");
        self.inner.retain(tenant, retention).await
    }
}

#[async_trait::async_trait]
impl Analysts for FaultyStore {
    async fn set_up_analyst(&self, role: &str, tenants: Option<&AnalystTenants>) -> Result<AnalystRole, StoreError> {
        self.fail("set_up_analyst");
        self.inner.set_up_analyst(role, tenants).await
    }
}
