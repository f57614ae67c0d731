//! Files of exports, read back: every cell as a JSON value, whatever the format.

use bytes::Bytes;
use jiff::Timestamp;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use quotagraph::export::{CellKind, Column};
use serde_json::Value;

/// The rows of a file of these columns, in either format. Instants are texts, as in GraphQL.
pub fn read_table(format: &str, columns: &[Column], bytes: &[u8]) -> Vec<Vec<Value>> {
    match format {
        "csv" => read_csv(columns, bytes),
        "ndjson" => read_ndjson(columns, bytes),
        "parquet" => read_parquet(columns, bytes),
        other => panic!("{other} is no format"),
    }
}

fn read_csv(columns: &[Column], bytes: &[u8]) -> Vec<Vec<Value>> {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.is_empty() || text.ends_with("\r\n"), "lines end by RFC 4180");
    let mut reader = csv::Reader::from_reader(bytes);
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), names(columns));
    let cell = |(column, text): (&Column, &str)| match column.kind {
        _ if text.is_empty() => Value::Null,
        CellKind::Text | CellKind::Instant => Value::from(text),
        CellKind::Int | CellKind::Long | CellKind::Double | CellKind::Bool => serde_json::from_str(text).unwrap(),
    };
    reader.records().map(|record| columns.iter().zip(record.unwrap().iter()).map(cell).collect()).collect()
}

fn read_ndjson(columns: &[Column], bytes: &[u8]) -> Vec<Vec<Value>> {
    let text = std::str::from_utf8(bytes).unwrap();
    let row = |line: &str| {
        let object: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
        assert_eq!(object.len(), columns.len());
        columns.iter().map(|column| object[column.name].clone()).collect()
    };
    text.lines().map(row).collect()
}

fn read_parquet(columns: &[Column], bytes: &[u8]) -> Vec<Vec<Value>> {
    let reader = SerializedFileReader::new(Bytes::copy_from_slice(bytes)).unwrap();
    let row = |row: parquet::record::Row| {
        let cells: Vec<_> = row.get_column_iter().map(|(name, field)| (name.clone(), cell(field))).collect();
        assert_eq!(cells.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names(columns));
        cells.into_iter().map(|(_, cell)| cell).collect()
    };
    reader.get_row_iter(None).unwrap().map(|found| row(found.unwrap())).collect()
}

fn cell(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Str(text) => text.as_str().into(),
        Field::Int(int) => (*int).into(),
        Field::Long(long) => (*long).into(),
        // As it is read back from JSON, which is not always the nearest double.
        Field::Double(double) => serde_json::from_str(&serde_json::to_string(double).unwrap()).unwrap(),
        Field::Bool(yes) => (*yes).into(),
        Field::TimestampMillis(millis) => Timestamp::from_millisecond(*millis).unwrap().to_string().into(),
        other => panic!("no column has {other:?}"),
    }
}

fn names(columns: &[Column]) -> Vec<&'static str> {
    columns.iter().map(|column| column.name).collect()
}
