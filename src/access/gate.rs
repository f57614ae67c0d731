//! The one door.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;

use jiff::Timestamp;
use tracing::info;

use super::allowance::Allowance;
use super::keys::{ApiKey, find_principal};
use super::{Principal, TokenVerifier, View};
use crate::clock::SharedClock;
use crate::tenants::Tenants;

/// How callers prove who they are, and how often they may.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The API keys; `None` when there is no use in sending one. Without keys and tokens callers need not prove anything.
    pub keys: Option<Vec<ApiKey>>,
    /// What verifies tokens; `None` when there is no use in sending one.
    pub tokens: Option<Arc<TokenVerifier>>,
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
    /// The token of `Authorization: Bearer`.
    pub token: Option<&'a str>,
}

/// Why a request is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No credentials, or none that is known.
    #[error("give {}", .proof.wanted())]
    Unauthenticated {
        /// What is accepted instead.
        proof: Proof,
        /// Whether a token was sent and does not count.
        token_refused: bool,
    },
    /// Too many requests or failed attempts; seconds until the next one.
    #[error("too many requests; try again in {0} s")]
    RateLimited(u64),
}

/// How callers can prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By an API key.
    Key,
    /// By a token.
    Token,
    /// By either.
    KeyOrToken,
}

impl Proof {
    fn wanted(self) -> &'static str {
        match self {
            Self::Key => "a valid API key in the header X-Api-Key",
            Self::Token => "a valid token in the header Authorization, after Bearer",
            Self::KeyOrToken => {
                "a valid API key in the header X-Api-Key, or a valid token in the header Authorization, after Bearer"
            }
        }
    }

    /// The challenges of a `WWW-Authenticate`. It tells those who sent a token that it does not count, and nothing to those who sent none (RFC 6750
    /// section 3.1).
    #[must_use]
    pub fn challenges(self, token_refused: bool) -> &'static str {
        match (self, token_refused) {
            (Self::Key, _) => "ApiKey realm=\"quotagraph\"",
            (Self::Token, false) => "Bearer realm=\"quotagraph\"",
            (Self::Token, true) => "Bearer realm=\"quotagraph\", error=\"invalid_token\"",
            (Self::KeyOrToken, false) => "Bearer realm=\"quotagraph\", ApiKey realm=\"quotagraph\"",
            (Self::KeyOrToken, true) => "Bearer realm=\"quotagraph\", error=\"invalid_token\", ApiKey realm=\"quotagraph\"",
        }
    }
}

/// Lets callers in. Everything that answers a caller starts here.
#[derive(Debug)]
pub struct Gate {
    proof: Option<Proof>,
    keys: Vec<ApiKey>,
    tokens: Option<Arc<TokenVerifier>>,
    anybody: Arc<Principal>,
    tenants: Arc<Tenants>,
    failures: Option<Allowance<IpAddr>>,
    requests: Option<Allowance<Arc<str>>>,
    clock: SharedClock,
}

impl Gate {
    /// A gate to these tenants.
    #[must_use]
    pub fn new(settings: Settings, tenants: Arc<Tenants>, clock: &SharedClock) -> Self {
        let proof = match (&settings.keys, &settings.tokens) {
            (None, None) => None,
            (Some(_), None) => Some(Proof::Key),
            (None, Some(_)) => Some(Proof::Token),
            (Some(_), Some(_)) => Some(Proof::KeyOrToken),
        };
        Self {
            proof,
            keys: settings.keys.unwrap_or_default(),
            tokens: settings.tokens,
            anybody: Arc::new(Principal::anybody()),
            tenants,
            failures: settings.failed_attempts_per_minute.map(|count| Allowance::per_minute(count, clock.clone())),
            requests: settings.requests_per_second.map(|count| Allowance::per_second(count, clock.clone())),
            clock: clock.clone(),
        }
    }

    /// Lets a caller in, with what it may see.
    ///
    /// # Errors
    /// When it does not prove who it is, or asks too often. Each refusal is a line in the audit log.
    pub async fn admit(&self, credentials: Credentials<'_>, address: IpAddr) -> Result<View, Refusal> {
        let (principal, expires_at) = match self.proof {
            None => (Arc::clone(&self.anybody), None),
            Some(proof) => {
                let authenticated = self.authenticate(credentials).await;
                authenticated.map_err(|unproven| self.refuse(proof, unproven, address))?
            }
        };
        self.count(&principal)?;
        Ok(View::new(principal, self.tenants.current()).until(expires_at))
    }

    /// Lets somebody who was let in before ask once more, with what it may see now.
    ///
    /// # Errors
    /// When it asks too often, or when its token has expired. Each refusal is a line in the audit log.
    pub fn admit_again(&self, view: &View) -> Result<View, Refusal> {
        if let Some(proof) = self.proof
            && view.is_expired(self.clock.now())
        {
            info!(target: "quotagraph::audit", principal = %view.principal().name, outcome = "UNAUTHENTICATED", "request refused");
            // Only tokens expire.
            return Err(Refusal::Unauthenticated { proof, token_refused: true });
        }
        self.count(view.principal())?;
        let mut view = view.clone();
        view.renew(&self.tenants);
        Ok(view)
    }

    /// Counts a request against its principal's rate.
    fn count(&self, principal: &Principal) -> Result<(), Refusal> {
        if let Some(requests) = &self.requests {
            requests.take(&principal.name).map_err(|seconds| {
                info!(target: "quotagraph::audit", principal = %principal.name, outcome = "RATE_LIMITED", "request refused");
                Refusal::RateLimited(seconds)
            })?;
        }
        Ok(())
    }

    /// Who calls, and until when the proof counts. The key counts where both are sent.
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<(Arc<Principal>, Option<Timestamp>), Unproven> {
        match (credentials, &self.tokens) {
            (Credentials { api_key: Some(key), .. }, _) if !self.keys.is_empty() => {
                find_principal(&self.keys, key).map(|principal| (principal, None)).ok_or(Unproven { token_refused: false })
            }
            (Credentials { token: Some(token), .. }, Some(tokens)) => {
                let found = tokens.find_principal(token).await;
                let found =
                    found.inspect_err(|fault| info!(target: "quotagraph::audit", reason = %fault, "a token does not count"));
                found.map(|(principal, expires_at)| (principal, Some(expires_at))).map_err(|_| Unproven { token_refused: true })
            }
            _ => Err(Unproven { token_refused: false }),
        }
    }

    /// Only failures count against an address: many callers may share one, and a valid key is let in whatever others try.
    fn refuse(&self, proof: Proof, Unproven { token_refused }: Unproven, address: IpAddr) -> Refusal {
        let refusal = match self.failures.as_ref().map(|failures| failures.take(&whose(address))) {
            Some(Err(seconds)) => Refusal::RateLimited(seconds),
            _ => Refusal::Unauthenticated { proof, token_refused },
        };
        let outcome = if matches!(refusal, Refusal::Unauthenticated { .. }) { "UNAUTHENTICATED" } else { "RATE_LIMITED" };
        info!(target: "quotagraph::audit", %address, outcome, "request refused");
        refusal
    }
}

/// A caller did not prove who it is.
struct Unproven {
    /// Whether it tried with a token.
    token_refused: bool,
}

/// Who is held liable for an address: of IPv6 its /64, since that is what one machine gets, with all its addresses.
fn whose(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_for_the_limit() {
        let whose = |text: &str| whose(text.parse().unwrap());
        assert_eq!(whose("2001:db8::1"), whose("2001:db8::ffff:1:2:3"));
        assert_ne!(whose("2001:db8::1"), whose("2001:db8:0:1::1"));
        assert_ne!(whose("192.0.2.1"), whose("192.0.2.2"));
    }
}
