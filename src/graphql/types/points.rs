//! The points of a series, written in one go.
//!
//! A year in hours is 8,760 points with a dozen figures each. Resolved field by field that takes ten times as long as to read and to
//! compute them. So the selection is read once, the points are written as JSON by it, and the text goes into the answer as it is
//! ([`crate::graphql::Json`]). The library merges fields of the same key after they are resolved, which it cannot do with a text; a document
//! in which there may be such fields is resolved the usual way.

use std::borrow::Cow;
use std::fmt::Write as _;

use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::registry::Registry;
use async_graphql::{Context, ContextSelectionSet, InputType, OutputType, Positioned, SelectionField, ServerResult, Value};
use jiff::Timestamp;

use super::{StorageUnit, UsagePoint};
use crate::quota::usage;

/// The points of a series.
pub struct Points {
    points: Vec<usage::UsagePoint>,
    plan: Option<Vec<Entry<OfPoint>>>,
}

/// A field of a selection: its key in the answer, and what stands there.
#[derive(Debug)]
struct Entry<T> {
    key: String,
    what: T,
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
    pub fn new(points: Vec<usage::UsagePoint>, ctx: &Context<'_>) -> Self {
        let may_merge = may_merge(&ctx.query_env.operation.node.selection_set.node);
        Self { points, plan: if may_merge { None } else { entries(&ctx.field(), of_point) } }
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
        match &self.plan {
            Some(plan) => Ok(Value::Binary(write_points(&self.points, plan).into_bytes().into())),
            None => self.points.iter().cloned().map(UsagePoint).collect::<Vec<_>>().resolve(ctx, field).await,
        }
    }
}

/// Whether two fields of one selection may have the same key. With fragments that is not looked into.
fn may_merge(selection: &SelectionSet) -> bool {
    let mut keys = Vec::with_capacity(selection.items.len());
    selection.items.iter().any(|item| match &item.node {
        Selection::Field(field) => {
            let key = field.node.response_key().node.as_str();
            let is_known = keys.contains(&key);
            keys.push(key);
            is_known || may_merge(&field.node.selection_set.node)
        }
        Selection::FragmentSpread(_) | Selection::InlineFragment(_) => true,
    })
}

/// What is selected of a field; `None` when some of it is not known here.
fn entries<T>(field: &SelectionField<'_>, what: impl Fn(&SelectionField<'_>) -> Option<T>) -> Option<Vec<Entry<T>>> {
    let entry = |field: SelectionField<'_>| {
        let key = serde_json::to_string(field.alias().unwrap_or(field.name())).ok()?;
        Some(Entry { key: key + ":", what: what(&field)? })
    };
    field.selection_set().map(entry).collect()
}

fn of_point(field: &SelectionField<'_>) -> Option<OfPoint> {
    let measures = || entries(field, of_measure);
    Some(match field.name() {
        "__typename" => OfPoint::TypeName,
        "start" => OfPoint::Start,
        "end" => OfPoint::End,
        "complete" => OfPoint::Complete,
        "coverage" => OfPoint::Coverage,
        "allocated" => OfPoint::Allocated(unit(field)?, measures()?),
        "total" => OfPoint::Total(unit(field)?, measures()?),
        "utilization" => OfPoint::Utilization(measures()?),
        _ => return None,
    })
}

fn of_measure(field: &SelectionField<'_>) -> Option<OfMeasure> {
    Some(match field.name() {
        "__typename" => OfMeasure::TypeName,
        "average" => OfMeasure::Average,
        "min" => OfMeasure::Min,
        "max" => OfMeasure::Max,
        "first" => OfMeasure::First,
        "last" => OfMeasure::Last,
        _ => return None,
    })
}

fn unit(field: &SelectionField<'_>) -> Option<StorageUnit> {
    let given = field.arguments().ok()?.into_iter().find(|(name, _)| name == "unit");
    given.map_or(Some(StorageUnit::Gb), |(_, unit)| StorageUnit::parse(Some(unit)).ok())
}

fn write_points(points: &[usage::UsagePoint], plan: &[Entry<OfPoint>]) -> String {
    let mut json = String::with_capacity(points.len() * 64 * plan.len() + 2);
    json.push('[');
    for (place, point) in points.iter().enumerate() {
        if place > 0 {
            json.push(',');
        }
        write_object(&mut json, plan, |json, what| match what {
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
    json.push(']');
    json
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

fn write_object<T>(json: &mut String, plan: &[Entry<T>], mut write: impl FnMut(&mut String, &T)) {
    for (place, entry) in plan.iter().enumerate() {
        json.push(if place == 0 { '{' } else { ',' });
        json.push_str(&entry.key);
        write(json, &entry.what);
    }
    json.push('}');
}

/// As the scalar `DateTime`.
fn write_instant(json: &mut String, at: Timestamp) {
    // Writing to a text does not fail.
    let _ = write!(json, "\"{at}\"");
}

/// As the scalar `Float`.
fn write_number(json: &mut String, number: f64) {
    match serde_json::Number::from_f64(number) {
        Some(number) => {
            let _ = write!(json, "{number}");
        }
        None => json.push_str("null"),
    }
}
