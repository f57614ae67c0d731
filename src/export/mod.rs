//! History out in bulk: usage in buckets, and snapshots run by run, as CSV, NDJSON or Parquet.
//!
//! A [`ExportPlan`] is what somebody asked for, checked. [`ExportPlan::run`] reads it from the store and hands on the file piece by piece; what it
//! holds in memory does not grow with the file. Rows are made in `rows.rs`, once for all formats, and usage is computed by
//! [`quota::usage`](crate::quota::usage) as for everybody else, so that an export and a query cannot disagree.

mod cell;
mod csv;
mod encoder;
mod error;
mod format;
mod ndjson;
mod params;
mod parquet;
mod plan;
mod reading;
mod rows;
mod running;

pub use cell::{Cell, CellKind, Column};
pub use error::ExportError;
pub use format::Format;
pub use params::{InvalidParam, Params};
pub use plan::{ExportKind, ExportPlan};
pub use rows::{SNAPSHOT_COLUMNS, USAGE_COLUMNS};
pub use running::{Piece, Written};
