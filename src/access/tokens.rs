//! JSON Web Tokens (RFC 7519): who comes with one.
//!
//! A token counts when a key of the issuer has signed it by RS256, ES256 or EdDSA, it is for this service, and it is neither expired nor
//! not yet valid, with [`LEEWAY`] for clocks that differ. What was verified is remembered until it expires or the issuer's keys change,
//! so that a caller's many requests cost one verification.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use parking_lot::RwLock;
use sha2::{Digest as _, Sha256};

use super::Principal;
use super::claims::{ClaimNames, Claims};
use super::jwks::{InForce, Jwks, JwksError, JwksSource};
use super::signature;
use crate::clock::SharedClock;

/// How far the issuer's clock may differ from ours.
const LEEWAY: SignedDuration = SignedDuration::from_mins(1);

/// A token's length at most, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// Tokens that are remembered at most: a few MiB.
const MAX_REMEMBERED: usize = 10_000;

const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// Which tokens count, and how they are read.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// The issuer's keys.
    pub jwks: JwksSource,
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must be, or have among others.
    pub audience: String,
    /// The claims that give a principal's rights.
    pub claims: ClaimNames,
}

/// Verifies tokens.
#[derive(Debug)]
pub struct TokenVerifier {
    jwks: Arc<Jwks>,
    /// The rules for each of [`ALGORITHMS`].
    validations: [Validation; 3],
    claims: ClaimNames,
    clock: SharedClock,
    remembered: RwLock<HashMap<[u8; 32], Remembered>>,
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

/// A token that was verified.
#[derive(Debug)]
struct Remembered {
    principal: Arc<Principal>,
    /// In seconds since 1970.
    expires: f64,
    generation: u64,
}

impl TokenVerifier {
    /// A verifier. A file with keys is read now; an address is asked later.
    ///
    /// # Errors
    /// When the file cannot be used, or the HTTP client not be set up.
    pub fn new(settings: TokenSettings, clock: SharedClock) -> Result<Self, JwksError> {
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
        Ok(Self {
            jwks: Arc::new(Jwks::new(settings.jwks, Arc::clone(&clock))?),
            validations: ALGORITHMS.map(validation),
            claims: settings.claims,
            clock,
            remembered: RwLock::default(),
        })
    }

    /// Fetches the issuer's keys behind, if they are not there or old, so that the first caller need not wait for them.
    pub fn prepare(&self) {
        self.jwks.refresh_when_due();
    }

    /// Who comes with a token, and until when.
    pub(super) async fn find_principal(&self, token: &str) -> Result<(Arc<Principal>, Timestamp), TokenFault> {
        if token.len() > MAX_BYTES {
            return Err(TokenFault::TooLong);
        }
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let in_force = self.jwks.current();
        if let Some((principal, expires)) = self.recall(&digest, &in_force) {
            return Ok((principal, instant(expires)));
        }
        let header = decode_header(token).map_err(|_| TokenFault::Malformed)?;
        // Nothing that a header calls critical is understood here (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(TokenFault::Malformed);
        }
        let validation = ALGORITHMS.iter().position(|algorithm| *algorithm == header.alg).and_then(|i| self.validations.get(i));
        let validation = validation.ok_or(TokenFault::Algorithm)?;
        let id = header.kid.as_deref();
        let in_force = match in_force.keys.find(id, header.alg) {
            Some(_) => in_force,
            None => self.jwks.fetch_anew().await,
        };
        let key = in_force.keys.find(id, header.alg).ok_or(TokenFault::UnknownKey)?;
        let claims: Claims = decode(token, key, validation).map_err(|error| TokenFault::of(error.kind()))?.claims;
        let expires = self.check_times(&claims)?;
        let principal = Arc::new(claims.principal(&self.claims).ok_or(TokenFault::Subject)?);
        self.remember(digest, Remembered { principal: Arc::clone(&principal), expires, generation: in_force.generation });
        Ok((principal, instant(expires)))
    }

    /// Until when the token counts, if it does now; in seconds since 1970.
    fn check_times(&self, claims: &Claims) -> Result<f64, TokenFault> {
        let (now, leeway) = (self.now(), LEEWAY.as_secs_f64());
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

    fn recall(&self, digest: &[u8; 32], in_force: &InForce) -> Option<(Arc<Principal>, f64)> {
        let remembered = self.remembered.read();
        let known = remembered.get(digest)?;
        (known.generation == in_force.generation && self.now() < known.expires)
            .then(|| (Arc::clone(&known.principal), known.expires))
    }

    fn remember(&self, digest: [u8; 32], token: Remembered) {
        let now = self.now();
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

    /// Seconds since 1970, the unit of a token's times.
    fn now(&self) -> f64 {
        self.clock.now().duration_since(jiff::Timestamp::UNIX_EPOCH).as_secs_f64()
    }
}

/// The instant so many seconds after 1970; the last one there is when it lies after that.
fn instant(seconds: f64) -> Timestamp {
    let since_epoch = SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::MAX);
    Timestamp::UNIX_EPOCH.saturating_add(since_epoch).unwrap_or(Timestamp::MAX)
}
