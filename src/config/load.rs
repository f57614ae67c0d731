//! Reads the files and the environment, and checks everything.

use std::collections::{BTreeMap, HashMap};
use std::net::ToSocketAddrs as _;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Value};
use serde::Deserialize;

use super::environment::{Overrides, find_overrides, parse_structure};
use super::error::{ConfigError, Invalid};
use super::proxy::{self, ProxySetting};
use super::secrets::{has_password, warn_of_open_files};
use super::translate::explain;
use super::{Config, Listen, TenantConfig};
use crate::files;
use crate::proxy::Proxies;
use crate::quota::Tenant;
use crate::shown;
use crate::tenants::WatchedTenant;

/// The config file when none is named.
pub const DEFAULT_FILE: &str = "quotagraph.toml";

/// What a file of tenants holds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TenantsFile {
    tenants: Vec<TenantConfig>,
}

/// A tenant and the file that gives it.
pub(super) struct PlacedTenant {
    pub(super) config: TenantConfig,
    pub(super) file: PathBuf,
}

/// What an empty file of tenants says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Empty {
    /// That there are no tenants in it.
    IsNone,
    /// Nothing, since there were some before.
    IsRefused,
}

impl PlacedTenant {
    /// The files that hold the tenant's secrets.
    pub(super) fn secret_files(&self) -> Vec<PathBuf> {
        let folder = folder_of(&self.file);
        self.config.auth.secret_files().map(|path| folder.join(path)).collect()
    }
}

/// Reads the config from `path`, or from [`DEFAULT_FILE`] in the working directory, and then from the environment, which wins. Checks all
/// rules but the secrets, which only [`load_tenants`] reads.
///
/// # Errors
/// A sentence that names the place, the field and what to mend; the first one found.
pub fn load(path: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Result<Config, ConfigError> {
    let file = &find_file(path, Path::new(""))?;
    let env: HashMap<String, String> = env.into_iter().collect();
    let overrides = find_overrides(env.clone())?;
    let mut config = read_config(&read_table(file)?, file, &overrides)?;
    config.file = Some(file.to_owned());
    config.environment_proxies = read_proxies(&config, &env)?;
    place_files(&mut config);
    config.validate().map_err(|invalid| locate(invalid, &overrides, file))?;
    let tenants = collect_tenants(&config, Empty::IsNone)?;
    check_default_tenant(&config, &tenants).map_err(|invalid| locate(invalid, &overrides, file))?;
    Ok(config)
}

/// The proxies of the environment. What is wrong with them matters only when they are used.
fn read_proxies(config: &Config, env: &HashMap<String, String>) -> Result<Proxies, ConfigError> {
    let jwt = config.auth.as_ref().and_then(|auth| auth.jwt.as_ref());
    let are_used =
        config.upstream.proxy == ProxySetting::Environment || jwt.is_some_and(|jwt| jwt.proxy == ProxySetting::Environment);
    let proxies = proxy::read_environment(env);
    if are_used { proxies } else { Ok(proxies.unwrap_or_default()) }
}

/// Makes the relative paths of a config start from its file's folder.
pub(super) fn place_files(config: &mut Config) {
    let folder = folder_of(&config.place());
    config.tenants_file = config.tenants_file.take().map(|path| folder.join(path));
    config.graphql.trusted_documents_file = config.graphql.trusted_documents_file.take().map(|path| folder.join(path));
    config.upstream.ca_file = config.upstream.ca_file.take().map(|path| folder.join(path));
    if let Some(tls) = &mut config.server.tls {
        tls.certificate_file = folder.join(&tls.certificate_file);
        tls.key_file = folder.join(&tls.key_file);
    }
    if let Some(jwt) = config.auth.as_mut().and_then(|auth| auth.jwt.as_mut()) {
        jwt.jwks_file = jwt.jwks_file.take().map(|path| folder.join(path));
        jwt.ca_file = jwt.ca_file.take().map(|path| folder.join(path));
    }
}

/// The file that is named, or else [`DEFAULT_FILE`] in the folder.
fn find_file(path: Option<&Path>, folder: &Path) -> Result<PathBuf, ConfigError> {
    if let Some(path) = path {
        return Ok(path.to_owned());
    }
    let file = folder.join(DEFAULT_FILE);
    if file.exists() {
        return Ok(file);
    }
    Err(ConfigError::new(&format!(
        "there is no {DEFAULT_FILE} here; try `quotagraph demo`, which needs none, or start from quotagraph.example.toml, or name a file with --config"
    )))
}

/// The tenants of the config and of its `tenants_file`, which is read anew, with their secrets.
///
/// # Errors
/// A sentence that names the place, the field and what to mend; the first one found.
pub fn load_tenants(config: &Config, env: impl IntoIterator<Item = (String, String)>) -> Result<Vec<WatchedTenant>, ConfigError> {
    resolve_tenants(config, collect_tenants(config, Empty::IsNone)?, &env.into_iter().collect())
}

/// The tenants with their secrets.
pub(super) fn resolve_tenants(
    config: &Config,
    placed: Vec<PlacedTenant>,
    env: &HashMap<String, String>,
) -> Result<Vec<WatchedTenant>, ConfigError> {
    check_default_tenant(config, &placed).map_err(|invalid| locate(invalid, &Overrides::new(), &config.place()))?;
    let mut secret_files: Vec<PathBuf> = placed.iter().flat_map(PlacedTenant::secret_files).collect();
    // What is wrong with the file is told elsewhere.
    let has_secret = |file: &PathBuf| files::is_open_to_all(file) && read_table(file).is_ok_and(has_password);
    secret_files.extend(config.file.iter().filter(|file| has_secret(file)).cloned());
    warn_of_open_files(secret_files.iter().map(PathBuf::as_path));
    placed
        .into_iter()
        .map(|tenant| {
            tenant
                .config
                .resolve(&folder_of(&tenant.file), env)
                .map_err(|invalid| in_tenant(&tenant.file, &tenant.config, &invalid))
        })
        .collect()
}

/// The same tenants without their secrets, which need not be there.
///
/// # Errors
/// As [`load_tenants`].
pub fn list_tenants(config: &Config) -> Result<Vec<Tenant>, ConfigError> {
    Ok(collect_tenants(config, Empty::IsNone)?.iter().map(|placed| placed.config.tenant()).collect())
}

impl Config {
    /// Checks the rules that the types do not hold, for a config that was made by code. [`load()`] has done it.
    ///
    /// # Errors
    /// A sentence that names the field and what to mend.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.validate().map_err(|invalid| locate(invalid, &Overrides::new(), &self.place()))
    }

    fn validate(&self) -> Result<(), Invalid> {
        self.server.validate()?;
        self.check_listen()?;
        self.database.validate()?;
        self.collector.validate()?;
        self.retention.validate()?;
        self.cache.validate()?;
        self.upstream.validate()?;
        self.limits.validate()?;
        self.graphql.validate()?;
        if let Some(auth) = &self.auth {
            auth.validate()?;
        }
        self.cors.validate()?;
        self.log.validate()
    }

    /// Without an `[auth]` section only loopback may be served: an address that others reach, unprotected, must be somebody's decision.
    fn check_listen(&self) -> Result<(), Invalid> {
        let address = &self.server.listen;
        if self.auth.is_some() || address.is_local() {
            return Ok(());
        }
        if let Listen::Name { host, port } = address
            && let Err(cause) = (host.as_str(), *port).to_socket_addrs()
        {
            return Err(Invalid::new(
                "server.listen",
                format!("{address} cannot be listened on, since its name has no address: {cause}"),
            ));
        }
        Err(Invalid::new(
            "server.listen",
            format!(
                "{address} can be reached from other machines and nothing checks who asks; listen on 127.0.0.1, or say in an [auth] section who may call (mode = \"none\" there serves everybody who reaches it)"
            ),
        ))
    }

    /// What errors call the config.
    pub(super) fn place(&self) -> PathBuf {
        self.file.clone().unwrap_or_else(|| PathBuf::from("config"))
    }
}

/// The tenants of all files, checked but for their secrets.
pub(super) fn collect_tenants(config: &Config, empty: Empty) -> Result<Vec<PlacedTenant>, ConfigError> {
    let own = config.tenants.iter().map(|tenant| PlacedTenant { config: tenant.clone(), file: config.place() });
    let mut tenants: Vec<PlacedTenant> = own.collect();
    if let Some(file) = &config.tenants_file {
        let mut table = parse_table(
            file,
            &read_file(file).map_err(|problem| {
                let mend = format!("tenants_file: {} {problem}", shown::path(file));
                ConfigError::within(config.place().display(), mend)
            })?,
        )?;
        if empty == Empty::IsRefused {
            table = not_empty(table, file)?;
        }
        let more: TenantsFile = extract_strictly(&table, file)?;
        tenants.extend(more.tenants.into_iter().map(|config| PlacedTenant { config, file: file.clone() }));
    }
    let mut taken: HashMap<&str, &Path> = HashMap::with_capacity(tenants.len());
    for PlacedTenant { config: tenant, file } in &tenants {
        let checked = tenant.validate(config.upstream.allow_http);
        checked.map_err(|invalid| in_tenant(file, tenant, &invalid))?;
        if let Some(other) = taken.insert(tenant.id.as_str(), file) {
            let mend = format!("must be unique; {} has another tenant of this id", shown::path(other));
            return Err(in_tenant(file, tenant, &Invalid::new("id", mend)));
        }
    }
    Ok(tenants)
}

fn check_default_tenant(config: &Config, tenants: &[PlacedTenant]) -> Result<(), Invalid> {
    match &config.server.default_tenant {
        Some(id) if tenants.iter().all(|tenant| tenant.config.id != *id) => {
            Err(Invalid::new("server.default_tenant", format!("must be the id of a tenant; there is no tenant {id}")))
        }
        _ => Ok(()),
    }
}

/// Reads the file strictly, so that its errors are its own, and then the environment on top, where numbers are texts too.
pub(super) fn read_config(table: &Dict, file: &Path, overrides: &Overrides) -> Result<Config, ConfigError> {
    let config: Config = extract_strictly(table, file)?;
    if overrides.is_empty() {
        return Ok(config);
    }
    let mut values: BTreeMap<&str, Value> =
        overrides.iter().map(|(field, setting)| (field.as_str(), Value::from(setting.value.as_str()))).collect();
    loop {
        let mut figment = Figment::from(Serialized::defaults(table));
        for (field, value) in &values {
            figment = figment.merge((*field, value));
        }
        let error = match figment.extract_lossy() {
            Ok(config) => return Ok(config),
            Err(error) => error,
        };
        // Of what form a field is, only the field knows: a text is read as a list or a table where one is wanted.
        let wanted = values.get_mut(error.path.join(".").as_str()).filter(|value| value.as_str().is_some());
        match wanted.and_then(|value| Some((parse_structure(value.as_str()?, &error.kind)?, value))) {
            Some((Ok(parsed), value)) => *value = parsed,
            Some((Err(mend), _)) => return Err(locate(Invalid::new(error.path.join("."), mend), overrides, file)),
            None => return Err(locate(explain(&error, table), overrides, file)),
        }
    }
}

pub(super) fn read_table(file: &Path) -> Result<Dict, ConfigError> {
    let text = read_file(file).map_err(|problem| ConfigError::within(file.display(), problem))?;
    parse_table(file, &text)
}

fn read_file(file: &Path) -> Result<String, String> {
    files::read_text(file, files::MAX_TABLES)
}

fn parse_table(file: &Path, text: &str) -> Result<Dict, ConfigError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Toml::from_str(text).map_err(|error| {
        // The parser's own display repeats the line, which may hold a secret.
        let line = error.span().map_or(1, |span| text.bytes().take(span.start).filter(|b| *b == b'\n').count() + 1);
        let message: Vec<&str> = error.message().lines().map(str::trim).collect();
        let unquoted = text.lines().nth(line - 1).and_then(unquoted_field);
        let message = match (unquoted, message.as_slice()) {
            (Some(field), _) => format!("{field}: a string must be in quotes"),
            // The parser says nothing of a value that is missing.
            (None, []) => "this is no TOML; is a value missing?".to_owned(),
            // It repeats keys, whatever is in them.
            (None, message) => shown::cut_to(&message.join(", "), 2 * shown::MAX_CHARS).into_owned(),
        };
        ConfigError::within(file.display(), format!("line {line}: {message}"))
    })
}

/// The field of a line whose value looks like a string without its quotes, of which the parser only says that it expected something else.
fn unquoted_field(line: &str) -> Option<&str> {
    let (field, value) = line.split_once('=')?;
    let field = field.trim().trim_matches('"');
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let word = value.split('#').next()?.trim();
    let is_value = || {
        Toml::from_str::<Dict>(&format!("value = {word}")).is_ok()
            || ["true", "false"].contains(&word.to_ascii_lowercase().as_str())
    };
    let is_string = word.starts_with(|c: char| c.is_ascii_alphanumeric()) && !word.contains(char::is_whitespace) && !is_value();
    // A number that is too large is none of a string without quotes.
    let is_string = is_string && !word.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    (!field.is_empty() && field.len() <= 64 && field.bytes().all(is_name) && is_string).then_some(field)
}

/// Refuses a file that says nothing: it is being written just now, or somebody's mistake, and would take all tenants away.
pub(super) fn not_empty(table: Dict, file: &Path) -> Result<Dict, ConfigError> {
    if table.is_empty() {
        return Err(ConfigError::within(file.display(), "is empty; for no tenants at all write tenants = []"));
    }
    Ok(table)
}

fn extract_strictly<T: serde::de::DeserializeOwned>(table: &Dict, file: &Path) -> Result<T, ConfigError> {
    Figment::from(Serialized::defaults(table)).extract().map_err(|error| {
        let invalid = explain(&error, table);
        locate(invalid, &Overrides::new(), file)
    })
}

/// Says where a value came from: the variable that set it, or the file.
pub(super) fn locate(invalid: Invalid, overrides: &Overrides, file: &Path) -> ConfigError {
    if let Some(setting) = overrides.get(&invalid.field) {
        return ConfigError::within(&setting.variable, invalid.mend);
    }
    let named = |mend: String| format!("{}: {}", invalid.field, mend);
    // A variable may hold a whole list or table, of which the field is a part, or name a part of something that is not there.
    let holds = |field: &str, part: &str| part.strip_prefix(field).is_some_and(|rest| rest.starts_with('.'));
    let found = overrides.iter().find(|(field, _)| holds(field, &invalid.field) || holds(&invalid.field, field));
    match found {
        Some((_, setting)) => ConfigError::within(&setting.variable, named(invalid.mend.clone())),
        None => ConfigError::within(file.display(), named(invalid.mend.clone())),
    }
}

fn in_tenant(file: &Path, tenant: &TenantConfig, invalid: &Invalid) -> ConfigError {
    ConfigError::within(file.display(), format!("tenant {}: {}: {}", shown::cut(tenant.id.as_str()), invalid.field, invalid.mend))
}

/// Where the relative paths of a file start.
fn folder_of(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_file_is_taken_when_it_is_there_and_its_lack_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = find_file(None, folder.path()).unwrap_err().to_string();
        assert!(error.contains("quotagraph demo") && error.contains("--config"), "{error}");

        let file = folder.path().join(DEFAULT_FILE);
        std::fs::write(&file, "").unwrap();
        assert_eq!(find_file(None, folder.path()).unwrap(), file);
    }

    #[test]
    fn a_config_made_by_code_is_held_to_the_same_rules() {
        Config::default().check().unwrap();
        let mut config = Config::default();
        config.server.listen = ([0, 0, 0, 0], 80).into();
        assert!(config.check().unwrap_err().to_string().starts_with("config: server.listen: 0.0.0.0:80 can be reached"));
    }
}
