//! A bucket of a usage series.

use async_graphql::{Object, SimpleObject};

use super::super::scalars::DateTime;
use super::StorageUnit;
use crate::quota::usage;

/// One bucket, start inclusive, end exclusive. A bucket that is not over yet ends in the future and says so.
pub struct UsagePoint(pub usage::UsagePoint);

/// One bucket, start inclusive, end exclusive. A bucket that is not over yet ends in the future and says so.
#[Object]
impl UsagePoint {
    /// The start of the bucket, inclusive.
    async fn start(&self) -> DateTime {
        DateTime(self.0.start)
    }

    /// The end of the bucket, exclusive.
    async fn end(&self) -> DateTime {
        DateTime(self.0.end)
    }

    /// Whether the bucket is over.
    async fn complete(&self) -> bool {
        self.0.complete
    }

    /// The share of the elapsed part of the bucket that observations cover, 0 to 1.
    async fn coverage(&self) -> f64 {
        self.0.coverage
    }

    /// Statistics of the allocated space; null without observations.
    async fn allocated(
        &self,
        #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit,
    ) -> Option<Measure> {
        self.0.allocated.map(|measure| Measure::in_unit(measure, unit))
    }

    /// Statistics of the total space; null without observations.
    async fn total(
        &self,
        #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit,
    ) -> Option<Measure> {
        self.0.total.map(|measure| Measure::in_unit(measure, unit))
    }

    /// Statistics of allocated / total, over the time in which total is not 0; null if there is none.
    async fn utilization(&self) -> Option<Measure> {
        self.0.utilization.map(Measure::from)
    }
}

/// Statistics of a quantity in a bucket.
#[derive(SimpleObject)]
pub struct Measure {
    /// The time-weighted mean over the covered part of the bucket.
    average: f64,
    /// The minimum.
    min: f64,
    /// The maximum.
    max: f64,
    /// The first value.
    first: f64,
    /// The last value.
    last: f64,
}

impl From<usage::Measure> for Measure {
    fn from(usage::Measure { average, min, max, first, last }: usage::Measure) -> Self {
        Self { average, min, max, first, last }
    }
}

impl Measure {
    fn in_unit(measure: usage::Measure, unit: StorageUnit) -> Self {
        let convert = |gb| unit.convert_gb(gb);
        Self {
            average: convert(measure.average),
            min: convert(measure.min),
            max: convert(measure.max),
            first: convert(measure.first),
            last: convert(measure.last),
        }
    }
}
