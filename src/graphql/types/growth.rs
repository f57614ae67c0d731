//! Growth over a stretch of time.

use async_graphql::{Context, Object};
use jiff::Timestamp;

use super::super::context::Asker;
use super::super::error::ApiError;
use super::super::history::load_history;
use super::super::loaders::GrowthKey;
use super::super::scalars::{DateTime, Duration};
use super::StorageUnit;
use crate::quota::{TenantId, TimeRange, growth};

/// The change from the start of a time range until now.
pub struct Growth(growth::Growth);

impl Growth {
    /// The growth of one tenant over the range of that length that ends now.
    pub async fn of(
        ctx: &Context<'_>,
        tenant: &TenantId,
        over: &Duration,
        space_type: Option<i32>,
        now: Timestamp,
    ) -> Result<Option<Self>, ApiError> {
        let stretch = TimeRange { from: over.as_stretch("over", now)?.before(now), to: now };
        let key = GrowthKey { asker: Asker::of(ctx), tenant: tenant.clone(), stretch, space_type };
        Ok(load_history(ctx, key).await?.flatten().map(Self))
    }
}

/// The change from the start of a time range until now.
#[Object]
impl Growth {
    /// The start of the range, or the first observation in it when nothing was known before.
    async fn from(&self) -> DateTime {
        DateTime(self.0.range.from)
    }

    /// The end of the range: now. If no observation is current, the last known value is used.
    async fn to(&self) -> DateTime {
        DateTime(self.0.range.to)
    }

    /// By how much allocated grew; negative when it shrank.
    async fn allocated_change(
        &self,
        #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit,
    ) -> f64 {
        unit.convert(self.0.allocated_change_gb)
    }

    /// By how much total grew; negative when it shrank.
    async fn total_change(
        &self,
        #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit,
    ) -> f64 {
        unit.convert(self.0.total_change_gb)
    }

    /// allocatedChange per day of 24 hours, from `from` to `to`.
    async fn per_day(
        &self,
        #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit,
    ) -> f64 {
        unit.convert_gb(self.0.per_day_gb())
    }

    /// By how much utilization grew, 0.1 from 0.5 to 0.6; null when total is 0 at one of the ends.
    async fn utilization_change(&self) -> Option<f64> {
        self.0.utilization.map(|change| change.whole)
    }

    /// The part of utilizationChange that allocating and releasing did. It and utilizationChangeByCapacity add up to utilizationChange;
    /// each is the mean of what its cause does when it comes first and when it comes second.
    async fn utilization_change_by_allocation(&self) -> Option<f64> {
        self.0.utilization.map(|change| change.by_allocation)
    }

    /// The part of utilizationChange that is due to changes of total; a larger total makes it negative.
    async fn utilization_change_by_capacity(&self) -> Option<f64> {
        self.0.utilization.map(|change| change.by_capacity)
    }
}
