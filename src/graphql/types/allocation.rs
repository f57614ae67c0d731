//! Allocated and total at one instant.

use std::sync::Arc;

use async_graphql::{Context, Enum, Object};

use super::super::context::dependencies;
use super::super::scalars::DateTime;
use super::StorageUnit;
use crate::allocations::{self, AllocationAnswer, Version};
use crate::quota;
use jiff::Timestamp;

/// Where the answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum Source {
    /// Fetched from the upstream for this answer.
    Live,
    /// Cached, and younger than the fresh limit.
    Cache,
    /// Cached, and older than the fresh limit or than the requested maxAge. A fresh value is being fetched or could not be fetched.
    Stale,
    /// From the newest snapshot in the database, not older than the requested maxAge.
    Stored,
}

impl From<allocations::Source> for Source {
    fn from(source: allocations::Source) -> Self {
        match source {
            allocations::Source::Live => Self::Live,
            allocations::Source::Cache => Self::Cache,
            allocations::Source::Stale => Self::Stale,
            allocations::Source::Stored => Self::Stored,
        }
    }
}

/// What to do when the upstream cannot answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum OnFailure {
    /// Answer with the last known value, however old it is.
    Stale,
    /// Answer with null and an error.
    Error,
}

impl From<OnFailure> for allocations::OnFailure {
    fn from(on_failure: OnFailure) -> Self {
        match on_failure {
            OnFailure::Stale => Self::Stale,
            OnFailure::Error => Self::Error,
        }
    }
}

/// Allocated and total space at one point in time. Sums over all space types unless one was requested.
pub struct SpaceAllocation {
    allocation: Arc<quota::SpaceAllocation>,
    source: Source,
    version: Option<Version>,
    /// Shown instead of the allocation's own instant.
    shown_at: Option<Timestamp>,
}

impl From<AllocationAnswer> for SpaceAllocation {
    fn from(answer: AllocationAnswer) -> Self {
        Self { allocation: answer.allocation, source: answer.source.into(), version: answer.version, shown_at: None }
    }
}

impl SpaceAllocation {
    /// What was recorded, observed at an instant if not at its own.
    pub fn recorded(allocation: Arc<quota::SpaceAllocation>, shown_at: Option<Timestamp>) -> Self {
        Self { allocation, source: Source::Stored, version: None, shown_at }
    }

    /// The part of an answer that one space type has; `None` when it has none.
    pub fn of_type(answer: &AllocationAnswer, space_type: i32) -> Option<Self> {
        let allocation = Arc::new(answer.allocation.of_type(space_type)?);
        Some(Self { allocation, source: answer.source.into(), version: answer.version.clone(), shown_at: None })
    }
}

/// Allocated and total space at one point in time. Sums over all space types unless one was requested.
#[Object]
impl SpaceAllocation {
    /// The allocated space, in the given unit.
    async fn allocated(
        &self,
        #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit,
    ) -> f64 {
        unit.convert(self.allocation.allocated_gb())
    }

    /// The total space, in the given unit.
    async fn total(&self, #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit) -> f64 {
        unit.convert(self.allocation.total_gb())
    }

    /// total - allocated; negative when over-allocated.
    async fn available(
        &self,
        #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit,
    ) -> f64 {
        unit.convert(self.allocation.total_gb() - self.allocation.allocated_gb())
    }

    /// allocated / total, 0.5 for half; null when total is 0.
    async fn utilization(&self) -> Option<f64> {
        self.allocation.utilization()
    }

    /// The same by space type, sorted by its number.
    async fn by_type(&self) -> Vec<SpaceTypeAllocation> {
        self.allocation.by_type().iter().map(SpaceTypeAllocation::from).collect()
    }

    /// When the upstream reported this.
    async fn observed_at(&self, ctx: &Context<'_>) -> DateTime {
        dependencies(ctx).use_sample(self.version.as_ref());
        DateTime(self.shown_at.unwrap_or_else(|| self.allocation.observed_at()))
    }

    /// Where the answer came from.
    async fn source(&self, ctx: &Context<'_>) -> Source {
        if self.source == Source::Live {
            // The next answer is not fetched for its reader.
            dependencies(ctx).never_keep();
        }
        self.source
    }
}

/// Allocated and total space of one space type.
pub struct SpaceTypeAllocation {
    space_type: i32,
    allocated_gb: i128,
    total_gb: i128,
}

impl SpaceTypeAllocation {
    /// Amounts of one space type, in GB.
    pub fn new(space_type: i32, allocated_gb: i128, total_gb: i128) -> Self {
        Self { space_type, allocated_gb, total_gb }
    }
}

impl From<&quota::SpaceTypeAllocation> for SpaceTypeAllocation {
    fn from(value: &quota::SpaceTypeAllocation) -> Self {
        Self::new(value.space_type, value.allocated_gb.into(), value.total_gb.into())
    }
}

/// Allocated and total space of one space type.
#[Object]
impl SpaceTypeAllocation {
    /// The upstream's number of the space type.
    async fn space_type(&self) -> i32 {
        self.space_type
    }

    /// The allocated space, in the given unit.
    async fn allocated(
        &self,
        #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit,
    ) -> f64 {
        unit.convert(self.allocated_gb)
    }

    /// The total space, in the given unit.
    async fn total(&self, #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit) -> f64 {
        unit.convert(self.total_gb)
    }

    /// total - allocated; negative when over-allocated.
    async fn available(
        &self,
        #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit,
    ) -> f64 {
        unit.convert(self.total_gb - self.allocated_gb)
    }

    /// allocated / total, 0.5 for half; null when total is 0.
    async fn utilization(&self) -> Option<f64> {
        quota::utilization(self.allocated_gb, self.total_gb)
    }
}
