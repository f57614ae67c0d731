//! What is asked for, checked.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Column, Format, SNAPSHOT_COLUMNS, USAGE_COLUMNS};
use crate::quota::usage::Fill;
use crate::quota::{TenantId, TimeRange};

/// What a file is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportKind {
    /// Usage over time, in buckets.
    Usage,
    /// The recorded snapshots, run by run.
    Snapshots,
}

/// An export that can be run.
#[derive(Clone, Debug)]
pub struct ExportPlan {
    /// The form of the file.
    pub format: Format,
    /// Whose history, sorted.
    pub tenants: Vec<TenantId>,
    /// Only this space type; for usage the sum over all without it.
    pub space_type: Option<i32>,
    pub content: Content,
    /// When it was asked for.
    pub now: Timestamp,
}

/// The rows of a file.
#[derive(Clone, Debug)]
pub enum Content {
    /// A row for each bucket.
    Usage {
        /// All buckets, in order.
        buckets: Arc<[TimeRange]>,
        /// What a bucket without observations says.
        fill: Fill,
    },
    /// A row for each run that was observed in a range, whose ends may be open.
    Snapshots {
        /// Only runs that were observed at or after this.
        from: Option<Timestamp>,
        /// Only runs that were observed before this.
        to: Option<Timestamp>,
    },
}

impl ExportKind {
    /// Its name in addresses, commands and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Snapshots => "snapshots",
        }
    }
}

impl ExportPlan {
    /// What the file is about.
    #[must_use]
    pub fn kind(&self) -> ExportKind {
        match self.content {
            Content::Usage { .. } => ExportKind::Usage,
            Content::Snapshots { .. } => ExportKind::Snapshots,
        }
    }

    /// The columns of the file.
    #[must_use]
    pub fn columns(&self) -> &'static [Column] {
        match self.kind() {
            ExportKind::Usage => USAGE_COLUMNS,
            ExportKind::Snapshots => SNAPSHOT_COLUMNS,
        }
    }

    /// A name for the file that says what is in it and over which range, such as
    /// `quotagraph-usage_20260301T000000Z_20260401T000000Z.csv`.
    #[must_use]
    pub fn file_name(&self) -> String {
        let (from, to) = match &self.content {
            Content::Usage { buckets, .. } => (buckets.first().map(|first| first.from), buckets.last().map(|last| last.to)),
            Content::Snapshots { from, to } => (*from, *to),
        };
        let stamp = |at: Timestamp| at.strftime("%Y%m%dT%H%M%SZ").to_string();
        let from = from.map_or_else(|| "start".to_owned(), stamp);
        format!("quotagraph-{}_{from}_{}.{}", self.kind().name(), stamp(to.unwrap_or(self.now)), self.format.name())
    }
}
