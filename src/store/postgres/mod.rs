//! The store in Postgres 15 or newer.
//!
//! Every method is one transaction of unnamed statements. That is what a pgbouncer in transaction mode can carry: between two
//! transactions it may change the server under us, so nothing may outlive one, neither named statements nor session locks.

mod analyst;
mod connection;
mod feed;
mod fleet;
mod importing;
mod listening;
mod migrating;
mod reading;
mod recording;
mod retention;
mod row;
mod scanning;
mod statement;
mod tenants;

use jiff::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio::sync::{mpsc, watch};
use tracing::info;

use self::listening::Pooled;
use self::statement::failed;

use super::{
    AnalystRole, AnalystTenants, CollectionStatus, DueTenant, FeedBounds, FleetMark, FleetPart, FleetTenant, ImportRecord,
    ImportStep, ImportedRuns, Observation, PackWhen, RecordedChange, Retention, Revise, RunScan, Settings, SnapshotPage,
    SnapshotQuery, Store, StoreError,
};
use crate::quota::recording::Effect;
use crate::quota::{Run, SpaceAllocation, Tenant, TenantId, TimeRange};

#[derive(Debug)]
pub(super) struct PostgresStore {
    pool: PgPool,
    /// How to get the connection that listens; `None` when others are not listened for.
    listening: Option<PgConnectOptions>,
    signal: watch::Sender<()>,
}

impl PostgresStore {
    /// Connects, and refuses a server or a database that this version may not use.
    pub(super) async fn open(settings: &Settings) -> Result<Self, StoreError> {
        let (pool, options) = connection::connect(settings).await?;
        let store = Self { pool, listening: settings.listen.then_some(options), signal: watch::Sender::default() };
        migrating::check_usable(&store.pool).await?;
        Ok(store)
    }
}

#[async_trait::async_trait]
impl Store for PostgresStore {
    async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        migrating::migrate(&self.pool).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        migrating::check_migrated(&self.pool).await
    }

    async fn register_tenants(&self, tenants: &[Tenant], now: Timestamp) -> Result<(), StoreError> {
        tenants::register(&self.pool, tenants, now).await.map_err(failed("registering of tenants"))
    }

    async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        tenants::list(&self.pool).await.map_err(failed("reading of tenants"))
    }

    async fn claim_due(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        failing: bool,
        limit: u32,
    ) -> Result<Vec<DueTenant>, StoreError> {
        tenants::claim_due(&self.pool, now, lease_until, failing, limit).await.map_err(failed("claiming of due tenants"))
    }

    async fn record(&self, observations: &[Observation]) -> Result<Vec<Option<Effect>>, StoreError> {
        let recorded = recording::record(&self.pool, observations).await.map_err(failed("recording"))?;
        if recorded.in_feed {
            self.signal.send_replace(());
        }
        Ok(recorded.effects)
    }

    async fn insert_runs(&self, tenant: &TenantId, runs: &[Run]) -> Result<(), StoreError> {
        recording::insert_runs(&self.pool, tenant, runs).await
    }

    async fn revise_runs(
        &self,
        tenant: &TenantId,
        stretch: (Timestamp, Timestamp),
        step: ImportStep,
        revise: Revise<'_>,
    ) -> Result<bool, StoreError> {
        importing::revise_runs(&self.pool, tenant, stretch, step, revise).await
    }

    async fn begin_import(&self, source: &str, now: Timestamp) -> Result<i64, StoreError> {
        importing::begin(&self.pool, source, now).await.map_err(failed("beginning of an import"))
    }

    async fn end_undo(&self, import: i64, now: Timestamp) -> Result<(), StoreError> {
        importing::end_undo(&self.pool, import, now).await.map_err(failed("undoing of an import"))
    }

    async fn imports(&self) -> Result<Vec<ImportRecord>, StoreError> {
        importing::list(&self.pool).await.map_err(failed("reading of imports"))
    }

    async fn imported_runs(&self, import: i64, tenant: &TenantId) -> Result<ImportedRuns, StoreError> {
        importing::runs(&self.pool, import, tenant).await.map_err(failed("reading of imports"))
    }

    async fn latest(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, SpaceAllocation)>, StoreError> {
        reading::latest(&self.pool, tenants).await.map_err(failed("reading of newest snapshots"))
    }

    async fn runs(
        &self,
        tenants: &[TenantId],
        range: TimeRange,
        space_type: Option<i32>,
    ) -> Result<Vec<(TenantId, Vec<Run>)>, StoreError> {
        reading::runs(&self.pool, tenants, range, space_type).await.map_err(failed("reading of history"))
    }

    async fn scan(&self, tenants: &[TenantId], scan: &RunScan) -> Result<Vec<(TenantId, SnapshotPage)>, StoreError> {
        scanning::scan(&self.pool, tenants, scan).await.map_err(failed("reading of history"))
    }

    async fn snapshots(&self, tenants: &[TenantId], query: &SnapshotQuery) -> Result<Vec<(TenantId, SnapshotPage)>, StoreError> {
        reading::snapshots(&self.pool, tenants, query).await.map_err(failed("reading of snapshots"))
    }

    async fn collection_status(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, CollectionStatus)>, StoreError> {
        tenants::collection_status(&self.pool, tenants).await.map_err(failed("reading of collection status"))
    }

    async fn earliest_due(&self) -> Result<Option<Timestamp>, StoreError> {
        tenants::earliest_due(&self.pool).await.map_err(failed("reading of the schedule"))
    }

    async fn changes_after(
        &self,
        place: Timestamp,
        tenants: Option<&[TenantId]>,
        limit: u32,
    ) -> Result<Vec<RecordedChange>, StoreError> {
        feed::after(&self.pool, place, tenants, limit).await.map_err(failed("reading of changes"))
    }

    async fn feed_bounds(&self) -> Result<Option<FeedBounds>, StoreError> {
        feed::bounds(&self.pool).await.map_err(failed("reading of changes"))
    }

    async fn prune_changes(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        feed::prune(&self.pool, before, limit).await.map_err(failed("removing of old changes"))
    }

    fn feed_signal(&self) -> watch::Receiver<()> {
        self.signal.subscribe()
    }

    async fn listen_for_changes(&self) -> Result<(), StoreError> {
        if let Some(options) = &self.listening {
            let Pooled = listening::listen(options.clone(), &self.signal).await.map_err(failed("listening for changes"))?;
            info!("the database is behind a pooler: what other replicas record is looked for, and found within a second");
        }
        std::future::pending().await
    }

    async fn fleet_tenants(&self) -> Result<Vec<FleetTenant>, StoreError> {
        fleet::tenants(&self.pool).await.map_err(failed("reading of tenants"))
    }

    async fn read_fleet(
        &self,
        range: TimeRange,
        resume: Option<FleetMark>,
        parts: &mpsc::Sender<FleetPart>,
    ) -> Result<(), StoreError> {
        fleet::read(&self.pool, range, resume, parts).await
    }

    async fn pack_fleet(&self, when: PackWhen) -> Result<usize, StoreError> {
        fleet::pack(&self.pool, when).await
    }

    async fn set_up_analyst(&self, role: &str, tenants: Option<&AnalystTenants>) -> Result<AnalystRole, StoreError> {
        analyst::set_up(&self.pool, role, tenants).await
    }

    async fn retention_due(&self, retention: &Retention, limit: u32) -> Result<Vec<TenantId>, StoreError> {
        retention::due(&self.pool, retention, limit).await.map_err(failed("looking for old history"))
    }

    async fn retain(&self, tenant: &TenantId, retention: &Retention) -> Result<Option<usize>, StoreError> {
        retention::retain(&self.pool, tenant, retention).await.map_err(failed("thinning of old history"))
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
