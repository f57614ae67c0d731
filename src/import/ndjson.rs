//! Lines of JSON.

use std::borrow::Cow;
use std::fmt;
use std::io::{BufRead, Read as _};

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::fields::{FileError, ImportKind, Line};
use super::record_limit::{MAX_LINE, TOO_LONG};
use crate::shown;

/// Reads an object from each line that is not blank.
pub(super) fn read(
    mut from: impl BufRead,
    mut start: impl FnMut(ImportKind),
    mut take: impl FnMut(&Line<'_>) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let (mut text, mut number, mut kind) = (String::new(), 0, None);
    loop {
        text.clear();
        number += 1;
        let count = (&mut from)
            .take(MAX_LINE as u64 + 1)
            .read_line(&mut text)
            .map_err(|cause| FileError::new(number, format!("cannot be read: {cause}")))?;
        if count == 0 {
            return Ok(());
        }
        if count > MAX_LINE {
            return Err(FileError::new(number, TOO_LONG));
        }
        if text.trim().is_empty() {
            continue;
        }
        // The reader's own words repeat a value, however long it is.
        let no_object =
            |cause: serde_json::Error| FileError::new(number, format!("is no JSON object: {}", shown::cut(&cause.to_string())));
        let Fields(object) = serde_json::from_str(&text).map_err(no_object)?;
        let found = ImportKind::recognise(&object.keys().map(String::as_str).collect::<Vec<_>>())
            .map_err(|error| FileError { line: number, ..error })?;
        match kind {
            None => start(*kind.insert(found)),
            Some(kind) if kind == found => {}
            Some(kind) => return Err(FileError::new(number, format!("is one of {} among {}", found.name(), kind.name()))),
        }
        let values: Vec<Cow<'_, str>> = found.columns().iter().map(|column| text_of(&object[*column])).collect();
        let mut cells = [""; 8];
        for (cell, value) in cells.iter_mut().zip(&values) {
            *cell = value;
        }
        take(&Line { number, kind: found, cells })?;
    }
}

/// The fields of a line, each of which stands there once: of two, nobody knows which is meant.
struct Fields(Map<String, Value>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if fields.contains_key(&name) {
                        return Err(A::Error::custom(format!("it has the field {} twice", shown::quoted(&name))));
                    }
                    fields.insert(name, value);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Once)
    }
}

fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null => Cow::Borrowed(""),
        other => Cow::Owned(other.to_string()),
    }
}
