//! JSON Web Tokens (RFC 7519): who comes with one.
//!
//! A token counts when a key of the issuer has signed it by RS256, ES256 or EdDSA, it is for this service, and it is neither expired nor
//! not yet valid, with [`LEEWAY`] for clocks that differ. What was verified is remembered until it expires or the issuer's keys change,
//! so that a caller's many requests cost one verification.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use parking_lot::RwLock;
use sha2::{Digest as _, Sha256};
use tracing::warn;

use super::Means;
use super::allowance::Allowance;
use super::changes::Changes;
use super::claims::{ClaimNames, Claims};
use super::grant::{Basis, Grant, Lapse};
use super::jwks::{InForce, IssuerState, Jwks, JwksError, JwksSettings};
use super::key_set::Thumbprint;
use super::signature;
use crate::clock::SharedClock;

/// How far the issuer's clock may differ from ours.
const LEEWAY: SignedDuration = SignedDuration::from_mins(1);

/// A token's length at most, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// Tokens that are remembered at most: a few MiB.
const MAX_REMEMBERED: usize = 10_000;

/// Keys that are tried for one token at most, so that a large set costs nobody more than this. No issuer has as many of one name.
const MAX_TRIED: usize = 16;

/// Lines a minute at most about tokens that give no right.
const TOLD_PER_MINUTE: NonZeroU32 = NonZeroU32::new(30).unwrap();

const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

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

/// Verifies tokens.
#[derive(Debug)]
pub(super) struct TokenVerifier {
    number: u64,
    settings: TokenSettings,
    jwks: Arc<Jwks>,
    /// The rules for each of [`ALGORITHMS`].
    validations: [Validation; 3],
    clock: SharedClock,
    remembered: RwLock<HashMap<[u8; 32], Remembered>>,
    told: Allowance<()>,
}

/// Why a token does not count. For our own log: the caller learns only that it does not. Nothing of the token is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenFault {
    #[error("the token is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("the token is malformed")]
    Malformed,
    #[error("the token's algorithm is not RS256, ES256 or EdDSA")]
    Algorithm,
    #[error("the issuer has no such key, or none of that algorithm")]
    UnknownKey,
    #[error("the token's signature is not that of the issuer's key")]
    Signature,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token lacks iss, aud or exp")]
    MissingClaim,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token's sub is missing or no name for a log")]
    Subject,
}

impl TokenFault {
    fn of(kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::MissingRequiredClaim(_) => Self::MissingClaim,
            _ => Self::Malformed,
        }
    }
}

/// Why nobody is let in by a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unverified {
    /// It does not count.
    Fault(TokenFault),
    /// It cannot be judged, because the issuer's keys cannot be had; how long to wait before it is tried again.
    Away(Duration),
}

impl From<TokenFault> for Unverified {
    fn from(fault: TokenFault) -> Self {
        Self::Fault(fault)
    }
}

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
        let validation = |algorithm| {
            let mut validation = Validation::new(algorithm);
            validation.set_required_spec_claims(&["exp", "iss", "aud"]);
            validation.set_issuer(&[&settings.issuer]);
            validation.set_audience(&[&settings.audience]);
            // Our own clock looks at the times.
            validation.validate_exp = false;
            validation.validate_nbf = false;
            validation
        };
        let jwks = match former.map(|former| &former.jwks).filter(|jwks| *jwks.settings() == settings.jwks) {
            Some(jwks) => Arc::clone(jwks),
            None => Arc::new(Jwks::new(settings.jwks.clone(), Arc::clone(clock), Arc::clone(changes))?),
        };
        Ok(Self {
            number: VERIFIERS.fetch_add(1, Ordering::Relaxed),
            jwks,
            validations: ALGORITHMS.map(validation),
            settings,
            clock: Arc::clone(clock),
            remembered: RwLock::default(),
            told: Allowance::per_minute(TOLD_PER_MINUTE, Arc::clone(clock)),
        })
    }

    /// What it was made of.
    pub(super) fn settings(&self) -> &TokenSettings {
        &self.settings
    }

    /// Looks after the issuer's keys; to be called every so often.
    pub(super) fn look(&self) {
        self.jwks.look();
    }

    /// Fetches the issuer's keys anew, behind.
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
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let remembered = self.remembered.read();
        let known = remembered.get(&digest)?;
        (known.generation == generation && seconds(now) < known.expires && self.jwks.counts(now)).then(|| Arc::clone(&known.grant))
    }

    /// Who comes with a token that was not seen yet.
    pub(super) async fn verify(&self, token: &str) -> Result<Arc<Grant>, Unverified> {
        if token.len() > MAX_BYTES {
            return Err(TokenFault::TooLong.into());
        }
        let header = decode_header(token).map_err(|_| TokenFault::Malformed)?;
        // Nothing that a header calls critical is understood here (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(TokenFault::Malformed.into());
        }
        let validation = ALGORITHMS.iter().position(|algorithm| *algorithm == header.alg).and_then(|i| self.validations.get(i));
        let validation = validation.ok_or(TokenFault::Algorithm)?;
        let id = header.kid.as_deref();
        let mut tried = None;
        let mut try_keys = || -> Result<Arc<Grant>, TokenFault> {
            let now = self.clock.now();
            let in_force = self.jwks.current(now);
            let generation = self.jwks.counts(now).then_some(in_force.generation);
            if generation.is_none() || tried == generation {
                return Err(TokenFault::UnknownKey);
            }
            tried = generation;
            let (key, claims) = verify_by_any(token, id, header.alg, validation, &in_force)?;
            self.let_in(token, &claims, key, in_force.generation)
        };
        let fault = match try_keys() {
            // The issuer may have a new key, or another one of the same name.
            Err(fault @ (TokenFault::UnknownKey | TokenFault::Signature)) => fault,
            judged => return Ok(judged?),
        };
        let fetched = self.jwks.fetch_anew().await;
        if fetched.succeeded {
            // Where the keys are the same ones, so is the fault.
            return try_keys().map_err(|now| if now == TokenFault::UnknownKey { fault } else { now }.into());
        }
        let in_force = self.jwks.current(self.clock.now());
        // By the key that it names it is forged, whatever else the issuer may have by now.
        if fault == TokenFault::Signature && in_force.keys.names(id, header.alg) {
            return Err(fault.into());
        }
        drop(in_force);
        // Nor does a token count later that says itself that it does not.
        self.check_plausible(token)?;
        Err(Unverified::Away(self.jwks.wait_after(fetched)))
    }

    /// What a token by one of the issuer's keys lets in.
    fn let_in(&self, token: &str, claims: &Claims, key: Thumbprint, generation: u64) -> Result<Arc<Grant>, TokenFault> {
        if !claims.is_from(&self.settings.issuer) {
            return Err(TokenFault::Issuer);
        }
        let expires = self.check_times(claims)?;
        let principal = claims.principal(&self.settings.claims).ok_or(TokenFault::Subject)?;
        for lack in claims.lacks(&self.settings.claims) {
            if self.told.take(&()).is_ok() {
                let by = Means::Token.name();
                warn!(
                    target: "quotagraph::audit", principal = %principal.name, by, claim = lack.claim, found = lack.found,
                    "the token gives no {}; looked for {} in the claim that {} names", lack.of, lack.wanted, lack.setting
                );
            }
        }
        let basis = Basis::Token { verifier: self.number, key };
        let grant = Arc::new(Grant { principal, basis, expires_at: Some(instant(expires)) });
        let digest = Sha256::digest(token.as_bytes()).into();
        self.remember(digest, Remembered { grant: Arc::clone(&grant), expires, generation });
        Ok(grant)
    }

    /// Refuses a token that cannot count whatever keys the issuer has.
    fn check_plausible(&self, token: &str) -> Result<(), TokenFault> {
        let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| TokenFault::Malformed)?;
        if !claims.is_from(&self.settings.issuer) {
            return Err(TokenFault::Issuer);
        }
        self.check_times(&claims).map(drop)
    }

    /// Until when the token counts, if it does now; in seconds since 1970.
    fn check_times(&self, claims: &Claims) -> Result<f64, TokenFault> {
        let (now, leeway) = (seconds(self.clock.now()), LEEWAY.as_secs_f64());
        let expires = claims.expires().ok_or(TokenFault::Malformed)? + leeway;
        let begins = claims.not_before().ok_or(TokenFault::Malformed)? - leeway;
        if now >= expires {
            return Err(TokenFault::Expired);
        }
        if now < begins {
            return Err(TokenFault::NotYetValid);
        }
        Ok(expires)
    }

    fn remember(&self, digest: [u8; 32], token: Remembered) {
        let now = seconds(self.clock.now());
        let mut remembered = self.remembered.write();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.retain(|_, known| known.generation == token.generation && now < known.expires);
        }
        // Verifying again costs little; finding out who came last would cost every request.
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(digest, token);
    }
}

/// Tries each key that may have signed a token. The fault is that of the last one.
fn verify_by_any(
    token: &str,
    id: Option<&str>,
    algorithm: Algorithm,
    validation: &Validation,
    in_force: &InForce,
) -> Result<(Thumbprint, Claims), TokenFault> {
    let mut fault = TokenFault::UnknownKey;
    for key in in_force.keys.fitting(id, algorithm).take(MAX_TRIED) {
        match decode::<Claims>(token, &key.key, validation).map_err(|error| TokenFault::of(error.kind())) {
            Ok(token) => return Ok((key.thumbprint, token.claims)),
            Err(TokenFault::Signature) => fault = TokenFault::Signature,
            // This key has signed it.
            Err(other) => return Err(other),
        }
    }
    Err(fault)
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
