//! Reading the history.

use jiff::Timestamp;

use super::error::StoreError;
use crate::quota::{Run, SpaceAllocation, TenantId, TimeRange};

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

/// A snapshot's place in the order: by first sample, then by space type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotKey {
    /// The first sample's instant.
    pub first_at: Timestamp,
    pub space_type: i32,
}

/// A page of a tenant's runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotPage {
    /// The runs, in the order that was asked for.
    pub runs: Vec<Run>,
    /// Whether there are more in the direction asked.
    pub more: bool,
}

/// Which runs to read through, page by page.
#[derive(Clone, Copy, Debug)]
pub struct RunScan {
    /// The runs that may say something about this range, as [`History::runs`] has it.
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

impl SnapshotQuery {
    /// Makes the page out of the runs that were read, one more than asked for if there are more, in the direction asked.
    pub(super) fn cut_page(&self, mut runs: Vec<Run>) -> SnapshotPage {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = runs.len() > limit;
        runs.truncate(limit);
        if self.backwards {
            runs.reverse();
        }
        SnapshotPage { runs, more }
    }
}

impl RunScan {
    /// Makes the page out of the runs that were read, one more than asked for if there are more.
    pub(super) fn cut_page(&self, mut runs: Vec<Run>) -> SnapshotPage {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = runs.len() > limit;
        runs.truncate(limit);
        SnapshotPage { runs, more }
    }
}

/// The recorded history of tenants.
#[async_trait::async_trait]
pub trait History: Send + Sync {
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

    /// A page of each tenant's runs in ascending order of [`RunKey`], and whether there are more: what [`History::runs`] gives, for
    /// those who cannot hold it all at once. One statement. Tenants without any are left out.
    async fn scan(&self, tenants: &[TenantId], scan: &RunScan) -> Result<Vec<(TenantId, SnapshotPage)>, StoreError>;

    /// A page of each tenant's snapshots, in ascending order of [`SnapshotKey`], and whether there are more in the direction asked. One
    /// statement. Tenants without any are left out.
    async fn snapshots(&self, tenants: &[TenantId], query: &SnapshotQuery) -> Result<Vec<(TenantId, SnapshotPage)>, StoreError>;
}
