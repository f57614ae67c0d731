//! Who may call, at one moment.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::allowance::Allowance;
use super::changes::Changes;
use super::grant::{Basis, Grant, Lapse};
use super::keys::{ApiKey, KeyDigest};
use super::tokens::{TokenSettings, TokenVerifier};
use super::{JwksError, Proof};
use crate::clock::SharedClock;
use crate::tenants::TenantSet;

/// How callers prove who they are, and how often they may.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The API keys; `None` when there is no use in sending one. Without keys and tokens callers need not prove anything.
    pub keys: Option<Vec<ApiKey>>,
    /// Which tokens count; `None` when there is no use in sending one.
    pub tokens: Option<TokenSettings>,
    /// Failed attempts per minute and address; beyond that they are answered with 429.
    pub failed_attempts_per_minute: Option<NonZeroU32>,
    /// Requests per second and principal; off when not set.
    pub requests_per_second: Option<NonZeroU32>,
}

/// Why other settings cannot take the place of those in force.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// They would let in everybody, where until now callers had to prove who they are.
    #[error(
        "auth: without it, or with mode = \"none\", everybody would be let in who reaches the service; restart it if that is meant"
    )]
    OpenDoor,
    /// The keys of an issuer cannot be used.
    #[error(transparent)]
    Keys(#[from] JwksError),
}

/// Who may call, and whom it is about. One value, so that nobody is let in by one version of the config to the tenants of another.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) tenants: Arc<TenantSet>,
    /// How callers prove who they are; `None` when they need not.
    pub(super) proof: Option<Proof>,
    /// What each key lets in.
    pub(super) keys: Vec<(KeyDigest, Arc<Grant>)>,
    pub(super) tokens: Option<Arc<TokenVerifier>>,
    failed_attempts_per_minute: Option<NonZeroU32>,
    pub(super) failures: Option<Arc<Allowance<IpAddr>>>,
}

impl Rules {
    /// The rules that settings make. What is the same in `former` ones is taken from there: a caller whose rights stay keeps them, with what was
    /// kept for it.
    pub(super) fn new(
        settings: Settings,
        former: Option<&Self>,
        tenants: Arc<TenantSet>,
        clock: &SharedClock,
        changes: &Arc<Changes>,
    ) -> Result<Self, JwksError> {
        let proof = match (&settings.keys, &settings.tokens) {
            (None, None) => None,
            (Some(_), None) => Some(Proof::Key),
            (None, Some(_)) => Some(Proof::Token),
            (Some(_), Some(_)) => Some(Proof::KeyOrToken),
        };
        let grant_of = |ApiKey { digest, principal }: ApiKey| {
            let grant = Grant { principal, basis: Basis::Key(digest), expires_at: None };
            let known = former.and_then(|former| former.grant_of(digest)).filter(|known| ***known == grant);
            (digest, known.map_or_else(|| Arc::new(grant), Arc::clone))
        };
        let keys = settings.keys.unwrap_or_default().into_iter().map(grant_of).collect();
        let former_tokens = former.and_then(|former| former.tokens.as_ref());
        let tokens = match (settings.tokens, former_tokens) {
            (None, _) => None,
            (Some(wanted), Some(former)) if *former.settings() == wanted => Some(Arc::clone(former)),
            (Some(wanted), former) => Some(Arc::new(TokenVerifier::new(wanted, former.map(AsRef::as_ref), clock, changes)?)),
        };
        let failed_attempts_per_minute = settings.failed_attempts_per_minute;
        let same_count = former.filter(|former| former.failed_attempts_per_minute == failed_attempts_per_minute);
        let failures = match (same_count, failed_attempts_per_minute) {
            (Some(former), _) => former.failures.clone(),
            (None, count) => count.map(|count| Arc::new(Allowance::per_minute(count, Arc::clone(clock)))),
        };
        Ok(Self { tenants, proof, keys, tokens, failed_attempts_per_minute, failures })
    }

    /// The rules that other settings make, in place of these.
    pub(super) fn follow(&self, settings: Settings, clock: &SharedClock, changes: &Arc<Changes>) -> Result<Self, ReplaceError> {
        if self.proof.is_some() && settings.keys.is_none() && settings.tokens.is_none() {
            return Err(ReplaceError::OpenDoor);
        }
        Ok(Self::new(settings, Some(self), Arc::clone(&self.tenants), clock, changes)?)
    }

    /// These rules, less what the settings do not give. Tokens count as before as long as any do.
    pub(super) fn less(&self, settings: &Settings) -> Self {
        let wanted = settings.keys.as_deref().unwrap_or_default();
        let keys = self.keys.iter().filter_map(|(digest, grant)| {
            let wanted = wanted.iter().find(|key| key.digest == *digest)?;
            let principal = grant.principal.within(&wanted.principal);
            let is_same = principal.scope == grant.principal.scope && wanted.principal.roles == grant.principal.roles;
            Some((*digest, if is_same { Arc::clone(grant) } else { Arc::new(Grant { principal, ..Grant::clone(grant) }) }))
        });
        let tokens = self.tokens.clone().filter(|_| settings.tokens.is_some());
        Self { keys: keys.collect(), tokens, ..self.clone() }
    }

    /// Whether a grant holds, as far as taking back goes; and what it has become, when its rights are others by now.
    pub(super) fn stands(&self, grant: &Arc<Grant>) -> Result<Option<Arc<Grant>>, Lapse> {
        match (grant.basis, &self.tokens) {
            (Basis::Nothing, _) if self.proof.is_none() => Ok(None),
            (Basis::Key(digest), _) => {
                let present = self.grant_of(digest).ok_or(Lapse::Withdrawn)?;
                Ok((!Arc::ptr_eq(present, grant)).then(|| Arc::clone(present)))
            }
            (Basis::Token { verifier, key }, Some(tokens)) => tokens.stands(verifier, key).map(|()| None),
            _ => Err(Lapse::Withdrawn),
        }
    }

    fn grant_of(&self, digest: KeyDigest) -> Option<&Arc<Grant>> {
        self.keys.iter().find(|(known, _)| *known == digest).map(|(_, grant)| grant)
    }
}
