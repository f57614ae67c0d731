//! Recorded snapshots, run by run.

use async_graphql::{Object, SimpleObject};

use super::super::cursor::Cursor;
use super::super::scalars::DateTime;
use super::{PageInfo, StorageUnit};
use crate::quota::{self, Run};
use crate::store::SnapshotKey;

/// A run of unchanged consecutive samples of one space type.
#[derive(Clone)]
pub struct Snapshot(Run);

/// A run of unchanged consecutive samples of one space type.
#[Object]
impl Snapshot {
    /// The upstream's number of the space type.
    async fn space_type(&self) -> i32 {
        self.0.space_type
    }

    /// The allocated space, in the given unit.
    async fn allocated(
        &self,
        #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit,
    ) -> f64 {
        unit.convert(self.0.allocated_gb.into())
    }

    /// The total space, in the given unit.
    async fn total(&self, #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit) -> f64 {
        unit.convert(self.0.total_gb.into())
    }

    /// allocated / total, 0.5 for half; null when total is 0.
    async fn utilization(&self) -> Option<f64> {
        quota::utilization(self.0.allocated_gb.into(), self.0.total_gb.into())
    }

    /// The first sample of the run.
    async fn first_observed_at(&self) -> DateTime {
        DateTime(self.0.first_at)
    }

    /// The last sample of the run.
    async fn last_observed_at(&self) -> DateTime {
        DateTime(self.0.last_at)
    }

    /// The number of samples in the run.
    async fn observations(&self) -> i32 {
        i32::try_from(self.0.samples).unwrap_or(i32::MAX)
    }
}

/// A page of snapshots, sorted by first observation and then by space type.
pub struct SnapshotConnection {
    runs: Vec<Run>,
    has_previous_page: bool,
    has_next_page: bool,
}

/// A page of snapshots, sorted by first observation and then by space type.
#[Object]
impl SnapshotConnection {
    /// The snapshots with their cursors.
    async fn edges(&self) -> Vec<SnapshotEdge> {
        self.runs.iter().map(|run| SnapshotEdge { cursor: cursor(run), node: Snapshot(run.clone()) }).collect()
    }

    /// The snapshots.
    async fn nodes(&self) -> Vec<Snapshot> {
        self.runs.iter().cloned().map(Snapshot).collect()
    }

    /// The position of the page in the list.
    async fn page_info(&self) -> PageInfo {
        PageInfo::new(&self.runs, cursor, self.has_previous_page, self.has_next_page)
    }
}

fn cursor(run: &Run) -> String {
    SnapshotKey { first_at: run.first_at, space_type: run.space_type }.encode()
}

/// A snapshot and its position in the list.
#[derive(SimpleObject)]
pub struct SnapshotEdge {
    /// The cursor, for `after` and `before`.
    cursor: String,
    /// The snapshot.
    node: Snapshot,
}

impl SnapshotConnection {
    /// A page of runs in ascending order.
    pub fn new(runs: Vec<Run>, has_previous_page: bool, has_next_page: bool) -> Self {
        Self { runs, has_previous_page, has_next_page }
    }
}
