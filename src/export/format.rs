//! The forms that a file can have.

use std::str::FromStr;

use crate::shown;

/// The form of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values (RFC 4180), with a line of names, in UTF-8.
    #[default]
    Csv,
    /// A JSON object on each line.
    Ndjson,
    /// Apache Parquet, compressed by Zstandard.
    Parquet,
}

impl Format {
    /// Its name, which is also the ending of its files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
        }
    }

    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Ndjson => "application/x-ndjson",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// Whether it is compressed by itself.
    #[must_use]
    pub fn is_compressed(self) -> bool {
        self == Self::Parquet
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Csv, Self::Ndjson, Self::Parquet]
            .into_iter()
            .find(|format| format.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("{} is no format; csv, ndjson and parquet are", shown::quoted(text)))
    }
}
