//! `[[tenants]]`: who is watched, where, and with which credential.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::IgnoredAny;
use url::Url;

use super::error::Invalid;
use super::{secrets, text};
use crate::koodrive::{Account, Credential};
use crate::quota::{Label, Tenant, TenantId};
use crate::tenants::WatchedTenant;

/// One tenant as the config gives it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantConfig {
    /// Its id: 1 to 64 characters of `A-Z a-z 0-9 . _ -`, unique over all files.
    #[serde(deserialize_with = "text::tenant_id")]
    pub id: TenantId,
    /// Its name for people. Default: the id.
    pub name: Option<String>,
    /// The upstream's address: `https`, or `http` on loopback or where `upstream.allow_http` is set. Scheme, host and port only.
    #[serde(deserialize_with = "text::url")]
    pub endpoint: Url,
    /// The user on whose behalf the upstream is asked; in quotes, since its 19 digits do not survive a double.
    pub user_id: String,
    /// Keys and values to group tenants by. Default: none.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What proves who asks.
    pub auth: TenantAuth,
}

/// How a tenant's requests are authenticated: by an app (`app_id` and one of `app_secret_env`, `app_secret_file`) or by a token
/// (one of `token_env`, `token_file`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantAuth {
    /// The app's id; public.
    pub app_id: Option<String>,
    /// The environment variable that holds the app's secret.
    pub app_secret_env: Option<String>,
    /// The file that holds the app's secret; relative to the folder of the file that names it.
    pub app_secret_file: Option<PathBuf>,
    /// The environment variable that holds the token.
    pub token_env: Option<String>,
    /// The file that holds the token; relative to the folder of the file that names it.
    pub token_file: Option<PathBuf>,
    /// What stands before the token: `Bearer+`, `Bearer ` or nothing. Default `Bearer+`.
    pub token_prefix: Option<String>,
    app_secret: Option<IgnoredAny>,
    token: Option<IgnoredAny>,
}

/// Where a secret stands.
enum Reference<'a> {
    Variable(&'a str),
    File(&'a Path),
}

impl TenantConfig {
    /// Checks all rules that need no secret.
    pub(super) fn validate(&self, allow_http: bool) -> Result<(), Invalid> {
        validate_endpoint(&self.endpoint, allow_http)?;
        text::require_visible_ascii("user_id", &self.user_id)?;
        if self.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return Err(Invalid::new("name", "must not be blank; leave it out to use the id"));
        }
        if self.labels.keys().any(|key| key.trim().is_empty()) {
            return Err(Invalid::new("labels", "must not have a blank key"));
        }
        self.auth.validate()
    }

    /// The tenant as people know it.
    pub(super) fn tenant(&self) -> Tenant {
        let labels = self.labels.iter().map(|(key, value)| Label { key: key.clone(), value: value.clone() }).collect();
        let name = self.name.clone().unwrap_or_else(|| self.id.to_string());
        Tenant { id: self.id.clone(), name, labels }
    }

    /// Reads the secrets and puts everything together. `folder` is where relative paths start.
    pub(super) fn resolve(&self, folder: &Path, env: &HashMap<String, String>) -> Result<WatchedTenant, Invalid> {
        Ok(WatchedTenant {
            tenant: self.tenant(),
            account: Account {
                tenant: self.id.clone(),
                endpoint: self.endpoint.clone(),
                user_id: self.user_id.clone(),
                credential: self.auth.resolve(folder, env)?,
                generation: 0,
            },
        })
    }
}

impl TenantAuth {
    /// The files that hold this tenant's secrets.
    pub(super) fn secret_files(&self) -> impl Iterator<Item = &Path> {
        [&self.app_secret_file, &self.token_file].into_iter().filter_map(Option::as_deref)
    }

    fn validate(&self) -> Result<(), Invalid> {
        for (inline, name) in [(&self.app_secret, "app_secret"), (&self.token, "token")] {
            if inline.is_some() {
                let mend = format!(
                    "must not be in the config; put the value into an environment variable and name it in {name}_env, or into a file and name it in {name}_file"
                );
                return Err(Invalid::new(format!("auth.{name}"), mend));
            }
        }
        let app = self.app_id.is_some() || self.app_secret_env.is_some() || self.app_secret_file.is_some();
        let token = self.token_env.is_some() || self.token_file.is_some() || self.token_prefix.is_some();
        match (app, token) {
            (true, true) => Err(Invalid::new("auth", "must be an app (app_id, app_secret_…) or a token (token_…), not both")),
            (false, false) => Err(Invalid::new(
                "auth",
                "must have app_id with app_secret_env or app_secret_file, or else token_env or token_file",
            )),
            (true, false) => {
                self.validate_app_id()?;
                self.app_secret().map(drop)
            }
            (false, true) => {
                self.validate_prefix()?;
                self.token().map(drop)
            }
        }
    }

    fn validate_app_id(&self) -> Result<(), Invalid> {
        let app_id = self.app_id.as_ref().ok_or_else(|| Invalid::new("auth.app_id", "is missing"))?;
        // It stands in a header between commas. It is not repeated: the secret may stand here by mistake.
        if app_id.is_empty() || !app_id.bytes().all(|b| b.is_ascii_graphic() && b != b',') {
            return Err(Invalid::new("auth.app_id", "must be one or more visible ASCII characters without spaces and commas"));
        }
        Ok(())
    }

    fn validate_prefix(&self) -> Result<(), Invalid> {
        let prefix = self.token_prefix.as_deref().unwrap_or_default();
        if prefix.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Ok(());
        }
        Err(Invalid::new("auth.token_prefix", "must be ASCII characters, such as \"Bearer+\", \"Bearer \" or \"\""))
    }

    fn app_secret(&self) -> Result<Reference<'_>, Invalid> {
        one_of(("app_secret_env", self.app_secret_env.as_deref()), ("app_secret_file", self.app_secret_file.as_deref()))
    }

    fn token(&self) -> Result<Reference<'_>, Invalid> {
        one_of(("token_env", self.token_env.as_deref()), ("token_file", self.token_file.as_deref()))
    }

    fn resolve(&self, folder: &Path, env: &HashMap<String, String>) -> Result<Credential, Invalid> {
        if let Some(app_id) = &self.app_id {
            let app_secret = read_secret("app_secret", &self.app_secret()?, folder, env)?;
            return Ok(Credential::App { app_id: app_id.clone(), app_secret });
        }
        let reference = self.token()?;
        let token = read_secret("token", &reference, folder, env)?;
        if !token.expose_secret().bytes().all(|b| b.is_ascii_graphic()) {
            let mend = "the token must be visible ASCII characters without spaces and line breaks";
            return Err(Invalid::new(reference.field("token"), mend));
        }
        Ok(Credential::Token { token, prefix: self.token_prefix.clone().unwrap_or_else(|| "Bearer+".to_owned()) })
    }
}

impl Reference<'_> {
    fn field(&self, name: &str) -> String {
        match self {
            Self::Variable(_) => format!("auth.{name}_env"),
            Self::File(_) => format!("auth.{name}_file"),
        }
    }
}

fn one_of<'a>(variable: (&str, Option<&'a str>), file: (&str, Option<&'a Path>)) -> Result<Reference<'a>, Invalid> {
    match (variable.1, file.1) {
        (Some(name), None) => Ok(Reference::Variable(name)),
        (None, Some(path)) => Ok(Reference::File(path)),
        (Some(_), Some(_)) => Err(Invalid::new("auth", format!("must have {} or {}, not both", variable.0, file.0))),
        (None, None) => Err(Invalid::new("auth", format!("must have {} or {}", variable.0, file.0))),
    }
}

fn read_secret(
    name: &str,
    reference: &Reference<'_>,
    folder: &Path,
    env: &HashMap<String, String>,
) -> Result<SecretString, Invalid> {
    match reference {
        Reference::Variable(variable) => secrets::from_variable(variable, env),
        Reference::File(path) => secrets::from_file(&folder.join(path)),
    }
    .map_err(|mend| Invalid::new(reference.field(name), mend))
}

fn validate_endpoint(endpoint: &Url, allow_http: bool) -> Result<(), Invalid> {
    let refuse = |mend: &str| Err(Invalid::new("endpoint", mend));
    let plain = !endpoint.username().is_empty() || endpoint.password().is_some();
    let has_path = !matches!(endpoint.path(), "" | "/");
    if plain || has_path || endpoint.query().is_some() || endpoint.fragment().is_some() {
        return refuse("must be scheme, host and port only, without user, password, path, query and fragment");
    }
    match endpoint.scheme() {
        "https" => Ok(()),
        "http" if allow_http || text::is_loopback(endpoint) => Ok(()),
        "http" => refuse(
            "must be https, since http shows the credential to everybody on the way; allow_http = true under [upstream] permits it",
        ),
        _ => refuse("must be an https URL"),
    }
}
