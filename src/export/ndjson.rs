//! A JSON object on each line.

use std::io::Write as _;
use std::mem;

use super::cell::write_double;
use super::error::ExportError;
use super::{Cell, Column};

/// Writes NDJSON: an object with all columns, in order, on each line; `null` where there is no value.
pub(super) struct NdjsonEncoder {
    /// What stands before each cell.
    keys: Vec<String>,
    text: Vec<u8>,
}

impl NdjsonEncoder {
    pub fn new(columns: &[Column]) -> Self {
        let key = |(place, column): (usize, &Column)| format!("{}\"{}\":", if place == 0 { '{' } else { ',' }, column.name);
        Self { keys: columns.iter().enumerate().map(key).collect(), text: Vec::new() }
    }

    pub fn push(&mut self, row: &[Cell<'_>]) -> Result<(), ExportError> {
        let text = &mut self.text;
        for (key, cell) in self.keys.iter().zip(row) {
            text.extend_from_slice(key.as_bytes());
            match cell {
                Cell::Null => text.extend_from_slice(b"null"),
                Cell::Text(words) => serde_json::to_writer(&mut *text, words).map_err(ExportError::encoding)?,
                Cell::Int(number) => write!(text, "{number}").map_err(ExportError::encoding)?,
                Cell::Long(number) => write!(text, "{number}").map_err(ExportError::encoding)?,
                Cell::Double(number) => write_double(text, *number)?,
                Cell::Bool(yes) => write!(text, "{yes}").map_err(ExportError::encoding)?,
                Cell::Instant(at) => write!(text, "\"{at}\"").map_err(ExportError::encoding)?,
            }
        }
        text.extend_from_slice(b"}\n");
        Ok(())
    }

    pub fn ready(&self) -> usize {
        self.text.len()
    }

    pub fn take(&mut self) -> Vec<u8> {
        mem::take(&mut self.text)
    }
}
