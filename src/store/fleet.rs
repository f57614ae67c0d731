//! The log of changes as it is stored (see [`crate::quota::fleet`]).

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::error::StoreError;
use crate::quota::fleet::{Change, Opening};
use crate::quota::{TenantId, TimeRange};

/// A tenant as the log knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetTenant {
    pub id: TenantId,
    /// Its number.
    pub tenant_no: u32,
    /// Until when its newest sample holds; `None` when it has none.
    pub holds_until: Option<Timestamp>,
}

/// Up to where the packed log was read. It can be gone on from there as long as nothing before has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetMark {
    /// All days before this one were read.
    pub day: i64,
    /// The greatest version among them.
    pub version: i64,
}

/// A part of the log, in the order in which [`FleetLog::read_fleet`] gives them.
#[derive(Clone, Debug)]
pub enum FleetPart {
    /// Comes first.
    Begin {
        /// Whether the reader may go on from its mark; else it begins anew with the opening.
        resumed: bool,
        /// From where the reader may go on next time: if it keeps what it has before this day. Absent when nothing is packed, or when
        /// changes from before that day are not.
        mark: Option<FleetMark>,
        /// What everything before the first day adds up to.
        opening: Opening,
        /// The changes that are not packed, sorted by instant. They belong between those of the days.
        recent: Vec<Change>,
    },
    /// A packed day; they come in order.
    Day {
        /// The day, counted from 1970.
        day: i64,
        /// To be read as [`DayChanges`](crate::quota::fleet::DayChanges).
        changes: Vec<u8>,
    },
}

/// When unpacked changes are to be packed.
#[derive(Clone, Copy, Debug)]
pub struct PackWhen {
    /// As soon as there are so many.
    pub at_least: u32,
    /// Or as soon as one is from before this instant.
    pub older_than: Timestamp,
}

/// The log of changes that sums over tenants are computed from.
#[async_trait::async_trait]
pub trait FleetLog: Send + Sync {
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
}

/// A day as the databases keep it.
pub(super) fn narrow(day: i64) -> i32 {
    i32::try_from(day).unwrap_or(if day < 0 { i32::MIN } else { i32::MAX })
}

/// An error for bytes that cannot be read.
pub(super) fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Database { action: "reading of the log of changes", source: Box::new(error) }
}
