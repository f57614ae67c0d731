//! `[cors]`.

use serde::Deserialize;
use url::Url;

use super::error::Invalid;

/// Which pages of other servers may call. Cookies are never involved: pages send a key or a token.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cors {
    /// The origins of the pages, such as `https://portal.example`: scheme, host and the port if it is not the scheme's own. Default: none.
    pub allowed_origins: Vec<String>,
}

impl Cors {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        for origin in &self.allowed_origins {
            let is_origin = |url: &Url| matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == *origin;
            if !origin.parse().is_ok_and(|url| is_origin(&url)) {
                let rule = "must be origins as browsers send them, such as \"https://portal.example\" or \"http://localhost:3000\"";
                return Err(Invalid::found("cors.allowed_origins", rule, format!("{origin:?}")));
            }
        }
        Ok(())
    }
}
