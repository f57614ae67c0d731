//! JSON Web Tokens (RFC 7519): who comes with one.
//!
//! A token counts when a key of the issuer has signed it by RS256, ES256 or EdDSA, it is for this service, and it is neither expired nor
//! not yet valid, with [`LEEWAY`] for clocks that differ. What was verified is remembered until it expires or the issuer's keys change,
//! so that a caller's many requests cost one verification.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use parking_lot::RwLock;
use sha2::{Digest as _, Sha256};

use super::Principal;
use super::claims::{ClaimNames, Claims};
use super::jwks::{InForce, Jwks, JwksError, JwksSource};
use super::signature;
use crate::clock::SharedClock;

/// How far the issuer's clock may differ from ours.
pub(super) const LEEWAY: SignedDuration = SignedDuration::from_mins(1);

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

    /// Who comes with a token; `None` when it does not count.
    pub(super) async fn find_principal(&self, token: &str) -> Option<Arc<Principal>> {
        if token.len() > MAX_BYTES {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let in_force = self.jwks.current();
        if let Some(principal) = self.recall(&digest, &in_force) {
            return Some(principal);
        }
        let header = decode_header(token).ok()?;
        // Nothing that a header calls critical is understood here (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return None;
        }
        let place = ALGORITHMS.iter().position(|algorithm| *algorithm == header.alg)?;
        let id = header.kid.as_deref();
        let in_force = match in_force.keys.find(id, header.alg) {
            Some(_) => in_force,
            None => self.jwks.fetch_anew().await,
        };
        let key = in_force.keys.find(id, header.alg)?;
        let claims: Claims = decode(token, key, self.validations.get(place)?).ok()?.claims;
        let now = self.now();
        let expires = claims.expires()? + LEEWAY.as_secs_f64();
        if now >= expires || claims.not_before()? > now + LEEWAY.as_secs_f64() {
            return None;
        }
        let principal = Arc::new(claims.principal(&self.claims)?);
        self.remember(digest, Remembered { principal: Arc::clone(&principal), expires, generation: in_force.generation });
        Some(principal)
    }

    fn recall(&self, digest: &[u8; 32], in_force: &InForce) -> Option<Arc<Principal>> {
        let remembered = self.remembered.read();
        let known = remembered.get(digest)?;
        (known.generation == in_force.generation && self.now() < known.expires).then(|| Arc::clone(&known.principal))
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
