//! The columns of the files, and the rows that runs and buckets make.

use super::CellKind::{Bool, Double, Instant, Int, Long, Text};
use super::encoder::Encoder;
use super::error::ExportError;
use super::{Cell, Column};
use crate::quota::usage::{Measure, UsagePoint};
use crate::quota::{Run, TenantId};

/// The columns of a file of snapshots. A row is a run; rows are sorted by tenant, space type and first observation.
pub const SNAPSHOT_COLUMNS: &[Column] = &[
    Column::required("tenant", Text),
    Column::required("space_type", Int),
    Column::required("first_observed_at", Instant),
    Column::required("last_observed_at", Instant),
    Column::required("interval_s", Int),
    Column::required("observations", Long),
    Column::required("allocated_gb", Long),
    Column::required("total_gb", Long),
];

/// The columns of a file of usage. A row is a bucket of a tenant; rows are sorted by tenant and start.
pub const USAGE_COLUMNS: &[Column] = &[
    Column::required("tenant", Text),
    // Empty for the sum over the types.
    Column::nullable("space_type", Int),
    Column::required("start", Instant),
    Column::required("end", Instant),
    Column::required("complete", Bool),
    Column::required("coverage", Double),
    Column::nullable("allocated_gb_average", Double),
    Column::nullable("allocated_gb_min", Double),
    Column::nullable("allocated_gb_max", Double),
    Column::nullable("allocated_gb_first", Double),
    Column::nullable("allocated_gb_last", Double),
    Column::nullable("total_gb_average", Double),
    Column::nullable("total_gb_min", Double),
    Column::nullable("total_gb_max", Double),
    Column::nullable("total_gb_first", Double),
    Column::nullable("total_gb_last", Double),
    Column::nullable("utilization_average", Double),
    Column::nullable("utilization_min", Double),
    Column::nullable("utilization_max", Double),
    Column::nullable("utilization_first", Double),
    Column::nullable("utilization_last", Double),
];

/// Adds the row of a run.
pub(super) fn push_run(to: &mut Encoder, tenant: &TenantId, run: &Run) -> Result<(), ExportError> {
    to.push(&[
        Cell::Text(tenant.as_str()),
        Cell::Int(run.space_type),
        Cell::Instant(run.first_at),
        Cell::Instant(run.last_at),
        Cell::Int(i32::try_from(run.interval_s).unwrap_or(i32::MAX)),
        Cell::Long(run.samples),
        Cell::Long(run.allocated_gb),
        Cell::Long(run.total_gb),
    ])
}

/// Adds the row of a bucket.
pub(super) fn push_point(
    to: &mut Encoder,
    tenant: &TenantId,
    space_type: Option<i32>,
    point: &UsagePoint,
) -> Result<(), ExportError> {
    let mut row = [Cell::Null; USAGE_COLUMNS.len()];
    row[0] = Cell::Text(tenant.as_str());
    row[1] = space_type.map_or(Cell::Null, Cell::Int);
    row[2] = Cell::Instant(point.start);
    row[3] = Cell::Instant(point.end);
    row[4] = Cell::Bool(point.complete);
    row[5] = Cell::Double(point.coverage);
    for (place, measure) in [point.allocated, point.total, point.utilization].into_iter().enumerate() {
        if let Some(Measure { average, min, max, first, last }) = measure {
            let from = 6 + 5 * place;
            row[from..from + 5].copy_from_slice(&[average, min, max, first, last].map(Cell::Double));
        }
    }
    to.push(&row)
}
