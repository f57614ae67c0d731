//! Transactions that change history: what is done in which order, once for both backends. Each statement is the backend's own.

mod fleet_reading;
mod packing;
mod recording;
mod retaining;
mod revising;

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::{Database, Transaction};

pub(super) use self::fleet_reading::{FleetSession, read_fleet};
pub(super) use self::packing::{PackingSession, pack};
pub(super) use self::recording::{insert_runs, record};
pub(super) use self::retaining::{Retained, RetentionSession, retain};
pub(super) use self::revising::{ImportSession, revise_runs};
use super::batch::{Changes, Stretch, TenantRow};
use crate::quota::fleet::Step;
use crate::quota::{Change, Run, TenantId};

/// What a statement gives, in the end.
pub(super) trait Statement<T>: Future<Output = Result<T, sqlx::Error>> + Send {}

impl<T, F: Future<Output = Result<T, sqlx::Error>> + Send> Statement<T> for F {}

/// A database whose history is changed.
pub(super) trait Backend: Sync {
    type Session: WriteSession;

    /// Begins a transaction that writes.
    fn begin(&self) -> impl Statement<Self::Session>;

    /// Tells the readers of this process that there is something new in the feed.
    fn signal_feed(&self);
}

/// A transaction. One that is dropped without an end changes nothing.
pub(super) trait Session: Send + Sized {
    fn commit(self) -> impl Statement<()>;

    /// Gives the locks back before it returns, not some time after.
    fn rollback(self) -> impl Statement<()>;
}

impl<D: Database> Session for Transaction<'_, D> {
    async fn commit(self) -> Result<(), sqlx::Error> {
        Transaction::commit(self).await
    }

    async fn rollback(self) -> Result<(), sqlx::Error> {
        Transaction::rollback(self).await
    }
}

/// A transaction that writes: it locks, loads, writes and commits.
pub(super) trait WriteSession: Session {
    /// Locks those of the tenants that are collected, until the end of the transaction, and gives their rows. In the order of the ids, so
    /// that two batches with tenants in common wait for each other and never in a circle.
    fn lock_tenants(&mut self, tenants: &[&TenantId]) -> impl Statement<BTreeMap<TenantId, TenantRow>>;

    /// The runs of all stretches, in no order.
    fn load_runs(&mut self, stretches: &[Stretch]) -> impl Statement<BTreeMap<TenantId, Vec<Run>>>;

    /// Deletes runs by type and start.
    fn delete_runs(&mut self, keys: &[(TenantId, i32, Timestamp)]) -> impl Statement<()>;

    /// Inserts runs, or changes how far those with the same type and start reach.
    fn put_runs(&mut self, runs: &[(TenantId, Run)]) -> impl Statement<()>;

    fn add_types(&mut self, new_types: &[(TenantId, i32)]) -> impl Statement<()>;

    fn update_tenants(&mut self, rows: &[(TenantId, TenantRow)]) -> impl Statement<()>;

    /// Adds changes to the log that sums over tenants are computed from.
    fn append_to_log(&mut self, steps: &[(TenantId, Step)]) -> impl Statement<()>;

    /// Adds changes to the feed. From now until the end of the transaction nobody else does: places are in the order of the commits.
    fn append_to_feed(&mut self, observed: &[(TenantId, Change)]) -> impl Statement<()>;
}

/// Writes what changes: at most one call for each kind of change, whatever the size of the batch.
async fn write(session: &mut impl WriteSession, changes: &Changes) -> Result<(), sqlx::Error> {
    if !changes.deleted.is_empty() {
        session.delete_runs(&changes.deleted).await?;
    }
    if !changes.put.is_empty() {
        session.put_runs(&changes.put).await?;
    }
    if !changes.new_types.is_empty() {
        session.add_types(&changes.new_types).await?;
    }
    if !changes.rows.is_empty() {
        session.update_tenants(&changes.rows).await?;
    }
    if !changes.fleet.is_empty() {
        session.append_to_log(&changes.fleet).await?;
    }
    // Last, for its lock.
    if !changes.observed.is_empty() {
        session.append_to_feed(&changes.observed).await?;
    }
    Ok(())
}
