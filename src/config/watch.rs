//! Notices when something that the tenants are made of has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::Config;
use super::load::{Empty, PlacedTenant, collect_tenants, reread};
use crate::file_stamp::FileStamp;

/// Watches the config file, the tenants' file and the files of their secrets, by looking at them when asked.
#[derive(Debug)]
pub struct TenantsWatch {
    config: Config,
    stamps: BTreeMap<PathBuf, Option<FileStamp>>,
}

impl TenantsWatch {
    /// Starts from how the files are now. To miss nothing, start watching before the tenants are loaded.
    pub fn new(config: &Config) -> Self {
        let mut watch = Self { config: config.clone(), stamps: BTreeMap::new() };
        watch.restart();
        watch
    }

    /// Whether a file has come, gone or changed since the last time that this was asked. After a yes the tenants should be loaded
    /// again. Cheap: one look at each file's metadata.
    pub fn changed(&mut self) -> bool {
        if self.stamps.iter().all(|(path, stamp)| FileStamp::of(path) == *stamp) {
            return false;
        }
        self.restart();
        true
    }

    /// Finds out anew which files count, and how they are. As long as the tenants cannot be read, the former files count.
    fn restart(&mut self) {
        let mut files: BTreeSet<PathBuf> = self.config.file.iter().chain(&self.config.tenants_file).cloned().collect();
        // The stamps of these two come first, so that a change while they are read is noticed the next time.
        let mut stamps = stamp_all(&files);
        match reread(&self.config).and_then(|config| collect_tenants(&config, Empty::IsRefused)) {
            Ok(tenants) => files.extend(tenants.iter().flat_map(PlacedTenant::secret_files)),
            Err(_) => files.extend(self.stamps.keys().cloned()),
        }
        files.retain(|path| !stamps.contains_key(path));
        stamps.extend(stamp_all(&files));
        self.stamps = stamps;
    }
}

fn stamp_all(files: &BTreeSet<PathBuf>) -> BTreeMap<PathBuf, Option<FileStamp>> {
    files.iter().map(|path| (path.clone(), FileStamp::of(path))).collect()
}
