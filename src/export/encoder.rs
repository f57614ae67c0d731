//! Rows to bytes, in either format.

use super::csv::CsvEncoder;
use super::error::ExportError;
use super::ndjson::NdjsonEncoder;
use super::parquet::ParquetEncoder;
use super::{Cell, Column, Format};

/// Makes the bytes of a file out of its rows, piece by piece.
pub(super) enum Encoder {
    Csv(Box<CsvEncoder>),
    Ndjson(NdjsonEncoder),
    Parquet(Box<ParquetEncoder>),
}

impl Encoder {
    /// A file without rows so far.
    pub fn new(format: Format, columns: &'static [Column]) -> Result<Self, ExportError> {
        Ok(match format {
            Format::Csv => Self::Csv(Box::new(CsvEncoder::new(columns)?)),
            Format::Ndjson => Self::Ndjson(NdjsonEncoder::new(columns)),
            Format::Parquet => Self::Parquet(Box::new(ParquetEncoder::new(columns)?)),
        })
    }

    /// Adds a row: a cell for each column, of its kind.
    pub fn push(&mut self, row: &[Cell<'_>]) -> Result<(), ExportError> {
        match self {
            Self::Csv(encoder) => encoder.push(row),
            Self::Ndjson(encoder) => encoder.push(row),
            Self::Parquet(encoder) => encoder.push(row),
        }
    }

    /// How many bytes are ready.
    pub fn ready(&self) -> usize {
        match self {
            Self::Csv(encoder) => encoder.ready(),
            Self::Ndjson(encoder) => encoder.ready(),
            Self::Parquet(encoder) => encoder.ready(),
        }
    }

    /// Takes the bytes that are ready.
    pub fn take(&mut self) -> Result<Vec<u8>, ExportError> {
        match self {
            Self::Csv(encoder) => encoder.take(),
            Self::Ndjson(encoder) => Ok(encoder.take()),
            Self::Parquet(encoder) => encoder.take(),
        }
    }

    /// The last bytes. A file is whole only with them.
    pub fn finish(self) -> Result<Vec<u8>, ExportError> {
        match self {
            Self::Csv(mut encoder) => encoder.take(),
            Self::Ndjson(mut encoder) => Ok(encoder.take()),
            Self::Parquet(encoder) => encoder.finish(),
        }
    }
}
