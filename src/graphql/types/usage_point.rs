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
    /// When it begins, inclusive.
    async fn start(&self) -> DateTime {
        DateTime(self.0.start)
    }

    /// When it ends, exclusive.
    async fn end(&self) -> DateTime {
        DateTime(self.0.end)
    }

    /// Whether it is over.
    async fn complete(&self) -> bool {
        self.0.complete
    }

    /// The share of the elapsed part of the bucket that observations cover, 0 to 1.
    async fn coverage(&self) -> f64 {
        self.0.coverage
    }

    /// What was allocated; null without observations.
    async fn allocated(
        &self,
        #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit,
    ) -> Option<Measure> {
        self.0.allocated.map(|measure| Measure::in_unit(measure, unit))
    }

    /// What there was in all; null without observations.
    async fn total(
        &self,
        #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit,
    ) -> Option<Measure> {
        self.0.total.map(|measure| Measure::in_unit(measure, unit))
    }

    /// allocated / total over the time in which total is not 0; null when there is none.
    async fn utilization(&self) -> Option<Measure> {
        self.0.utilization.map(Measure::from)
    }
}

/// What a quantity did in a bucket. average is weighted by time over what is covered.
#[derive(SimpleObject)]
pub struct Measure {
    /// The mean over what is covered, weighted by time.
    average: f64,
    /// The least.
    min: f64,
    /// The greatest.
    max: f64,
    /// The earliest.
    first: f64,
    /// The latest.
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
