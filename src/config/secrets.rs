//! Secrets by reference: the config names an environment variable or a file, never the value.

use std::collections::HashMap;
use std::path::Path;

use secrecy::SecretString;

/// Reads the secret that an environment variable holds. The error never repeats what stands in the config unless it looks like a name,
/// since people put the secret itself there by mistake.
pub(super) fn from_variable(name: &str, env: &HashMap<String, String>) -> Result<SecretString, String> {
    let value = env.get(name).ok_or_else(|| {
        if looks_like_variable(name) {
            format!("the environment variable {name} is not set")
        } else {
            "must be the name of an environment variable that is set; the secret itself does not belong here".to_owned()
        }
    })?;
    non_empty(value).ok_or_else(|| "the environment variable is empty".to_owned())
}

/// Reads the secret that a file holds, without the line break at its end.
pub(super) fn from_file(path: &Path) -> Result<SecretString, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    non_empty(&text).ok_or_else(|| format!("{} is empty", path.display()))
}

fn non_empty(text: &str) -> Option<SecretString> {
    let secret = text.trim_end_matches(['\r', '\n']);
    (!secret.is_empty()).then(|| SecretString::from(secret))
}

fn looks_like_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.contains('_')
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}
