//! Notices when something has changed that is read again while the service runs, and reads it: who may call, and the tenants. Both stand in one
//! file, so they are read as one version of it. Everything else needs a restart.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use figment::value::{Dict, Value};

use super::environment::{Overrides, find_overrides};
use super::error::ConfigError;
use super::load::{Empty, PlacedTenant, collect_tenants, locate, not_empty, place_files, read_config, read_table, resolve_tenants};
use super::{Auth, Config};
use crate::file_stamp::FileStamp;
use crate::tenants::WatchedTenant;

/// Watches the config file and those that it names, by looking at them when asked.
#[derive(Debug)]
pub struct Watch {
    /// What is in force.
    config: Config,
    /// What stood in the config file at the start, by field.
    written: BTreeMap<String, Value>,
    /// What the tenants were read from last.
    tenants: TenantsSource,
    /// Whether those are the tenants in force.
    are_tenants_in_force: bool,
    /// The config file, those that `[auth]` names, and the tenants' file.
    few: Stamps,
    /// The files of the tenants' secrets.
    secrets: Stamps,
    /// Whether one of the few was seen to change, and may be in the middle of it.
    moving: bool,
}

/// The tenants of the config file as they stand there, and how the file of more is.
type TenantsSource = (Option<Value>, Option<FileStamp>);

/// What the files say now.
#[derive(Debug)]
pub struct Version {
    /// Who may call, checked.
    pub auth: Option<Auth>,
    /// The tenants, when they may have changed; an error when they cannot be read.
    pub tenants: Option<Result<Vec<WatchedTenant>, ConfigError>>,
    /// The fields of other sections that have changed since the start, such as `limits.tokens`, in order.
    pub need_restart: Vec<String>,
    /// Why the service would not start with the config as it is now; a sentence. Not for what stands in `[auth]`.
    pub would_not_start: Option<ConfigError>,
}

impl Watch {
    /// Starts from how the files are now. To miss nothing, start before the tenants are loaded.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let few = Stamps::of(few_files(config));
        let table = config.file.as_deref().and_then(|file| read_table(file).ok()).unwrap_or_default();
        let placed = collect_tenants(config, Empty::IsNone).unwrap_or_default();
        Self {
            config: config.clone(),
            written: fields(&table),
            tenants: (table.get("tenants").cloned(), few.of_tenants(config)),
            are_tenants_in_force: true,
            few,
            secrets: Stamps::of(secret_files(&placed)),
            moving: false,
        }
    }

    /// Whether one of the few files has come, gone or changed since it was read, and is at rest: what changes while it is looked at is told with
    /// the next look, since it may be half written. Cheap: one look at each file's metadata.
    pub fn has_changed(&mut self) -> bool {
        let is_moving = self.few.look();
        std::mem::replace(&mut self.moving, is_moving) && !is_moving
    }

    /// Whether the file of a secret has come, gone or changed. One look at the metadata of each, of which there may be many.
    pub fn has_changed_secrets(&mut self) -> bool {
        self.secrets.look()
    }

    /// Reads everything again, and the environment, which wins. The tenants' secrets are read when something of the tenants has changed, or when
    /// `all` is asked for.
    ///
    /// # Errors
    /// When the config file cannot be read, or who may call is not said as it must be: a sentence that names the place, the field and what to mend.
    pub fn read(&mut self, all: bool, env: impl IntoIterator<Item = (String, String)>) -> Result<Version, ConfigError> {
        let env: HashMap<String, String> = env.into_iter().collect();
        let overrides = find_overrides(env.clone())?;
        let file = self.config.place();
        self.moving = false;
        // The stamps come first, so that a change while something is read is noticed the next time.
        self.few = Stamps::of(few_files(&self.config));
        let table = not_empty(read_table(&file)?, &file)?;
        // Of a version whose tenants are malformed, who may call is read all the same.
        let (mut config, malformed) = match read_config(&table, &file, &overrides) {
            Ok(config) => (config, None),
            Err(refusal) => {
                let others: Dict = table
                    .iter()
                    .filter(|(name, _)| *name != "tenants")
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                let Ok(config) = read_config(&others, &file, &overrides) else { return Err(refusal) };
                (config, Some(refusal))
            }
        };
        config.file = Some(file.clone());
        place_files(&mut config);
        // From now on what it names is watched, too.
        self.few.add(few_files(&config));
        if let Some(auth) = &config.auth {
            auth.validate_present().map_err(|invalid| locate(invalid, &overrides, &file))?;
        }
        let source = (table.get("tenants").cloned(), self.few.of_tenants(&self.config));
        let tenants = (all || !self.are_tenants_in_force || source != self.tenants).then(|| {
            self.tenants = source;
            self.are_tenants_in_force = false;
            malformed.map_or_else(|| self.read_tenants(&config, &env), Err)
        });
        let need_restart = self.find_changes(&config, &fields(&table), &overrides);
        let would_not_start = if need_restart.is_empty() { None } else { config.check().err() };
        Ok(Version { auth: config.auth, tenants, need_restart, would_not_start })
    }

    /// Notes that the tenants that were read last are in force. Until then they are read again with every version.
    pub fn tenants_are_in_force(&mut self) {
        self.are_tenants_in_force = true;
    }

    /// The tenants that the config has now; all other settings are those at the start, `tenants_file` included.
    fn read_tenants(&mut self, config: &Config, env: &HashMap<String, String>) -> Result<Vec<WatchedTenant>, ConfigError> {
        let config = Config { tenants: config.tenants.clone(), ..self.config.clone() };
        let placed = collect_tenants(&config, Empty::IsRefused)?;
        self.secrets = Stamps::of(secret_files(&placed));
        resolve_tenants(&config, placed, env)
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

/// How files were when they were looked at last.
#[derive(Debug, Default)]
struct Stamps(BTreeMap<PathBuf, Option<FileStamp>>);

impl Stamps {
    fn of(files: BTreeSet<PathBuf>) -> Self {
        let mut stamps = Self::default();
        stamps.add(files);
        stamps
    }

    /// Watches these, too, from how they are now.
    fn add(&mut self, files: BTreeSet<PathBuf>) {
        for path in files {
            self.0.entry(path).or_insert_with_key(|path| FileStamp::of(path));
        }
    }

    /// How the file of more tenants was.
    fn of_tenants(&self, config: &Config) -> Option<FileStamp> {
        self.0.get(config.tenants_file.as_ref()?).cloned().flatten()
    }

    /// Looks at all of them, and tells whether one is not as it was.
    fn look(&mut self) -> bool {
        let mut changed = false;
        for (path, stamp) in &mut self.0 {
            let now = FileStamp::of(path);
            changed |= now != *stamp;
            *stamp = now;
        }
        changed
    }
}

fn few_files(config: &Config) -> BTreeSet<PathBuf> {
    let jwt = config.auth.as_ref().and_then(|auth| auth.jwt.as_ref());
    let named = jwt.into_iter().flat_map(|jwt| [&jwt.jwks_file, &jwt.ca_file]).chain([&config.file, &config.tenants_file]);
    named.flatten().cloned().collect()
}

fn secret_files(placed: &[PlacedTenant]) -> BTreeSet<PathBuf> {
    placed.iter().flat_map(PlacedTenant::secret_files).collect()
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
