//! Notices when the config file says something else while the service runs: who may call is read again, everything else needs a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use figment::value::{Dict, Value};

use super::environment::{Overrides, find_overrides};
use super::error::ConfigError;
use super::load::{locate, not_empty, place_files, read_config, read_table};
use super::{Auth, Config};
use crate::file_stamp::FileStamp;

/// Watches the config file, by looking at it when asked.
#[derive(Debug)]
pub struct SettingsWatch {
    /// What is in force.
    config: Config,
    /// What stood in the file at the start, by field.
    written: BTreeMap<String, Value>,
    stamps: Vec<(PathBuf, Option<FileStamp>)>,
}

/// What the config says now.
#[derive(Debug)]
pub struct Reread {
    /// Who may call, checked.
    pub auth: Option<Auth>,
    /// The fields of other sections that have changed since the start, such as `limits.tokens`, in order.
    pub need_restart: Vec<String>,
    /// Why the service would not start with the config as it is now; a sentence. Not for what stands in `[auth]`.
    pub would_not_start: Option<ConfigError>,
}

impl SettingsWatch {
    /// Starts from how the file is now.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let written = config.file.as_deref().and_then(|file| read_table(file).ok()).unwrap_or_default();
        let stamps = files_of(config).into_iter().map(|path| (path.clone(), FileStamp::of(&path))).collect();
        Self { config: config.clone(), written: fields(&written), stamps }
    }

    /// Whether the file, or one that `[auth]` names, has come, gone or changed since the last time that this was asked. Cheap: one look at each
    /// file's metadata.
    pub fn changed(&mut self) -> bool {
        let mut changed = false;
        for (path, stamp) in &mut self.stamps {
            let now = FileStamp::of(path);
            changed |= now != *stamp;
            *stamp = now;
        }
        changed
    }

    /// Reads the config again, and the environment, which wins.
    ///
    /// # Errors
    /// When the file cannot be read, or who may call is not said as it must be: a sentence that names the place, the field and what to mend.
    pub fn reread(&mut self, env: impl IntoIterator<Item = (String, String)>) -> Result<Reread, ConfigError> {
        let overrides = find_overrides(env)?;
        let file = self.config.place();
        let table = not_empty(read_table(&file)?, &file)?;
        let mut config = read_config(&file, &overrides)?;
        config.file = Some(file.clone());
        place_files(&mut config);
        let auth = config.auth.clone();
        if let Some(auth) = &auth {
            auth.validate_present().map_err(|invalid| locate(invalid, &overrides, &file))?;
        }
        // From now on what it names is watched, too.
        self.stamps.retain(|(path, _)| files_of(&config).contains(path));
        for path in files_of(&config) {
            if !self.stamps.iter().any(|(known, _)| *known == path) {
                let stamp = FileStamp::of(&path);
                self.stamps.push((path, stamp));
            }
        }
        let need_restart = self.find_changes(&config, &fields(&table), &overrides);
        let would_not_start = if need_restart.is_empty() { None } else { config.check().err() };
        Ok(Reread { auth, need_restart, would_not_start })
    }

    /// The fields that have changed, but for those that are read again and those that the environment sets.
    fn find_changes(&self, config: &Config, written: &BTreeMap<String, Value>, overrides: &Overrides) -> Vec<String> {
        let is_reread = |name: &str| name == "tenants" || name == "auth" || name.starts_with("auth.");
        // What was written down and is the default, or the same in other words, has not changed.
        let has_effect = |name: &str| {
            let section = name.split('.').next().unwrap_or_default();
            let (before, now) = (shown(&self.config, section), shown(config, section));
            before.is_none() || before != now
        };
        let names: BTreeSet<&String> = self.written.keys().chain(written.keys()).collect();
        let mut changed: Vec<String> = Vec::new();
        for name in names {
            let differs = self.written.get(name) != written.get(name);
            if differs && !is_reread(name) && !overrides.contains_key(name) && has_effect(name) {
                changed.push(name.clone());
            }
        }
        changed
    }
}

fn files_of(config: &Config) -> BTreeSet<PathBuf> {
    config.file.iter().cloned().collect()
}

/// The fields of a table by their whole names, lists as one.
fn fields(table: &Dict) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    let mut tables = vec![(String::new(), table)];
    while let Some((prefix, table)) = tables.pop() {
        for (name, value) in table {
            let name = format!("{prefix}{name}");
            match value {
                Value::Dict(_, table) => tables.push((format!("{name}."), table)),
                value => _ = fields.insert(name, value.clone()),
            }
        }
    }
    fields
}

/// A section as it is in force, for comparing; `None` where that does not show everything, since a part of it is a secret.
fn shown(config: &Config, section: &str) -> Option<String> {
    match section {
        "server" => Some(format!("{:?}", config.server)),
        "collector" => Some(format!("{:?}", config.collector)),
        "retention" => Some(format!("{:?}", config.retention)),
        "cache" => Some(format!("{:?}", config.cache)),
        "limits" => Some(format!("{:?}", config.limits)),
        "graphql" => Some(format!("{:?}", config.graphql)),
        "cors" => Some(format!("{:?}", config.cors)),
        "log" => Some(format!("{:?}", config.log)),
        "tenants_file" => Some(format!("{:?}", config.tenants_file)),
        _ => None,
    }
}
