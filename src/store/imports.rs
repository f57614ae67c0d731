//! Imports: revisions of a tenant's runs that can be taken back.

use jiff::Timestamp;

use super::error::StoreError;
use crate::quota::{Run, TenantId};

/// An import that the store knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRecord {
    pub id: i64,
    /// The name of its file.
    pub source: String,
    /// When it was begun.
    pub imported_at: Timestamp,
    /// When it was taken back; `None` while it is in force.
    pub undone_at: Option<Timestamp>,
    /// The tenants whose history it changed and that were not taken back, sorted.
    pub tenants: Vec<TenantId>,
}

/// What an import did to a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportedRuns {
    /// The runs that it took away, sorted by type and start.
    pub removed: Vec<Run>,
    /// The runs that it left instead, sorted likewise.
    pub added: Vec<Run>,
    /// Whether history in which some of them lie was thinned or forgotten since.
    pub are_reduced: bool,
}

/// Works out a tenant's runs anew: from those around a stretch, sorted by type and start, to all of them as they shall be. `None` leaves them.
pub type Revise<'a> = &'a (dyn Fn(&[Run]) -> Option<Vec<Run>> + Send + Sync);

/// What becomes of an import by a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportStep {
    /// What the revision changes is kept as a part of this import.
    Apply(i64),
    /// What the import changed is forgotten.
    Undo(i64),
}

/// Revisions of history, and which import made them.
#[async_trait::async_trait]
pub trait Imports: Send + Sync {
    /// Revises the runs of a registered tenant from one instant to another, inclusive, in one transaction with what becomes of the import.
    /// The revision is given the runs that start in the stretch and the nearest one on either side, of each type. Tells whether it was done:
    /// not when the revision declines.
    async fn revise_runs(
        &self,
        tenant: &TenantId,
        stretch: (Timestamp, Timestamp),
        step: ImportStep,
        revise: Revise<'_>,
    ) -> Result<bool, StoreError>;

    /// Begins an import of a file of this name, and gives its id.
    async fn begin_import(&self, source: &str, now: Timestamp) -> Result<i64, StoreError>;

    /// Notes that an import was taken back.
    async fn end_undo(&self, import: i64, now: Timestamp) -> Result<(), StoreError>;

    /// All imports, oldest first.
    async fn imports(&self) -> Result<Vec<ImportRecord>, StoreError>;

    /// What an import did to a tenant; empty when it did nothing or was taken back.
    async fn imported_runs(&self, import: i64, tenant: &TenantId) -> Result<ImportedRuns, StoreError>;
}
