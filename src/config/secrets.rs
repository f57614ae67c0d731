//! Secrets by reference: the config names an environment variable or a file, never the value.

use std::collections::HashMap;
use std::path::Path;

use figment::value::{Dict, Value};
use secrecy::SecretString;
use tracing::warn;
use url::Url;

use crate::{files, shown};

/// Reads the secret that an environment variable holds. The error never repeats what stands in the config unless it looks like a name,
/// since people put the secret itself there by mistake.
pub(super) fn from_variable(name: &str, env: &HashMap<String, String>) -> Result<SecretString, String> {
    let is_name = looks_like_variable(name);
    let value = env.get(name).ok_or_else(|| {
        if is_name {
            format!("the environment variable {name} is not set")
        } else {
            "must be the name of an environment variable that is set; the secret itself does not belong here".to_owned()
        }
    })?;
    non_empty(value, || format!("the environment variable {name}")).ok_or_else(|| {
        let shown = if is_name { format!(" {name}") } else { String::new() };
        format!("the environment variable{shown} is empty")
    })
}

/// Reads the secret that a file holds, without the line break at its end.
pub(super) fn from_file(path: &Path) -> Result<SecretString, String> {
    let text = files::read_text(path, files::MAX_SECRET).map_err(|problem| format!("{} {problem}", shown::path(path)))?;
    non_empty(&text, || shown::path(path)).ok_or_else(|| format!("{} is empty", shown::path(path)))
}

/// The secret without what editors add to it: a byte order mark before it, and line breaks after it. Blanks may belong to it; they are warned of.
fn non_empty(text: &str, place: impl FnOnce() -> String) -> Option<SecretString> {
    let secret = text.strip_prefix('\u{feff}').unwrap_or(text).trim_end_matches(['\r', '\n']);
    if secret.trim() != secret {
        warn!(place = place(), "a secret begins or ends with spaces; they count as a part of it");
    }
    (!secret.is_empty()).then(|| SecretString::from(secret))
}

/// Warns of secrets that every user of the machine can read, in one line.
pub(super) fn warn_of_open_files<'a>(files: impl IntoIterator<Item = &'a Path>) {
    let open: Vec<&Path> = files.into_iter().filter(|path| files::is_open_to_all(path)).collect();
    if let Some(first) = open.first() {
        warn!(files = open.len(), first = %first.display(), "secrets are in files that every user of this machine can read; take that away with chmod o-r");
    }
}

/// Where a config may have passwords: in addresses.
const ADDRESSES: [&str; 3] = ["database.url", "upstream.proxy", "auth.jwt.proxy"];

/// Whether a config has a password in it.
pub(super) fn has_password(config: Dict) -> bool {
    let config = Value::from(config);
    let has_password = |text: &str| {
        let address = Url::parse(text);
        address.is_ok_and(|url| url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password"))
    };
    ADDRESSES.iter().any(|place| config.find_ref(place).and_then(Value::as_str).is_some_and(has_password))
}

fn looks_like_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.contains('_')
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}
