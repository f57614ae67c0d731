//! `[cors]`.

use serde::Deserialize;

use super::error::Invalid;
use crate::origin::AllowedOrigin;
use crate::shown;

/// Which pages of other servers may call. Cookies are never involved: pages send a key or a token.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cors {
    /// The origins of the pages, such as `https://portal.example`: scheme, host and the port if it is not the scheme's own.
    /// `https://*.portal.example` stands for all hosts below that one. Those of apps and browsers' extensions may be named too
    /// (`capacitor://localhost`). Default: none.
    pub allowed_origins: Vec<String>,
}

impl Cors {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        for origin in &self.allowed_origins {
            if let Err(rule) = AllowedOrigin::parse(origin) {
                return Err(Invalid::found("cors.allowed_origins", rule, shown::quoted(origin)));
            }
        }
        Ok(())
    }
}
