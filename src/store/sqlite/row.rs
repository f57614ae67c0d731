//! Values and rows as `SQLite` has them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::quota::{Run, TenantId};
use crate::store::instant::from_millis;

/// What [`read_run`] reads, in its order; of the table or subquery `s`.
macro_rules! run_columns {
    () => {
        "s.space_type, s.first_at, s.last_at, s.interval_s, s.samples, s.allocated_gb, s.total_gb, s.ended_at"
    };
}
pub(super) use run_columns;

/// Reads the tenant of a row whose first column it is.
pub(super) fn read_tenant(row: &SqliteRow) -> Result<TenantId, sqlx::Error> {
    row.try_get::<&str, _>(0)?.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// Reads a run from `run_columns!()`, the first of which is the column `first`.
pub(super) fn read_run(row: &SqliteRow, first: usize) -> Result<Run, sqlx::Error> {
    Ok(Run {
        space_type: row.try_get(first)?,
        first_at: instant(row.try_get(first + 1)?)?,
        last_at: instant(row.try_get(first + 2)?)?,
        interval_s: row.try_get(first + 3)?,
        samples: row.try_get(first + 4)?,
        allocated_gb: row.try_get(first + 5)?,
        total_gb: row.try_get(first + 6)?,
        ended_at: read_instant(row, first + 7)?,
    })
}

/// Reads an instant that may be null.
pub(super) fn read_instant(row: &SqliteRow, column: usize) -> Result<Option<Timestamp>, sqlx::Error> {
    row.try_get::<Option<i64>, _>(column)?.map(instant).transpose()
}

/// An instant out of its milliseconds.
pub(super) fn instant(millis: i64) -> Result<Timestamp, sqlx::Error> {
    from_millis(millis).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// Reads the types of a tenant, which are a JSON array.
pub(super) fn read_space_types(row: &SqliteRow, column: usize) -> Result<Vec<i32>, sqlx::Error> {
    serde_json::from_str(row.try_get(column)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// Reads rows of a tenant and a run, and puts the runs of a tenant together in the order in which they come.
pub(super) fn read_runs(rows: &[SqliteRow]) -> Result<BTreeMap<TenantId, Vec<Run>>, sqlx::Error> {
    let mut by_tenant = BTreeMap::<TenantId, Vec<Run>>::new();
    for row in rows {
        let run = read_run(row, 1)?;
        match by_tenant.get_mut(row.try_get::<&str, _>(0)?) {
            Some(runs) => runs.push(run),
            None => drop(by_tenant.insert(read_tenant(row)?, vec![run])),
        }
    }
    Ok(by_tenant)
}

/// What is bound as the JSON array of a statement: an array of columns for each row.
pub(super) fn json_rows<T>(rows: &[T], columns: impl Fn(&T) -> serde_json::Value) -> String {
    rows.iter().map(columns).collect::<serde_json::Value>().to_string()
}
