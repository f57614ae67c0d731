//! Reading the files that a config names: plain ones, up to a size.
//!
//! A pipe or a device may never end or never begin, and would hold up whoever reads it; they are refused without being opened, and without
//! being waited for where one has just taken a file's place. Symbolic links are followed, as Kubernetes mounts need it.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::telemetry;

/// The largest secret, in bytes.
pub const MAX_SECRET: u64 = 64 * 1024;
/// The largest file of certificates or of one key, in bytes.
const MAX_PEM: u64 = 16 * 1024 * 1024;
/// The largest file of settings, of tenants or of documents, in bytes.
pub const MAX_TABLES: u64 = 256 * 1024 * 1024;

/// Reads a plain file of at most so many bytes.
///
/// # Errors
/// What is wrong with it, to follow its name: `cannot be read: …`.
pub fn read(path: &Path, at_most: u64) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {}", telemetry::explain(&error));
    require_plain(&path.metadata().map_err(unreadable)?)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|error| unreadable(error.into()))?);
    let metadata = file.metadata().map_err(unreadable)?;
    require_plain(&metadata)?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(at_most)).unwrap_or_default());
    file.take(at_most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > at_most {
        return Err(format!("cannot be read: it is larger than {}", show_size(at_most)));
    }
    Ok(bytes)
}

/// Reads a file of certificates or of a key, without the byte order mark that some editors put before it.
///
/// # Errors
/// As [`read`].
pub fn read_pem(path: &Path) -> Result<Vec<u8>, String> {
    let pem = read(path, MAX_PEM)?;
    Ok(pem.strip_prefix(b"\xEF\xBB\xBF").map(<[u8]>::to_vec).unwrap_or(pem))
}

/// Reads a plain file of text.
///
/// # Errors
/// As [`read`], and when it is not UTF-8.
pub fn read_text(path: &Path, at_most: u64) -> Result<String, String> {
    String::from_utf8(read(path, at_most)?).map_err(|_| "cannot be read: it is not UTF-8".to_owned())
}

/// Whether every user of the machine may read the file.
#[must_use]
pub fn is_open_to_all(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.mode() & 0o004 != 0)
}

fn require_plain(metadata: &Metadata) -> Result<(), String> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(format!("cannot be read: it is {}, and must be a plain file", describe(metadata.file_type())))
}

fn describe(kind: std::fs::FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

fn show_size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    if bytes >= KIB * KIB { format!("{} MiB", bytes / KIB / KIB) } else { format!("{} KiB", bytes / KIB) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_files_up_to_a_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "x".repeat(2048)).unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        assert_eq!(read(&path("link"), 2048).unwrap().len(), 2048);
        let _listener = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        std::fs::write(path("binary"), [0xff]).unwrap();
        for (name, at_most, problem) in [
            ("file", 2047, "cannot be read: it is larger than 1 KiB"),
            ("none", 1, "cannot be read: No such file or directory (os error 2)"),
            ("", 1, "cannot be read: it is a folder, and must be a plain file"),
            ("socket", 1, "cannot be read: it is a socket, and must be a plain file"),
            ("pipe", 1, "cannot be read: it is a pipe, and must be a plain file"),
            ("/dev/zero", 1, "cannot be read: it is a device, and must be a plain file"),
        ] {
            assert_eq!(read(&path(name), at_most).unwrap_err(), problem);
        }
        assert_eq!(read_text(&path("binary"), 1).unwrap_err(), "cannot be read: it is not UTF-8");
        assert_eq!(show_size(MAX_TABLES), "256 MiB");
    }
}
