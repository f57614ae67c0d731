//! Lines of CSV.

use std::io::Read;

use super::fields::{FileError, ImportKind, Line};
use super::record_limit::{MAX_LINE, TOO_LONG, limit};

/// Reads a line of names and then all others.
pub(super) fn read(
    from: impl Read,
    mut start: impl FnMut(ImportKind),
    mut take: impl FnMut(&Line<'_>) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let (from, lines) = limit(from);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(from);
    let names = reader.headers().map_err(|error| unreadable(&error, 1))?.clone();
    let kind = ImportKind::recognise(&names.iter().collect::<Vec<_>>())?;
    start(kind);
    let place = |column: &&str| names.iter().position(|name| name == *column).unwrap_or_default();
    let places: Vec<usize> = kind.columns().iter().map(place).collect();
    let mut record = csv::StringRecord::new();
    let mut next = 2;
    while reader.read_record(&mut record).map_err(|error| unreadable(&error, next))? {
        lines.next();
        let number = record.position().map_or(next, csv::Position::line);
        if record.as_slice().len() > MAX_LINE {
            return Err(FileError::new(number, TOO_LONG));
        }
        let mut cells = [""; 8];
        for (cell, place) in cells.iter_mut().zip(&places) {
            *cell = record.get(*place).unwrap_or_default();
        }
        take(&Line { number, kind, cells })?;
        next = number + 1;
    }
    Ok(())
}

fn unreadable(error: &csv::Error, next: u64) -> FileError {
    let line = error.position().map_or(next, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            FileError::new(line, format!("has {len} cells where {expected_len} belong"))
        }
        csv::ErrorKind::Utf8 { .. } => FileError::new(line, "is not UTF-8"),
        csv::ErrorKind::Io(cause) if cause.kind() == std::io::ErrorKind::InvalidData => FileError::new(line, TOO_LONG),
        csv::ErrorKind::Io(cause) => FileError::new(line, format!("cannot be read: {cause}")),
        _ => FileError::new(line, error.to_string()),
    }
}
