//! The one door.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use tracing::info;

use super::allowance::Allowance;
use super::keys::{ApiKey, find_principal};
use super::{Principal, View};
use crate::clock::SharedClock;
use crate::tenants::Tenants;

/// How callers prove who they are, and how often they may.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The API keys; `None` when callers need not prove anything.
    pub keys: Option<Vec<ApiKey>>,
    /// Failed attempts per minute and address; beyond that they are answered with 429.
    pub failed_attempts_per_minute: Option<NonZeroU32>,
    /// Requests per second and principal; off when not set.
    pub requests_per_second: Option<NonZeroU32>,
}

/// What a request brings along.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    /// `X-Api-Key`.
    pub api_key: Option<&'a str>,
}

/// Why a request is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No credentials, or none that is known.
    #[error("give a valid API key in the header X-Api-Key")]
    Unauthenticated,
    /// Too many requests or failed attempts; seconds until the next one.
    #[error("too many requests; try again in {0} s")]
    RateLimited(u64),
}

/// Lets callers in. Everything that answers a caller starts here.
#[derive(Debug)]
pub struct Gate {
    keys: Option<Vec<ApiKey>>,
    anybody: Arc<Principal>,
    tenants: Arc<Tenants>,
    failures: Option<Allowance<IpAddr>>,
    requests: Option<Allowance<Arc<str>>>,
}

impl Gate {
    /// A gate to these tenants.
    #[must_use]
    pub fn new(settings: Settings, tenants: Arc<Tenants>, clock: &SharedClock) -> Self {
        Self {
            keys: settings.keys,
            anybody: Arc::new(Principal::anybody()),
            tenants,
            failures: settings.failed_attempts_per_minute.map(|count| Allowance::per_minute(count, clock.clone())),
            requests: settings.requests_per_second.map(|count| Allowance::per_second(count, clock.clone())),
        }
    }

    /// Lets a caller in, with what it may see.
    ///
    /// # Errors
    /// When it does not prove who it is, or asks too often. Each refusal is a line in the audit log.
    pub fn admit(&self, credentials: Credentials<'_>, address: IpAddr) -> Result<View, Refusal> {
        let principal = self.authenticate(credentials).ok_or_else(|| self.refuse(address))?;
        if let Some(requests) = &self.requests {
            requests.take(&principal.name).map_err(|seconds| {
                info!(target: "quotagraph::audit", principal = %principal.name, outcome = "RATE_LIMITED", "request refused");
                Refusal::RateLimited(seconds)
            })?;
        }
        Ok(View::new(principal, self.tenants.current()))
    }

    fn authenticate(&self, credentials: Credentials<'_>) -> Option<Arc<Principal>> {
        match &self.keys {
            None => Some(Arc::clone(&self.anybody)),
            Some(keys) => find_principal(keys, credentials.api_key?),
        }
    }

    /// Only failures count against an address: many callers may share one, and a valid key is let in whatever others try.
    fn refuse(&self, address: IpAddr) -> Refusal {
        let refusal = match self.failures.as_ref().map(|failures| failures.take(&address)) {
            Some(Err(seconds)) => Refusal::RateLimited(seconds),
            _ => Refusal::Unauthenticated,
        };
        let outcome = if refusal == Refusal::Unauthenticated { "UNAUTHENTICATED" } else { "RATE_LIMITED" };
        info!(target: "quotagraph::audit", %address, outcome, "request refused");
        refusal
    }
}
