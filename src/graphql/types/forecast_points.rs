//! The points of a forecast, and how all of them are written in one go.

use std::borrow::Cow;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{Context, ContextSelectionSet, Object, OutputType, Positioned, ServerResult, Value};
use jiff::Timestamp;

use super::super::context::RequestContext;
use super::super::scalars::DateTime;
use super::StorageUnit;
use super::written::{Document, Entry, Selected, write_instant, write_list, write_number, write_object};
use crate::quota::forecast::Expected;

/// The expected value at one point in time.
#[derive(Clone, Copy)]
pub struct ForecastPoint {
    pub(super) at: Timestamp,
    pub(super) expected: Expected,
}

/// The expected value at one point in time.
#[Object]
impl ForecastPoint {
    /// The time: a whole number of days from now.
    async fn at(&self) -> DateTime {
        DateTime(self.at)
    }

    /// The expected allocated space; never less than 0.
    async fn allocated(
        &self,
        #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit,
    ) -> f64 {
        unit.convert_gb(self.expected.line)
    }

    /// The lower edge of the band; never less than 0.
    async fn lower(&self, #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit) -> f64 {
        unit.convert_gb(self.expected.lower)
    }

    /// The upper edge of the band.
    async fn upper(&self, #[graphql(default_with = "StorageUnit::Gb", desc = "The unit of the answer.")] unit: StorageUnit) -> f64 {
        unit.convert_gb(self.expected.upper)
    }
}

/// The points of a forecast.
pub struct ForecastPoints {
    points: Vec<ForecastPoint>,
    plan: Option<Vec<Entry<OfPoint>>>,
}

#[derive(Clone, Copy, Debug)]
enum OfPoint {
    TypeName,
    At,
    Allocated(StorageUnit),
    Lower(StorageUnit),
    Upper(StorageUnit),
}

impl ForecastPoints {
    /// The points for the field that is being resolved.
    pub fn new(points: Vec<ForecastPoint>, ctx: &Context<'_>) -> Self {
        Self { points, plan: Document::of(ctx).selected_here().entries(of_point) }
    }
}

impl OutputType for ForecastPoints {
    fn type_name() -> Cow<'static, str> {
        <Vec<ForecastPoint> as OutputType>::type_name()
    }

    fn qualified_type_name() -> String {
        <Vec<ForecastPoint> as OutputType>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <Vec<ForecastPoint> as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        let Some(plan) = &self.plan else { return self.points.resolve(ctx, field).await };
        let write = |json: &mut String, ForecastPoint { at, expected }: &ForecastPoint| {
            write_object(json, plan, |json, what| match what {
                OfPoint::TypeName => json.push_str("\"ForecastPoint\""),
                OfPoint::At => write_instant(json, *at),
                OfPoint::Allocated(unit) => write_number(json, unit.convert_gb(expected.line)),
                OfPoint::Lower(unit) => write_number(json, unit.convert_gb(expected.lower)),
                OfPoint::Upper(unit) => write_number(json, unit.convert_gb(expected.upper)),
            });
        };
        Ok(write_list(&RequestContext::of(ctx).budget, self.points.iter(), write).await)
    }
}

fn of_point(selected: &Selected<'_>) -> Option<OfPoint> {
    Some(match selected.name() {
        "__typename" => OfPoint::TypeName,
        "at" => OfPoint::At,
        "allocated" => OfPoint::Allocated(selected.unit()),
        "lower" => OfPoint::Lower(selected.unit()),
        "upper" => OfPoint::Upper(selected.unit()),
        _ => return None,
    })
}
