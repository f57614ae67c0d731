//! `[auth]`.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// Who may call. This version has no authentication; the section exists so that going without it on an address that others can
/// reach is a decision that somebody wrote down.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// How callers prove who they are. No default.
    pub mode: AuthMode,
}

/// How callers prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// They do not: whoever reaches the service may use it.
    None,
}

impl<'de> Deserialize<'de> for AuthMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "none" => Ok(Self::None),
            _ => Err(D::Error::custom("must be \"none\", the only mode that this version has")),
        }
    }
}
