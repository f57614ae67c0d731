//! What stands in a table: columns of one kind each, and the cells of a row.

use jiff::Timestamp;

use super::error::ExportError;

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    /// What its cells are.
    pub kind: CellKind,
    /// Whether a cell may be empty.
    pub nullable: bool,
}

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellKind {
    Text,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    Double,
    /// Yes or no.
    Bool,
    /// An instant, in whole milliseconds.
    Instant,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Nothing.
    Null,
    Text(&'a str),
    /// A whole number of 32 bits.
    Int(i32),
    /// A whole number of 64 bits.
    Long(i64),
    /// A double; finite.
    Double(f64),
    /// Yes or no.
    Bool(bool),
    /// An instant, in whole milliseconds.
    Instant(Timestamp),
}

impl Column {
    pub(super) const fn required(name: &'static str, kind: CellKind) -> Self {
        Self { name, kind, nullable: false }
    }

    pub(super) const fn nullable(name: &'static str, kind: CellKind) -> Self {
        Self { name, kind, nullable: true }
    }
}

/// Writes a double as JSON has it: the shortest text that is read back as the same double.
pub(super) fn write_double(to: &mut Vec<u8>, double: f64) -> Result<(), ExportError> {
    serde_json::to_writer(to, &double).map_err(ExportError::encoding)
}
