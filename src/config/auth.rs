//! `[auth]`.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::error::Invalid;
use super::jwt::JwtConfig;
use super::text;
use crate::access::{ApiKey, KeyDigest, Means, Principal, PrincipalName, Role, Scope, TokenSettings};
use crate::proxy::Proxies;
use crate::quota::TenantId;
use crate::shown;

/// Who may call. Without this section nobody has to prove anything, and only loopback is served.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// How callers prove who they are. No default.
    pub mode: AuthMode,
    /// Failed attempts per minute and address; beyond that they are answered with 429. At least 1. Default 60.
    #[serde(default = "default_failed_attempts")]
    pub failed_attempts_per_minute: u32,
    /// The API keys, for the modes with `keys`.
    #[serde(default)]
    pub keys: Vec<KeyConfig>,
    /// Which tokens count, for the modes with `jwt`.
    #[serde(default)]
    pub jwt: Option<JwtConfig>,
}

/// How callers prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// They do not: whoever reaches the service may use it.
    None,
    /// By an API key in the header `X-Api-Key`.
    Keys,
    /// By a JSON Web Token in the header `Authorization`, after `Bearer`.
    Jwt,
    /// By either.
    KeysAndJwt,
}

/// An API key and what may be done with it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// Who comes with it; for the log. Unique.
    pub name: String,
    /// The SHA-256 of the key, 64 hexadecimal digits, as `quotagraph hash-key` prints it. Unique.
    pub sha256: String,
    /// The ids of the tenants that may be seen, or `["*"]` for all. A key with the role `METRICS` alone needs none.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// What may be done: `READ`, `REFRESH`, `EXPORT`, `METRICS`, or `ADMIN` for everything.
    pub roles: Vec<String>,
}

fn default_failed_attempts() -> u32 {
    60
}

impl<'de> Deserialize<'de> for AuthMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "none" => Ok(Self::None),
            "keys" => Ok(Self::Keys),
            "jwt" => Ok(Self::Jwt),
            "keys+jwt" => Ok(Self::KeysAndJwt),
            _ => Err(D::Error::custom("must be \"none\", \"keys\", \"jwt\" or \"keys+jwt\"")),
        }
    }
}

impl AuthMode {
    fn has_keys(self) -> bool {
        matches!(self, Self::Keys | Self::KeysAndJwt)
    }

    fn has_tokens(self) -> bool {
        matches!(self, Self::Jwt | Self::KeysAndJwt)
    }
}

impl Auth {
    /// The keys that callers may prove themselves by; `None` when that is of no use.
    #[must_use]
    pub fn api_keys(&self) -> Option<Vec<ApiKey>> {
        self.mode.has_keys().then(|| self.keys.iter().filter_map(|key| key.resolve().ok()).collect())
    }

    /// The tokens that callers may prove themselves by; `None` when that is of no use. The issuer's keys are fetched by the proxies of
    /// `environment` unless others are named.
    #[must_use]
    pub fn token_settings(&self, environment: &Proxies) -> Option<TokenSettings> {
        self.jwt.as_ref().filter(|_| self.mode.has_tokens())?.resolve(environment).ok()
    }

    pub(super) fn validate(&self) -> Result<(), Invalid> {
        if self.mode.has_keys() && self.keys.is_empty() {
            return Err(Invalid::new("auth.keys", "must have a key in this auth.mode: `quotagraph hash-key` makes one"));
        }
        self.validate_present()
    }

    /// The same for what takes the place of rules that are in force: the last key may be taken away.
    pub(super) fn validate_present(&self) -> Result<(), Invalid> {
        text::require_within("auth.failed_attempts_per_minute", self.failed_attempts_per_minute, 1..=1_000_000)?;
        if !self.mode.has_keys() && !self.keys.is_empty() {
            return Err(Invalid::new("auth.keys", "is of no use in this auth.mode; write mode = \"keys\" or \"keys+jwt\""));
        }
        match &self.jwt {
            None if self.mode.has_tokens() => {
                return Err(Invalid::new("auth.jwt", "is missing; it says which tokens count in this auth.mode"));
            }
            Some(_) if !self.mode.has_tokens() => {
                return Err(Invalid::new("auth.jwt", "is of no use in this auth.mode; write mode = \"jwt\" or \"keys+jwt\""));
            }
            None => {}
            Some(jwt) => {
                jwt.resolve(&Proxies::default())?;
            }
        }
        for (i, key) in self.keys.iter().enumerate() {
            key.resolve()?;
            for other in &self.keys[..i] {
                if other.name == key.name {
                    return Err(key.invalid("name", "must be unique; there is another key of this name"));
                }
                if other.sha256.eq_ignore_ascii_case(&key.sha256) {
                    return Err(key.invalid("sha256", format!("must be unique; it is that of the key {} too", other.name)));
                }
            }
        }
        Ok(())
    }
}

/// The log and the limits repeat the name of a key.
const LONGEST_NAME: usize = 128;

impl KeyConfig {
    fn resolve(&self) -> Result<ApiKey, Invalid> {
        text::require_visible_ascii("auth.keys.name", &self.name)?;
        if self.name.len() > LONGEST_NAME {
            return Err(self.invalid("name", format!("must have at most {LONGEST_NAME} characters")));
        }
        let digest = KeyDigest::from_hex(&self.sha256)
            .ok_or_else(|| self.invalid("sha256", "must be 64 hexadecimal digits, as `quotagraph hash-key` prints them"))?;
        let role = |name: &String| {
            Role::from_name(name).ok_or_else(|| self.invalid("roles", "must be of READ, REFRESH, EXPORT, METRICS and ADMIN"))
        };
        let roles = self.roles.iter().map(role).collect::<Result<_, _>>()?;
        if self.roles.is_empty() {
            return Err(self.invalid("roles", "must name a role: READ, REFRESH, EXPORT, METRICS or ADMIN"));
        }
        let principal = Principal { name: PrincipalName::new(Means::Key, &self.name), scope: self.scope()?, roles };
        Ok(ApiKey { digest, principal })
    }

    fn scope(&self) -> Result<Scope, Invalid> {
        match self.tenants.as_slice() {
            // The figures of the service are nobody's in particular.
            [] if self.roles.iter().all(|role| role == Role::Metrics.name()) => Ok(Scope::Only(Arc::default())),
            [] => Err(self.invalid("tenants", "must name a tenant, or be [\"*\"] for all")),
            [all] if all == "*" => Ok(Scope::All),
            ids => {
                let parse = |id: &String| {
                    id.parse::<TenantId>().map_err(|e| self.invalid("tenants", format!("{}: {e}", shown::quoted(id))))
                };
                Ok(Scope::Only(Arc::new(ids.iter().map(parse).collect::<Result<_, _>>()?)))
            }
        }
    }

    fn invalid(&self, field: &str, mend: impl std::fmt::Display) -> Invalid {
        Invalid::new(format!("auth.keys.{field}"), format!("{mend} (key {})", self.name))
    }
}
