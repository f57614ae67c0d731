//! The sums over the newest known allocations of a fleet.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_graphql::Object;
use jiff::Timestamp;

use super::super::scalars::DateTime;
use super::StorageUnit;
use crate::quota::{SpaceAllocation, utilization};

/// Sums over the tenants that have a known allocation.
pub struct FleetAllocation {
    by_type: BTreeMap<i32, Sums>,
    oldest: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    allocated_gb: i128,
    total_gb: i128,
}

impl FleetAllocation {
    /// The sums over these allocations, or over what they have of one space type.
    pub fn of(allocations: impl Iterator<Item = Arc<SpaceAllocation>>, space_type: Option<i32>) -> Self {
        let mut sums = Self { by_type: BTreeMap::new(), oldest: None };
        for allocation in allocations {
            let of_type = |found: i32| space_type.is_none_or(|asked| asked == found);
            let counted = allocation.by_type().iter().filter(|value| of_type(value.space_type));
            let mut counts = space_type.is_none();
            for value in counted {
                let sum = sums.by_type.entry(value.space_type).or_default();
                sum.allocated_gb += i128::from(value.allocated_gb);
                sum.total_gb += i128::from(value.total_gb);
                counts = true;
            }
            if counts {
                let observed_at = allocation.observed_at();
                sums.oldest = Some(sums.oldest.map_or(observed_at, |oldest| oldest.min(observed_at)));
            }
        }
        sums
    }

    fn sum(&self) -> Sums {
        self.by_type.values().fold(Sums::default(), |sum, of_type| Sums {
            allocated_gb: sum.allocated_gb + of_type.allocated_gb,
            total_gb: sum.total_gb + of_type.total_gb,
        })
    }
}

/// Sums over the tenants that have a known allocation.
#[Object]
impl FleetAllocation {
    /// The allocated space, in the given unit.
    async fn allocated(
        &self,
        #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit,
    ) -> f64 {
        unit.convert(self.sum().allocated_gb)
    }

    /// The total space, in the given unit.
    async fn total(&self, #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit) -> f64 {
        unit.convert(self.sum().total_gb)
    }

    /// total - allocated; negative when over-allocated.
    async fn available(
        &self,
        #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit,
    ) -> f64 {
        let sum = self.sum();
        unit.convert(sum.total_gb - sum.allocated_gb)
    }

    /// allocated / total, 0.5 for half; null when total is 0.
    async fn utilization(&self) -> Option<f64> {
        let sum = self.sum();
        utilization(sum.allocated_gb, sum.total_gb)
    }

    /// The same by space type, sorted by its number.
    async fn by_type(&self) -> Vec<super::SpaceTypeAllocation> {
        let of_type =
            |(space_type, sums): (&i32, &Sums)| super::SpaceTypeAllocation::new(*space_type, sums.allocated_gb, sums.total_gb);
        self.by_type.iter().map(of_type).collect()
    }

    /// The oldest observation in the sum; null when there is none.
    async fn observed_at(&self) -> Option<DateTime> {
        self.oldest.map(DateTime)
    }
}
