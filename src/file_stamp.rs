//! Notices when a file has changed.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What tells one version of a file from the next, through the symbolic links that Kubernetes swaps. The time of the last change of its metadata
/// is what nobody can set: a version of the same length and age is another one by that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileStamp {
    real_path: PathBuf,
    bytes: u64,
    /// The device and the number of the file on it.
    place: (u64, u64),
    /// When the content and when anything of it changed last, in seconds and nanoseconds.
    times: [(i64, i64); 2],
}

impl FileStamp {
    /// How the file is now; `None` when it is not there. Take it before the file is read, so that a change in between is noticed.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let real_path = path.canonicalize().ok()?;
        let metadata = real_path.metadata().ok()?;
        Some(Self {
            real_path,
            bytes: metadata.len(),
            place: (metadata.dev(), metadata.ino()),
            times: [(metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec())],
        })
    }
}
