//! JSON Web Tokens (RFC 7519): who comes with one.
//!
//! A token counts when a key of the issuer has signed it by RS256, ES256 or EdDSA, it is for this service, and it is neither expired nor
//! not yet valid, with [`LEEWAY`] for clocks that differ. What was verified is remembered until it expires or the issuer's keys change,
//! so that a caller's many requests cost one verification.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;
use jiff::{SignedDuration, Timestamp};
use moka::sync::Cache;
use sha2::{Digest as _, Sha256};
use tracing::warn;

use super::changes::Changes;
use super::claims::ClaimNames;
use super::fault::{MAX_TRIED, TokenFault, Unverified};
use super::grant::{Basis, Grant, Lapse};
use super::jwks::{IssuerState, Jwks, JwksError, JwksSettings, Looked};
use super::jws::WrittenToken;
use super::key_set::{KeySet, Thumbprint};
use super::signature;
use super::{Means, Principal};
use crate::clock::SharedClock;
use crate::tenants::TenantSet;

/// How far the issuer's clock may differ from ours.
const LEEWAY: SignedDuration = SignedDuration::from_mins(1);

/// Tokens that are remembered at most: a few MiB.
const MAX_REMEMBERED: u64 = 10_000;

/// Tells verifiers of this process apart.
static VERIFIERS: AtomicU64 = AtomicU64::new(0);

/// Which tokens count, and how they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSettings {
    /// The issuer's keys.
    pub jwks: JwksSettings,
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must be, or have among others.
    pub audience: String,
    /// The claims that give a principal's rights.
    pub claims: ClaimNames,
}

impl TokenSettings {
    /// Whether the same tokens count by other settings, and give the same rights.
    fn asks_the_same(&self, other: &Self) -> bool {
        let of = |settings: &Self| (settings.jwks.source.clone(), settings.issuer.clone(), settings.audience.clone());
        of(self) == of(other) && self.claims == other.claims
    }
}

/// Verifies tokens.
#[derive(Debug)]
pub(super) struct TokenVerifier {
    number: u64,
    settings: TokenSettings,
    jwks: Arc<Jwks>,
    clock: SharedClock,
    /// By the digests of tokens. What counts no longer is found out when it comes again, and goes when the room is needed.
    remembered: Cache<Digest, Arc<Remembered>, RandomState>,
    /// Tokens that give no right, of which the log has a line.
    told: Cache<Digest, (), RandomState>,
}

type Digest = [u8; 32];

/// A token that was verified.
#[derive(Debug)]
struct Remembered {
    grant: Arc<Grant>,
    /// In seconds since 1970.
    expires: f64,
    generation: u64,
}

impl TokenVerifier {
    /// A verifier. A file with keys is read now; an address is asked later. `former` is whose place it takes: when the keys stand where they
    /// stood, they need not be had again.
    ///
    /// # Errors
    /// When the file cannot be used, or the HTTP client not be set up.
    pub(super) fn new(
        settings: TokenSettings,
        former: Option<&Self>,
        clock: &SharedClock,
        changes: &Arc<Changes>,
    ) -> Result<Self, JwksError> {
        signature::use_ring();
        let same = former.filter(|former| former.settings.jwks == settings.jwks);
        let jwks = if let Some(former) = same {
            Arc::clone(&former.jwks)
        } else {
            let former = former.map(|former| &*former.jwks);
            Arc::new(Jwks::new(settings.jwks.clone(), former, Arc::clone(clock), Arc::clone(changes))?)
        };
        // Whoever was let in stays when what is asked of tokens is the same, and only how the keys are had is another.
        let (number, remembered, told) = match former.filter(|former| former.settings.asks_the_same(&settings)) {
            Some(former) => (former.number, former.remembered.clone(), former.told.clone()),
            None => (VERIFIERS.fetch_add(1, Ordering::Relaxed), by_digest(), by_digest()),
        };
        Ok(Self { number, jwks, settings, clock: Arc::clone(clock), remembered, told })
    }

    /// What it was made of.
    pub(super) fn settings(&self) -> &TokenSettings {
        &self.settings
    }

    /// Looks after the issuer's keys; to be called every so often.
    pub(super) fn look(&self) {
        self.jwks.look();
    }

    /// Fetches the issuer's keys again in the background.
    pub(super) fn refresh(&self) {
        self.jwks.refresh();
    }

    /// How it is with the issuer's keys.
    pub(super) fn issuer(&self) -> IssuerState {
        self.jwks.state()
    }

    /// Whether what was let in by a token may stay, as far as keys go.
    pub(super) fn stands(&self, verifier: u64, key: Thumbprint) -> Result<(), Lapse> {
        let now = self.clock.now();
        if verifier != self.number {
            return Err(Lapse::Withdrawn);
        }
        if !self.jwks.counts(now) {
            return Err(Lapse::Unverifiable);
        }
        if self.jwks.current(now).keys.has(key) { Ok(()) } else { Err(Lapse::Withdrawn) }
    }

    /// Who comes with a token, when that needs no wait.
    pub(super) fn recall(&self, token: &str) -> Option<Arc<Grant>> {
        let now = self.clock.now();
        let generation = self.jwks.current(now).generation;
        let known = self.remembered.get(&digest_of(token))?;
        (known.generation == generation && seconds(now) < known.expires && self.jwks.counts(now)).then(|| Arc::clone(&known.grant))
    }

    /// Who comes with a token that was not seen yet. What it gives no right to among `tenants` is told once in the log.
    pub(super) async fn verify(&self, token: &str, tenants: &TenantSet) -> Result<Arc<Grant>, Unverified> {
        let written = WrittenToken::read(token)?;
        let mut tried = None;
        let fault = match self.try_keys(&written, &mut tried) {
            Ok((key, generation)) => return Ok(self.let_in(token, &written, key, generation, tenants)?),
            Err(fault) => fault,
        };
        // The issuer may have a new key, or another one of the same name.
        let looked = self.jwks.look_for_new().await;
        let fault = match self.try_keys(&written, &mut tried) {
            Ok((key, generation)) => return Ok(self.let_in(token, &written, key, generation, tenants)?),
            // Where the keys are the same ones, so is the fault.
            Err(TokenFault::UnknownKey) => fault,
            Err(now) => now,
        };
        let now = self.clock.now();
        if self.jwks.counts(now) {
            let in_force = self.jwks.current(now);
            // What the issuer took back stays so until the set says otherwise.
            if find_signer(&written, &in_force.withdrawn).is_ok() {
                return Err(TokenFault::WithdrawnKey.into());
            }
            // By the key that it names it is forged, whatever else the issuer may have by now.
            if in_force.keys.names(written.key_id.as_deref()) {
                return Err(fault.into());
            }
        }
        let Looked::Unsure(wait) = looked else { return Err(fault.into()) };
        // Nor does a token count later that says itself that it does not.
        self.check(&written)?;
        self.name(&written)?;
        Err(Unverified::Away(wait))
    }

    /// The key that has signed a token, and the generation of its set. Sets that were `tried` already are not tried again.
    fn try_keys(&self, token: &WrittenToken<'_>, tried: &mut Option<u64>) -> Result<(Thumbprint, u64), TokenFault> {
        let now = self.clock.now();
        let in_force = self.jwks.current(now);
        let generation = self.jwks.counts(now).then_some(in_force.generation);
        if generation.is_none() || *tried == generation {
            return Err(TokenFault::UnknownKey);
        }
        *tried = generation;
        Ok((find_signer(token, &in_force.keys)?, in_force.generation))
    }

    /// What a token by one of the issuer's keys lets in.
    fn let_in(
        &self,
        token: &str,
        written: &WrittenToken<'_>,
        key: Thumbprint,
        generation: u64,
        tenants: &TenantSet,
    ) -> Result<Arc<Grant>, TokenFault> {
        let expires = self.check(written)?;
        let principal = self.name(written)?;
        let digest = digest_of(token);
        if let Some(lacks) = written.claims.lacks(&self.settings.claims, |id| tenants.get(id).is_some())
            && self.told.entry(digest).or_insert(()).is_fresh()
        {
            let (tenant, role) = (lacks.tenant, lacks.role);
            warn!(
                target: "quotagraph::audit", principal = %principal.name, by = Means::Token.name(),
                tenants_claim = tenant.map(|lack| lack.claim), tenants_found = tenant.map(|lack| lack.found),
                roles_claim = role.map(|lack| lack.claim), roles_found = role.map(|lack| lack.found),
                "the token gives {lacks}"
            );
        }
        let basis = Basis::Token { verifier: self.number, key };
        let grant = Arc::new(Grant { principal, basis, expires_at: Some(instant(expires)) });
        self.remembered.insert(digest, Arc::new(Remembered { grant: Arc::clone(&grant), expires, generation }));
        Ok(grant)
    }

    fn name(&self, token: &WrittenToken<'_>) -> Result<Principal, TokenFault> {
        token.claims.principal(&self.settings.claims).ok_or(TokenFault::Subject)
    }

    /// Until when a token counts whoever signed it, in seconds since 1970, if it does now.
    fn check(&self, token: &WrittenToken<'_>) -> Result<f64, TokenFault> {
        let TokenSettings { issuer, audience, .. } = &self.settings;
        token.claims.check(issuer, audience, seconds(self.clock.now()), LEEWAY.as_secs_f64())
    }
}

/// Tries each key that may have signed a token.
fn find_signer(token: &WrittenToken<'_>, keys: &KeySet) -> Result<Thumbprint, TokenFault> {
    let id = token.key_id.as_deref();
    let mut fitting = keys.fitting(id, token.algorithm);
    let mut fault = TokenFault::UnknownKey;
    for key in fitting.by_ref().take(MAX_TRIED) {
        if token.is_signed_by(&key.key) {
            return Ok(key.thumbprint);
        }
        fault = TokenFault::Signature;
    }
    match (fault, keys.why_unusable(id, token.algorithm)) {
        (TokenFault::UnknownKey, Some(why)) => Err(TokenFault::UnusableKey(why)),
        (TokenFault::Signature, _) if fitting.next().is_some() => Err(TokenFault::TooManyKeys),
        (fault, _) => Err(fault),
    }
}

/// A memory of the tokens that come most.
fn by_digest<V: Clone + Send + Sync + 'static>() -> Cache<Digest, V, RandomState> {
    Cache::builder().max_capacity(MAX_REMEMBERED).build_with_hasher(RandomState::default())
}

fn digest_of(token: &str) -> Digest {
    Sha256::digest(token.as_bytes()).into()
}

/// Seconds since 1970, the unit of a token's times.
fn seconds(at: Timestamp) -> f64 {
    at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}

/// The instant so many seconds after 1970; the last one there is when it lies after that.
fn instant(seconds: f64) -> Timestamp {
    let since_epoch = SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::MAX);
    Timestamp::UNIX_EPOCH.saturating_add(since_epoch).unwrap_or(Timestamp::MAX)
}
