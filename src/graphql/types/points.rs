//! The points of a usage series, written in one go.

use std::borrow::Cow;
use std::sync::Arc;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{Context, ContextSelectionSet, OutputType, Positioned, ServerResult, Value};

use super::super::context::RequestContext;
use super::written::{Document, Entry, Selected, write_instant, write_list, write_number, write_object};
use super::{StorageUnit, UsagePoint};
use crate::quota::usage;

/// The points of a series.
pub struct Points {
    series: Arc<usage::UsageSeries>,
    plan: Option<Vec<Entry<OfPoint>>>,
}

#[derive(Debug)]
enum OfPoint {
    TypeName,
    Start,
    End,
    Complete,
    Coverage,
    Allocated(StorageUnit, Vec<Entry<OfMeasure>>),
    Total(StorageUnit, Vec<Entry<OfMeasure>>),
    Utilization(Vec<Entry<OfMeasure>>),
}

#[derive(Clone, Copy, Debug)]
enum OfMeasure {
    TypeName,
    Average,
    Min,
    Max,
    First,
    Last,
}

impl Points {
    /// The points for the field that is being resolved.
    pub fn new(series: Arc<usage::UsageSeries>, ctx: &Context<'_>) -> Self {
        Self { series, plan: Document::of(ctx).selected_here().entries(of_point) }
    }
}

impl OutputType for Points {
    fn type_name() -> Cow<'static, str> {
        <Vec<UsagePoint> as OutputType>::type_name()
    }

    fn qualified_type_name() -> String {
        <Vec<UsagePoint> as OutputType>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <Vec<UsagePoint> as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        let Some(plan) = &self.plan else {
            return self.series.points.iter().cloned().map(UsagePoint).collect::<Vec<_>>().resolve(ctx, field).await;
        };
        let budget = &RequestContext::of(ctx).budget;
        Ok(write_list(budget, self.series.points.iter(), |json, point| write_point(json, point, plan)).await)
    }
}

fn of_point(selected: &Selected<'_>) -> Option<OfPoint> {
    let measures = || selected.entries(of_measure);
    Some(match selected.name() {
        "__typename" => OfPoint::TypeName,
        "start" => OfPoint::Start,
        "end" => OfPoint::End,
        "complete" => OfPoint::Complete,
        "coverage" => OfPoint::Coverage,
        "allocated" => OfPoint::Allocated(selected.unit(), measures()?),
        "total" => OfPoint::Total(selected.unit(), measures()?),
        "utilization" => OfPoint::Utilization(measures()?),
        _ => return None,
    })
}

fn of_measure(selected: &Selected<'_>) -> Option<OfMeasure> {
    Some(match selected.name() {
        "__typename" => OfMeasure::TypeName,
        "average" => OfMeasure::Average,
        "min" => OfMeasure::Min,
        "max" => OfMeasure::Max,
        "first" => OfMeasure::First,
        "last" => OfMeasure::Last,
        _ => return None,
    })
}

fn write_point(json: &mut String, point: &usage::UsagePoint, plan: &[Entry<OfPoint>]) {
    write_object(json, plan, |json, what| match what {
        OfPoint::TypeName => json.push_str("\"UsagePoint\""),
        OfPoint::Start => write_instant(json, point.start),
        OfPoint::End => write_instant(json, point.end),
        OfPoint::Complete => json.push_str(if point.complete { "true" } else { "false" }),
        OfPoint::Coverage => write_number(json, point.coverage),
        OfPoint::Allocated(unit, plan) => write_measure(json, point.allocated, plan, |gb| unit.convert_gb(gb)),
        OfPoint::Total(unit, plan) => write_measure(json, point.total, plan, |gb| unit.convert_gb(gb)),
        OfPoint::Utilization(plan) => write_measure(json, point.utilization, plan, |ratio| ratio),
    });
}

fn write_measure(json: &mut String, measure: Option<usage::Measure>, plan: &[Entry<OfMeasure>], convert: impl Fn(f64) -> f64) {
    let Some(measure) = measure else { return json.push_str("null") };
    write_object(json, plan, |json, what| match what {
        OfMeasure::TypeName => json.push_str("\"Measure\""),
        OfMeasure::Average => write_number(json, convert(measure.average)),
        OfMeasure::Min => write_number(json, convert(measure.min)),
        OfMeasure::Max => write_number(json, convert(measure.max)),
        OfMeasure::First => write_number(json, convert(measure.first)),
        OfMeasure::Last => write_number(json, convert(measure.last)),
    });
}
