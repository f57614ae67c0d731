//! Comma-separated values by RFC 4180.

use std::io::Write as _;
use std::mem;

use csv::{Terminator, Writer, WriterBuilder};

use super::cell::write_double;
use super::error::ExportError;
use super::{Cell, Column};

/// Writes CSV: a line of names, lines that end with CRLF, nothing in a cell without a value.
pub(super) struct CsvEncoder {
    writer: Writer<Vec<u8>>,
    /// The text of one cell.
    cell: Vec<u8>,
}

impl CsvEncoder {
    pub fn new(columns: &[Column]) -> Result<Self, ExportError> {
        let mut writer = writer();
        writer.write_record(columns.iter().map(|column| column.name)).map_err(ExportError::encoding)?;
        Ok(Self { writer, cell: Vec::new() })
    }

    pub fn push(&mut self, row: &[Cell<'_>]) -> Result<(), ExportError> {
        for cell in row {
            self.cell.clear();
            match cell {
                Cell::Null => {}
                Cell::Text(text) => self.cell.extend_from_slice(text.as_bytes()),
                Cell::Int(number) => write!(self.cell, "{number}").map_err(ExportError::encoding)?,
                Cell::Long(number) => write!(self.cell, "{number}").map_err(ExportError::encoding)?,
                Cell::Double(number) => write_double(&mut self.cell, *number)?,
                Cell::Bool(yes) => write!(self.cell, "{yes}").map_err(ExportError::encoding)?,
                Cell::Instant(at) => write!(self.cell, "{at}").map_err(ExportError::encoding)?,
            }
            self.writer.write_field(&self.cell).map_err(ExportError::encoding)?;
        }
        self.writer.write_record(None::<&[u8]>).map_err(ExportError::encoding)
    }

    pub fn ready(&self) -> usize {
        self.writer.get_ref().len()
    }

    pub fn take(&mut self) -> Result<Vec<u8>, ExportError> {
        // A writer gives its target away only at its end.
        mem::replace(&mut self.writer, writer()).into_inner().map_err(|failed| ExportError::encoding(failed.into_error()))
    }
}

/// A writer into memory, whose own buffer is a small one therefore.
fn writer() -> Writer<Vec<u8>> {
    WriterBuilder::new().terminator(Terminator::CRLF).buffer_capacity(8192).from_writer(Vec::new())
}
