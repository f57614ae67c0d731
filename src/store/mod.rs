//! What is kept: tenants with their schedule, and the run-length history of their allocations.
//!
//! One narrow trait, two backends that pass the same contract tests (`tests/it/store_contract.rs`). No caller knows which it has.

mod answering;
mod batch;
mod feed;
mod fleet;
mod instant;
mod migrations;
mod postgres;
mod retention;
mod shaping;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use tokio::sync::{mpsc, watch};

pub use self::answering::Answering;
pub use self::feed::{FeedBounds, RecordedChange};
pub use self::fleet::{FleetMark, FleetPart, FleetTenant, PackWhen};
pub use self::retention::Retention;
use crate::quota::recording::Effect;
use crate::quota::{MAX_SPACE_TYPES_EVER, Run, Sample, SpaceAllocation, Tenant, TenantId, TimeRange};

/// A store that is shared by the parts of one service.
pub type SharedStore = Arc<dyn Store>;

/// Why the store could not do its work. "Not there" is never an error but an empty answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, refused, or failed. The cause is for the log.
    #[error("the database {action} failed")]
    Database {
        /// What was tried, such as `recording`.
        action: &'static str,
        /// The driver's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database gave no answer in the time that there was for it.
    #[error("the database gave no answer within {0:?}")]
    Slow(Duration),
    /// Nobody waits for what is read any more, or it would be more than one answer may take.
    #[error("nobody waits for what is read any more")]
    GivenUp,
    /// The database is not one that this version may use. The sentence says what to mend.
    #[error("{0}")]
    Unusable(String),
}

impl StoreError {
    /// A tenant whose runs cannot be revised.
    fn not_registered(tenant: &TenantId) -> Self {
        Self::Unusable(format!("the config has no tenant {tenant} any more; runs are changed only of those that it has"))
    }

    /// Runs by which a tenant would have too many types.
    fn too_many_types(tenant: &TenantId) -> Self {
        Self::Unusable(format!(
            "tenant {tenant} would have more than {MAX_SPACE_TYPES_EVER} space types, with those that it has had; a history takes no more"
        ))
    }

    /// Runs that cannot be added, with the reason.
    fn refused_runs(reason: String) -> Self {
        Self::Database { action: "adding of runs", source: reason.into() }
    }
}

/// A tenant that is due, claimed for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueTenant {
    pub id: TenantId,
    /// When it was due.
    pub due_at: Timestamp,
    /// Its number: its place in the order in which tenants were first seen; never changes. Schedules are spread by it.
    pub ordinal: i64,
    /// How many attempts in a row failed before.
    pub consecutive_failures: u32,
}

/// What one attempt to ask a tenant's upstream gave.
#[derive(Clone, Debug)]
pub struct Observation {
    pub tenant: TenantId,
    /// When it was asked.
    pub attempted_at: Timestamp,
    /// What came back.
    pub outcome: Result<Sample, CollectionError>,
    /// The next attempt of the collector, which also ends the claim; `None` leaves schedule and claim as they are (an answer that a
    /// reader caused).
    pub next_due_at: Option<Timestamp>,
}

/// Why an attempt failed, in words that may be shown to whoever may see the tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionError {
    /// One of the error codes of the API.
    pub code: String,
    /// A sentence.
    pub message: String,
}

/// How the collection of a tenant is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectionStatus {
    /// The newest attempt.
    pub last_attempt_at: Option<Timestamp>,
    /// The newest attempt that gave a sample.
    pub last_success_at: Option<Timestamp>,
    /// The next attempt of the collector.
    pub next_attempt_at: Option<Timestamp>,
    /// Failed attempts since the last good one.
    pub consecutive_failures: u32,
    /// The newest failure and its instant. Kept after a later success.
    pub last_error: Option<(CollectionError, Timestamp)>,
}

/// Which snapshots to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SnapshotQuery {
    /// Only runs whose last sample is at or after this instant.
    pub from: Option<Timestamp>,
    /// Only runs whose first sample is before this instant.
    pub to: Option<Timestamp>,
    /// Only this space type.
    pub space_type: Option<i32>,
    /// Only runs after this place in the order.
    pub after: Option<SnapshotKey>,
    /// Only runs before this place in the order.
    pub before: Option<SnapshotKey>,
    /// The last ones instead of the first ones (still in ascending order).
    pub backwards: bool,
    /// How many at most; at least 1.
    pub limit: u32,
}

/// A page of a tenant's runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotPage {
    /// The runs, in the order that was asked for.
    pub runs: Vec<Run>,
    /// Whether there are more in the direction asked.
    pub more: bool,
}

/// A snapshot's place in the order: by first sample, then by space type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotKey {
    /// The first sample's instant.
    pub first_at: Timestamp,
    pub space_type: i32,
}

/// The tenants that an analysts' role may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnalystTenants {
    /// All of them, also those to come.
    All,
    /// These.
    Only(Vec<TenantId>),
}

/// What an analysts' role may read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnalystRole {
    /// Whether it may read all tenants.
    pub all: bool,
    /// The tenants that it may read, as its grants name them.
    pub tenants: Vec<String>,
    /// Those among its grants that no tenant has registered as yet.
    pub unknown: Vec<String>,
}

/// Which runs to read through, page by page.
#[derive(Clone, Copy, Debug)]
pub struct RunScan {
    /// The runs that may say something about this range, as [`Store::runs`] has it.
    pub range: TimeRange,
    /// Only this space type.
    pub space_type: Option<i32>,
    /// Only runs after this place in the order.
    pub after: Option<RunKey>,
    /// How many of each tenant at most; at least 1.
    pub limit: u32,
}

/// A run's place among those of its tenant: by space type, then by first sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey {
    pub space_type: i32,
    /// The first sample's instant.
    pub first_at: Timestamp,
}

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

/// The store's contract. Instants are kept to the millisecond or better. All methods may be called concurrently and by many
/// replicas at once.
#[async_trait::async_trait]
pub trait Store: Send + Sync + 'static {
    /// Applies what is missing of the migrations and names them, oldest first. Refuses a database that belongs to something else or
    /// that a newer version has migrated.
    async fn migrate(&self) -> Result<Vec<String>, StoreError>;

    /// Answers when the database can be read and is migrated.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Makes the given tenants the ones that are collected: new ones are added and are due at `now`, known ones get their name and
    /// labels; those not given keep their history and are no longer due.
    async fn register_tenants(&self, tenants: &[Tenant], now: Timestamp) -> Result<(), StoreError>;

    /// Every tenant that was ever registered, sorted by id, also those that are no longer collected.
    async fn tenants(&self) -> Result<Vec<Tenant>, StoreError>;

    /// Claims up to `limit` tenants that are due at `now` and not claimed by anybody, the longest overdue first. A claim lasts until
    /// its observation is recorded, or until `lease_until`. Among concurrent callers each tenant goes to one.
    /// With `failing` only tenants whose last attempt failed are claimed, else only the others.
    async fn claim_due(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        failing: bool,
        limit: u32,
    ) -> Result<Vec<DueTenant>, StoreError>;

    /// Records observations in one transaction: samples by the rule of [`crate::quota::recording`], failures and schedules in the
    /// tenant's status. Several observations of one tenant are applied in the order of their instants; a late one never moves the
    /// status backwards, and the same one twice counts once. Tenants that are not registered, or no longer, are passed over. Gives
    /// the effect of each observation, in order; `None` for failures and for tenants that are passed over. Changes of tenants' newest
    /// answers go to the feed.
    async fn record(&self, observations: &[Observation]) -> Result<Vec<Option<Effect>>, StoreError>;

    /// Adds whole runs to a registered tenant that has no runs in their stretches; in one transaction. An unknown tenant and runs
    /// that overlap are errors, and nothing is added. Nothing goes to the feed.
    async fn insert_runs(&self, tenant: &TenantId, runs: &[Run]) -> Result<(), StoreError>;

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

    /// The newest recorded answer of each tenant that has one: the types that its newest sample listed, which may be none. One
    /// statement.
    async fn latest(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, SpaceAllocation)>, StoreError>;

    /// The runs that may say something about the range, of each tenant that has any: per space type those that overlap it and the
    /// newest one before it. Sorted by space type, then by start. One statement.
    async fn runs(
        &self,
        tenants: &[TenantId],
        range: TimeRange,
        space_type: Option<i32>,
    ) -> Result<Vec<(TenantId, Vec<Run>)>, StoreError>;

    /// A page of each tenant's runs in ascending order of [`RunKey`], and whether there are more: what [`Store::runs`] gives, for
    /// those who cannot hold it all at once. One statement. Tenants without any are left out.
    async fn scan(&self, tenants: &[TenantId], scan: &RunScan) -> Result<Vec<(TenantId, SnapshotPage)>, StoreError>;

    /// A page of each tenant's snapshots, in ascending order of [`SnapshotKey`], and whether there are more in the direction asked. One
    /// statement. Tenants without any are left out.
    async fn snapshots(&self, tenants: &[TenantId], query: &SnapshotQuery) -> Result<Vec<(TenantId, SnapshotPage)>, StoreError>;

    /// The status of each tenant that is known. One statement.
    async fn collection_status(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, CollectionStatus)>, StoreError>;

    /// The earliest instant at which a registered tenant is or was due; `None` without tenants. In the past when the collector lags.
    async fn earliest_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// The changes of the feed after a place, in the order of recording, at most `limit`; of these tenants, or of all. What is committed
    /// later comes after all that this gives. One statement.
    async fn changes_after(
        &self,
        place: Timestamp,
        tenants: Option<&[TenantId]>,
        limit: u32,
    ) -> Result<Vec<RecordedChange>, StoreError>;

    /// The bounds of the feed; `None` while it is empty.
    async fn feed_bounds(&self) -> Result<Option<FeedBounds>, StoreError>;

    /// Removes up to `limit` of the oldest changes of the feed that lie before a place, but never the newest one. Gives how many.
    async fn prune_changes(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// Is marked as changed when something was added to the feed: by this store at once, by others only while
    /// [`Store::listen_for_changes`] runs. A mark may be missing, so look now and then too.
    fn feed_signal(&self) -> watch::Receiver<()>;

    /// Listens for what others add to the feed, and marks [`Store::feed_signal`]. Ends only by an error, when the database is away;
    /// never where others cannot be heard at all.
    async fn listen_for_changes(&self) -> Result<(), StoreError>;

    /// Every tenant that was ever registered, as the log of changes knows it.
    async fn fleet_tenants(&self) -> Result<Vec<FleetTenant>, StoreError>;

    /// Reads the log of changes as far as sums over the range need it, into `parts`, for a reader that may go on from `resume`. Ends early
    /// when the reader is gone. What is read is of one moment.
    async fn read_fleet(
        &self,
        range: TimeRange,
        resume: Option<FleetMark>,
        parts: &mpsc::Sender<FleetPart>,
    ) -> Result<(), StoreError>;

    /// Packs changes of the log, if it is time, and says how many; 0 also while another replica packs. To be called until it is 0.
    async fn pack_fleet(&self, when: PackWhen) -> Result<usize, StoreError>;

    /// Lets a role read the analysts' views and nothing else; makes the role when there is none. With `tenants`, these are the ones it may
    /// read from now on, else it keeps those that it had. Refused where there are no roles, and for a role that reads everything anyway.
    async fn set_up_analyst(&self, role: &str, tenants: Option<&AnalystTenants>) -> Result<AnalystRole, StoreError>;

    /// Some tenants, `limit` at most, of which something is to be thinned or forgotten.
    async fn retention_due(&self, retention: &Retention, limit: u32) -> Result<Vec<TenantId>, StoreError>;

    /// Thins and forgets a part of a tenant's old history in one transaction, with the log of changes, and says by how many runs it became less;
    /// `None` when another replica is at it. To be called until the tenant is no longer due.
    async fn retain(&self, tenant: &TenantId, retention: &Retention) -> Result<Option<usize>, StoreError>;

    /// Closes the connections.
    async fn close(&self);
}

/// How to reach a database.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `postgres://…` or `sqlite:PATH`. May hold a password; never printed.
    pub url: secrecy::SecretString,
    /// Connections at most; at least 1. A `SQLite` file has one more, which writes.
    pub max_connections: u32,
    /// How long a caller waits for a connection.
    pub acquire_timeout: Duration,
    /// Whether to listen for what other replicas record (`LISTEN`), which takes one more connection. Postgres only.
    pub listen: bool,
}

/// Opens the database that the URL names, without migrating it. A `SQLite` file is created when it is not there.
///
/// # Errors
/// [`StoreError::Unusable`] with what to mend when the URL is not understood, else [`StoreError::Database`].
pub async fn open(settings: &Settings) -> Result<SharedStore, StoreError> {
    let url = settings.url.expose_secret();
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        Ok(Arc::new(postgres::PostgresStore::open(settings).await?))
    } else if url.starts_with("sqlite:") {
        Ok(Arc::new(sqlite::SqliteStore::open(settings).await?))
    } else {
        Err(StoreError::Unusable("the database URL is not understood: write postgres://USER@HOST/DATABASE or sqlite:PATH".into()))
    }
}

/// The same of a database that is there: a `SQLite` file is not created.
///
/// # Errors
/// As [`open`], and [`StoreError::Unusable`] with the whole path of a file that is not there.
pub async fn open_existing(settings: &Settings) -> Result<SharedStore, StoreError> {
    if settings.url.expose_secret().starts_with("sqlite:") {
        sqlite::require_file(settings)?;
    }
    open(settings).await
}

/// Looks whether the database can be used, and changes nothing: no migration is applied, and no `SQLite` file is created. Of a file that is not
/// there it looks whether it could be. With `migrated` the database must have all migrations already.
///
/// # Errors
/// As [`open_existing`], and as [`Store::ping`] with `migrated`.
pub async fn check(settings: &Settings, migrated: bool) -> Result<(), StoreError> {
    let is_file = settings.url.expose_secret().starts_with("sqlite:");
    if is_file && !migrated {
        return sqlite::check(settings).await;
    }
    let store = open_existing(settings).await?;
    let pinged = if migrated { store.ping().await } else { Ok(()) };
    store.close().await;
    pinged
}
