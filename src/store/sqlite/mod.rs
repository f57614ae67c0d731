//! The embedded store: a `SQLite` file in WAL mode.
//!
//! `SQLite` has one writer at a time, so one connection writes and the others read. Lists go in as JSON, so that a statement does
//! the work for a whole batch.

mod connection;
mod feed;
mod fleet;
mod importing;
mod migrating;
mod reading;
mod recording;
mod retention;
mod row;
mod scanning;
mod tenants;

use jiff::Timestamp;
use sqlx::Transaction;
use sqlx::sqlite::{Sqlite, SqlitePool};
use tokio::sync::{mpsc, watch};

use super::{
    AnalystRole, AnalystTenants, CollectionStatus, DueTenant, FeedBounds, FleetMark, FleetPart, FleetTenant, ImportRecord,
    ImportStep, ImportedRuns, Observation, PackWhen, RecordedChange, Retention, Revise, RunScan, Settings, SnapshotPage,
    SnapshotQuery, Store, StoreError,
};
use crate::quota::recording::Effect;
use crate::quota::{Run, SpaceAllocation, Tenant, TenantId, TimeRange};

/// The store in a `SQLite` file.
#[derive(Debug)]
pub(super) struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    signal: watch::Sender<()>,
}

/// Begins a transaction that writes. It takes the write lock at once: one that begins by reading would fail, not wait, when
/// another process has written meanwhile.
async fn begin(writer: &SqlitePool) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
    writer.begin_with("begin immediate").await
}

pub(super) use self::connection::{check, require_file};

fn failed(action: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |source| StoreError::Database { action, source: Box::new(source) }
}

impl SqliteStore {
    /// Opens or creates the file, and refuses one that this version may not use.
    pub(super) async fn open(settings: &Settings) -> Result<Self, StoreError> {
        let (writer, readers) = connection::connect(settings).await?;
        Ok(Self { writer, readers, signal: watch::Sender::default() })
    }
}

#[async_trait::async_trait]
impl Store for SqliteStore {
    async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        migrating::migrate(&self.writer).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        migrating::check_migrated(&self.readers).await
    }

    async fn register_tenants(&self, tenants: &[Tenant], now: Timestamp) -> Result<(), StoreError> {
        tenants::register(&self.writer, tenants, now).await.map_err(failed("registering of tenants"))
    }

    async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        tenants::list(&self.readers).await.map_err(failed("reading of tenants"))
    }

    async fn claim_due(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        failing: bool,
        limit: u32,
    ) -> Result<Vec<DueTenant>, StoreError> {
        tenants::claim_due(&self.writer, now, lease_until, failing, limit).await.map_err(failed("claiming of due tenants"))
    }

    async fn record(&self, observations: &[Observation]) -> Result<Vec<Option<Effect>>, StoreError> {
        let recorded = recording::record(&self.writer, observations).await.map_err(failed("recording"))?;
        if recorded.in_feed {
            self.signal.send_replace(());
        }
        Ok(recorded.effects)
    }

    async fn insert_runs(&self, tenant: &TenantId, runs: &[Run]) -> Result<(), StoreError> {
        recording::insert_runs(&self.writer, tenant, runs).await
    }

    async fn revise_runs(
        &self,
        tenant: &TenantId,
        stretch: (Timestamp, Timestamp),
        step: ImportStep,
        revise: Revise<'_>,
    ) -> Result<bool, StoreError> {
        importing::revise_runs(&self.writer, tenant, stretch, step, revise).await
    }

    async fn begin_import(&self, source: &str, now: Timestamp) -> Result<i64, StoreError> {
        importing::begin(&self.writer, source, now).await.map_err(failed("beginning of an import"))
    }

    async fn end_undo(&self, import: i64, now: Timestamp) -> Result<(), StoreError> {
        importing::end_undo(&self.writer, import, now).await.map_err(failed("undoing of an import"))
    }

    async fn imports(&self) -> Result<Vec<ImportRecord>, StoreError> {
        importing::list(&self.readers).await.map_err(failed("reading of imports"))
    }

    async fn imported_runs(&self, import: i64, tenant: &TenantId) -> Result<ImportedRuns, StoreError> {
        importing::runs(&self.readers, import, tenant).await.map_err(failed("reading of imports"))
    }

    async fn latest(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, SpaceAllocation)>, StoreError> {
        reading::latest(&self.readers, tenants).await.map_err(failed("reading of newest snapshots"))
    }

    async fn runs(
        &self,
        tenants: &[TenantId],
        range: TimeRange,
        space_type: Option<i32>,
    ) -> Result<Vec<(TenantId, Vec<Run>)>, StoreError> {
        reading::runs(&self.readers, tenants, range, space_type).await.map_err(failed("reading of history"))
    }

    async fn scan(&self, tenants: &[TenantId], scan: &RunScan) -> Result<Vec<(TenantId, SnapshotPage)>, StoreError> {
        scanning::scan(&self.readers, tenants, scan).await.map_err(failed("reading of history"))
    }

    async fn snapshots(&self, tenants: &[TenantId], query: &SnapshotQuery) -> Result<Vec<(TenantId, SnapshotPage)>, StoreError> {
        reading::snapshots(&self.readers, tenants, query).await.map_err(failed("reading of snapshots"))
    }

    async fn collection_status(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, CollectionStatus)>, StoreError> {
        tenants::collection_status(&self.readers, tenants).await.map_err(failed("reading of collection status"))
    }

    async fn earliest_due(&self) -> Result<Option<Timestamp>, StoreError> {
        tenants::earliest_due(&self.readers).await.map_err(failed("reading of the schedule"))
    }

    async fn changes_after(
        &self,
        place: Timestamp,
        tenants: Option<&[TenantId]>,
        limit: u32,
    ) -> Result<Vec<RecordedChange>, StoreError> {
        feed::after(&self.readers, place, tenants, limit).await.map_err(failed("reading of changes"))
    }

    async fn feed_bounds(&self) -> Result<Option<FeedBounds>, StoreError> {
        feed::bounds(&self.readers).await.map_err(failed("reading of changes"))
    }

    async fn prune_changes(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        feed::prune(&self.writer, before, limit).await.map_err(failed("removing of old changes"))
    }

    fn feed_signal(&self) -> watch::Receiver<()> {
        self.signal.subscribe()
    }

    async fn listen_for_changes(&self) -> Result<(), StoreError> {
        // Another process with the same file is found by looking.
        std::future::pending().await
    }

    async fn fleet_tenants(&self) -> Result<Vec<FleetTenant>, StoreError> {
        fleet::tenants(&self.readers).await.map_err(failed("reading of tenants"))
    }

    async fn read_fleet(
        &self,
        range: TimeRange,
        resume: Option<FleetMark>,
        parts: &mpsc::Sender<FleetPart>,
    ) -> Result<(), StoreError> {
        fleet::read(&self.readers, range, resume, parts).await
    }

    async fn pack_fleet(&self, when: PackWhen) -> Result<usize, StoreError> {
        fleet::pack(&self.writer, when).await
    }

    async fn set_up_analyst(&self, _: &str, _: Option<&AnalystTenants>) -> Result<AnalystRole, StoreError> {
        Err(StoreError::Unusable(
            "SQLite has no roles: who can read the file reads all of it. Give analysts API keys, exports, or a copy of the file"
                .into(),
        ))
    }

    async fn retention_due(&self, retention: &Retention, limit: u32) -> Result<Vec<TenantId>, StoreError> {
        retention::due(&self.readers, retention, limit).await.map_err(failed("looking for old history"))
    }

    async fn retain(&self, tenant: &TenantId, retention: &Retention) -> Result<Option<usize>, StoreError> {
        retention::retain(&self.writer, tenant, retention).await.map_err(failed("thinning of old history"))
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
