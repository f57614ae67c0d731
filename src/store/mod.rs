//! What is kept: tenants with their schedule, and the run-length history of their allocations.
//!
//! One trait for each topic, and two backends that pass the same contract tests (`tests/it/store_contract.rs`). No caller knows which it has.

mod analysts;
mod answering;
mod batch;
mod error;
mod feed;
mod fleet;
mod history;
mod imports;
mod instant;
mod lifecycle;
mod migrations;
mod opening;
mod postgres;
mod recording;
mod retention;
mod schedule;
mod session;
mod settings;
mod shaping;
mod sqlite;

use std::sync::Arc;

pub use self::analysts::{AnalystRole, AnalystTenants, Analysts};
pub use self::answering::Answering;
pub use self::error::StoreError;
pub use self::feed::{Feed, FeedBounds, RecordedChange};
pub use self::fleet::{FleetLog, FleetMark, FleetPart, FleetTenant, PackWhen};
pub use self::history::{History, RunKey, RunScan, SnapshotKey, SnapshotPage, SnapshotQuery};
pub use self::imports::{ImportRecord, ImportStep, ImportedRuns, Imports, Revise};
pub use self::lifecycle::Lifecycle;
pub use self::opening::{check, open, open_existing};
pub use self::recording::{Observation, Recording};
pub use self::retention::{HistoryRetention, Retention};
pub use self::schedule::{Claim, CollectionError, CollectionStatus, DueTenant, Schedule};
pub use self::settings::Settings;

/// The store's contract: that of all topics. Instants are kept to the millisecond or better. All methods may be called concurrently and
/// by many replicas at once.
pub trait Store:
    Analysts + Feed + FleetLog + History + HistoryRetention + Imports + Lifecycle + Recording + Schedule + 'static
{
}

impl<T> Store for T where
    T: Analysts + Feed + FleetLog + History + HistoryRetention + Imports + Lifecycle + Recording + Schedule + 'static
{
}

/// A store that is shared by the parts of one service.
pub type SharedStore = Arc<dyn Store>;
