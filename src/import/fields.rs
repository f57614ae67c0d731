//! The columns of files, and what stands in them.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;

use crate::quota::parse_instant;
use crate::shown;

/// The beginning of the last day before the year 1, which with its offset an instant of the year 1 may have: databases and formats have no common way with
/// those before it.
const BEGINNING: Timestamp = Timestamp::constant(-62_135_683_200, 0);

/// A line of a file is wrong; lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {mend}")]
pub struct FileError {
    pub line: u64,
    pub mend: String,
}

impl FileError {
    pub(super) fn new(line: u64, mend: impl Into<String>) -> Self {
        Self { line, mend: mend.into() }
    }
}

/// What the lines of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportKind {
    Samples,
    /// Snapshots, run by run, as `export snapshots` writes them.
    Snapshots,
}

const SAMPLES: &[&str] = &["tenant", "space_type", "observed_at", "allocated_gb", "total_gb"];
const SNAPSHOTS: &[&str] =
    &["tenant", "space_type", "first_observed_at", "last_observed_at", "interval_s", "observations", "allocated_gb", "total_gb"];

impl ImportKind {
    /// The name of its lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Snapshots => "snapshots",
        }
    }

    /// The columns, in the order in which [`Line`] has them.
    pub(super) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Samples => SAMPLES,
            Self::Snapshots => SNAPSHOTS,
        }
    }

    /// The kind that has these columns, in any order, each once.
    pub(super) fn recognise(names: &[&str]) -> Result<Self, FileError> {
        let kind = if names.contains(&"observed_at") { Self::Samples } else { Self::Snapshots };
        let missing: Vec<_> = kind.columns().iter().filter(|column| !names.contains(*column)).copied().collect();
        if missing.is_empty() && names.len() == kind.columns().len() {
            return Ok(kind);
        }
        let foreign = names.iter().find(|name| !kind.columns().contains(name));
        let fault = match (missing.first(), foreign) {
            (Some(missing), _) => format!("there is no column {missing}"),
            (None, Some(foreign)) => format!("there is no use for the column {}", shown::quoted(foreign)),
            (None, None) => "a column stands there twice".to_owned(),
        };
        let (samples, snapshots) = (SAMPLES.join(","), SNAPSHOTS.join(","));
        Err(FileError::new(1, format!("{fault}; samples have {samples}, and snapshots have {snapshots}, in any order")))
    }
}

/// The cells of a line as texts, in the order of [`ImportKind::columns`].
pub(super) struct Line<'a> {
    pub number: u64,
    pub kind: ImportKind,
    pub cells: [&'a str; 8],
}

impl Line<'_> {
    fn cell(&self, name: &'static str) -> &str {
        self.kind.columns().iter().position(|column| *column == name).map_or("", |place| self.cells[place])
    }

    pub fn wrong(&self, column: &str, mend: impl Display) -> FileError {
        FileError::new(self.number, format!("{column}: {mend}"))
    }

    pub fn tenant(&self) -> &str {
        self.cell("tenant")
    }

    /// An instant, cut to whole milliseconds, as everything that is recorded.
    pub fn instant(&self, name: &'static str, now: Timestamp) -> Result<Timestamp, FileError> {
        let text = self.cell(name);
        let mend = || {
            let shown = shown::quoted(text);
            format!("{shown} is not a date and time; write RFC 3339 with an offset, from the year 1 on: 2026-03-01T00:00:00Z")
        };
        let at = parse_instant(text).ok_or_else(|| self.wrong(name, mend()))?;
        if at > now {
            return Err(self.wrong(name, format!("{} lies in the future", shown::cut(text))));
        }
        if at < BEGINNING {
            return Err(self.wrong(name, mend()));
        }
        let millis = at.as_nanosecond().div_euclid(1_000_000);
        i64::try_from(millis)
            .ok()
            .and_then(|millis| Timestamp::from_millisecond(millis).ok())
            .ok_or_else(|| self.wrong(name, mend()))
    }

    /// A whole number within bounds.
    pub fn number<T: FromStr + TryFrom<i64> + PartialOrd + Copy + Display>(
        &self,
        name: &'static str,
        least: T,
    ) -> Result<T, FileError> {
        let text = self.cell(name);
        let number = text.parse().ok().or_else(|| whole(text).and_then(|whole| T::try_from(whole).ok()));
        number.filter(|number| *number >= least).ok_or_else(|| {
            self.wrong(name, format!("{} is no whole number from {least} on, or it is too large", shown::quoted(text)))
        })
    }
}

/// Some tools write whole numbers as `10.0` as soon as a column has a hole somewhere.
fn whole(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.')?;
    fraction.bytes().all(|digit| digit == b'0').then(|| whole.parse().ok())?
}
