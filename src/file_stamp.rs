//! Notices when a file has changed.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What tells one version of a file from the next. Works on every kind of file system, and through the symbolic links that Kubernetes
/// swaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileStamp {
    real_path: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl FileStamp {
    /// How the file is now; `None` when it is not there. Take it before the file is read, so that a change in between is noticed.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let real_path = path.canonicalize().ok()?;
        let metadata = real_path.metadata().ok()?;
        Some(Self { real_path, bytes: metadata.len(), modified: metadata.modified().ok() })
    }
}
