//! `[auth.jwt]`.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;
use url::Url;

use super::error::Invalid;
use super::proxy::ProxySetting;
use super::{duration, text};
use crate::access::{ClaimNames, JwksSettings, JwksSource, TokenSettings};
use crate::file_stamp::FileStamp;
use crate::proxy::Proxies;

/// Which JSON Web Tokens count, and how they are read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtConfig {
    /// Where the issuer's JWK Set stands: `https`, or `http` on loopback. This or `jwks_file`.
    #[serde(default, deserialize_with = "text::url_option")]
    pub jwks_url: Option<Url>,
    /// A file with the issuer's JWK Set; relative to the folder of the config file. This or `jwks_url`.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// What the claim `iss` must be. No default.
    pub issuer: String,
    /// What the claim `aud` must be, or have among others. No default.
    pub audience: String,
    /// The proxy by which they are fetched, or `none`. Default: that of the environment (`HTTPS_PROXY`, `NO_PROXY`), which is not used for loopback.
    #[serde(default)]
    pub proxy: ProxySetting,
    /// A PEM file of certificate authorities to trust besides the system's; relative to the folder of the config file. Default: none.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How long the issuer's keys are used when they cannot be fetched again; at least 1 min, so that they are fetched anew well before. Default 24 h.
    #[serde(with = "humantime_serde", default = "default_keys_kept_for")]
    pub keys_kept_for: Duration,
    /// The claim with the ids of the tenants that may be seen, or `["*"]` for all: its name, or a path such as `realm_access.tenants`. Default
    /// `tenants`.
    #[serde(default = "default_tenants_claim")]
    pub tenants_claim: String,
    /// The claim with the roles, likewise; unknown ones are ignored. Default `roles`.
    #[serde(default = "default_roles_claim")]
    pub roles_claim: String,
}

fn default_keys_kept_for() -> Duration {
    Duration::from_hours(24)
}

fn default_tenants_claim() -> String {
    "tenants".to_owned()
}

fn default_roles_claim() -> String {
    "roles".to_owned()
}

impl JwtConfig {
    /// The settings that this stands for.
    pub(super) fn resolve(&self, environment: &Proxies) -> Result<TokenSettings, Invalid> {
        for (field, value) in [
            ("issuer", &self.issuer),
            ("audience", &self.audience),
            ("tenants_claim", &self.tenants_claim),
            ("roles_claim", &self.roles_claim),
        ] {
            if value.is_empty() {
                return Err(Invalid::new(format!("auth.jwt.{field}"), "must not be empty"));
            }
        }
        let range = Duration::from_mins(1)..=Duration::from_hours(10 * 365 * 24);
        let kept_for = SignedDuration::try_from(self.keys_kept_for).ok().filter(|_| range.contains(&self.keys_kept_for));
        let kept_for = kept_for.ok_or_else(|| {
            let rule = "must be between 1 min and 10 years";
            Invalid::found("auth.jwt.keys_kept_for", rule, duration::show(self.keys_kept_for))
        })?;
        Ok(TokenSettings {
            jwks: JwksSettings {
                source: self.source()?,
                kept_for,
                proxies: self.proxy.proxies(environment),
                ca_file: self.ca_file.clone(),
                ca_stamp: self.ca_file.as_deref().and_then(FileStamp::of),
            },
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            claims: ClaimNames { tenants: self.tenants_claim.clone(), roles: self.roles_claim.clone() },
        })
    }

    fn source(&self) -> Result<JwksSource, Invalid> {
        match (&self.jwks_url, &self.jwks_file) {
            (Some(url), None) => {
                let invalid = |mend: &str| Invalid::new("auth.jwt.jwks_url", mend);
                if !(url.scheme() == "https" || (url.scheme() == "http" && text::is_loopback(url))) {
                    return Err(invalid("must be https, or http on loopback: whoever changes the keys on the way lets anybody in"));
                }
                if !url.username().is_empty() || url.password().is_some() {
                    return Err(invalid("must have no user and no password in it; a set of public keys needs none"));
                }
                Ok(JwksSource::Url(url.clone()))
            }
            (None, Some(file)) => Ok(JwksSource::File(file.clone())),
            (None, None) => Err(Invalid::new("auth.jwt", "must have jwks_url or jwks_file")),
            (Some(_), Some(_)) => Err(Invalid::new("auth.jwt", "must have jwks_url or jwks_file, not both")),
        }
    }
}
