//! Apache Parquet, by the crate's column writer.
//!
//! A group of rows is kept column by column until it is full, and then written at once. The last piece of the file says where everything
//! is: without it no reader takes the file for one.

use std::mem;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, Type};

use super::error::ExportError;
use super::{Cell, CellKind, Column};

/// Rows of a group: as many as readers like to take at once, and few enough to be kept in some megabytes.
const GROUP_ROWS: usize = 128 * 1024;

/// Writes Parquet.
pub(super) struct ParquetEncoder {
    file: SerializedFileWriter<Vec<u8>>,
    columns: Vec<Values>,
    rows: usize,
}

/// The cells of one column in the group that is being filled.
struct Values {
    cells: Cells,
    /// For each row 1 where it has a value and 0 where it has none; only where it may have none.
    levels: Option<Vec<i16>>,
}

/// The values there are.
enum Cells {
    Texts(Vec<ByteArray>),
    Ints(Vec<i32>),
    Longs(Vec<i64>),
    Doubles(Vec<f64>),
    Bools(Vec<bool>),
}

impl ParquetEncoder {
    pub fn new(columns: &'static [Column]) -> Result<Self, ExportError> {
        Ok(Self { file: open(columns)?, columns: columns.iter().map(Values::new).collect(), rows: 0 })
    }

    pub fn push(&mut self, row: &[Cell<'_>]) -> Result<(), ExportError> {
        for (values, cell) in self.columns.iter_mut().zip(row) {
            values.push(cell)?;
        }
        self.rows += 1;
        if self.rows >= GROUP_ROWS { self.write_group() } else { Ok(()) }
    }

    /// What a group still keeps does not count.
    pub fn ready(&self) -> usize {
        self.file.inner().len()
    }

    pub fn take(&mut self) -> Result<Vec<u8>, ExportError> {
        self.file.flush().map_err(ExportError::encoding)?;
        Ok(mem::take(self.file.inner_mut()))
    }

    pub fn finish(mut self) -> Result<Vec<u8>, ExportError> {
        self.write_group()?;
        self.file.into_inner().map_err(ExportError::encoding)
    }

    fn write_group(&mut self) -> Result<(), ExportError> {
        if mem::take(&mut self.rows) == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for values in &mut self.columns {
            let Some(mut column) = group.next_column()? else { break };
            values.write(column.untyped())?;
            column.close()?;
        }
        group.close()?;
        self.file.flush().map_err(ExportError::encoding)
    }
}

impl Values {
    fn new(column: &Column) -> Self {
        let cells = match column.kind {
            CellKind::Text => Cells::Texts(Vec::new()),
            CellKind::Int => Cells::Ints(Vec::new()),
            CellKind::Long | CellKind::Instant => Cells::Longs(Vec::new()),
            CellKind::Double => Cells::Doubles(Vec::new()),
            CellKind::Bool => Cells::Bools(Vec::new()),
        };
        Self { cells, levels: column.nullable.then(Vec::new) }
    }

    fn push(&mut self, cell: &Cell<'_>) -> Result<(), ExportError> {
        match (&mut self.cells, cell) {
            (_, Cell::Null) => {}
            (Cells::Texts(texts), Cell::Text(text)) => {
                // Rows of one tenant share its name.
                let known = texts.last().filter(|last| last.data() == text.as_bytes()).cloned();
                texts.push(known.unwrap_or_else(|| ByteArray::from(text.as_bytes().to_vec())));
            }
            (Cells::Ints(ints), Cell::Int(int)) => ints.push(*int),
            (Cells::Longs(longs), Cell::Long(long)) => longs.push(*long),
            (Cells::Longs(longs), Cell::Instant(at)) => longs.push(at.as_millisecond()),
            (Cells::Doubles(doubles), Cell::Double(double)) => doubles.push(*double),
            (Cells::Bools(bools), Cell::Bool(yes)) => bools.push(*yes),
            (_, cell) => return Err(ExportError::encoding(ParquetError::General(format!("{cell:?} stands in a foreign column")))),
        }
        if let Some(levels) = &mut self.levels {
            levels.push(i16::from(*cell != Cell::Null));
        }
        Ok(())
    }

    /// Writes the values and forgets them.
    fn write(&mut self, column: &mut ColumnWriter<'_>) -> ParquetResult<()> {
        let levels = self.levels.as_deref();
        match (&mut self.cells, column) {
            (Cells::Texts(texts), ColumnWriter::ByteArrayColumnWriter(to)) => {
                to.write_batch(texts, levels, None)?;
                texts.clear();
            }
            (Cells::Ints(ints), ColumnWriter::Int32ColumnWriter(to)) => {
                to.write_batch(ints, levels, None)?;
                ints.clear();
            }
            (Cells::Longs(longs), ColumnWriter::Int64ColumnWriter(to)) => {
                to.write_batch(longs, levels, None)?;
                longs.clear();
            }
            (Cells::Doubles(doubles), ColumnWriter::DoubleColumnWriter(to)) => {
                to.write_batch(doubles, levels, None)?;
                doubles.clear();
            }
            (Cells::Bools(bools), ColumnWriter::BoolColumnWriter(to)) => {
                to.write_batch(bools, levels, None)?;
                bools.clear();
            }
            _ => return Err(ParquetError::General("a column is of another kind than its cells".to_owned())),
        }
        if let Some(levels) = &mut self.levels {
            levels.clear();
        }
        Ok(())
    }
}

fn open(columns: &[Column]) -> ParquetResult<SerializedFileWriter<Vec<u8>>> {
    let fields = columns.iter().map(|column| field(column).map(Arc::new)).collect::<ParquetResult<_>>()?;
    let schema = Type::group_type_builder("quotagraph").with_fields(fields).build()?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by(concat!("quotagraph ", env!("CARGO_PKG_VERSION")).to_owned());
    // Instants rise, and hardly ever repeat.
    for column in columns.iter().filter(|column| column.kind == CellKind::Instant) {
        let path = ColumnPath::from(column.name);
        properties =
            properties.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties.build()))
}

fn field(column: &Column) -> ParquetResult<Type> {
    let (physical, logical) = match column.kind {
        CellKind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        CellKind::Int => (Physical::INT32, None),
        CellKind::Long => (Physical::INT64, None),
        CellKind::Double => (Physical::DOUBLE, None),
        CellKind::Bool => (Physical::BOOLEAN, None),
        CellKind::Instant => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
    };
    let repetition = if column.nullable { Repetition::OPTIONAL } else { Repetition::REQUIRED };
    Type::primitive_type_builder(column.name, physical).with_logical_type(logical).with_repetition(repetition).build()
}
