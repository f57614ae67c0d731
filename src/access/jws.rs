//! A token as it is written: the compact form of something signed (RFC 7515, section 7.1), with claims in it (RFC 7519).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::claims::Claims;
use super::fault::{MAX_BYTES, TokenFault};
use super::jwk::name_of;

/// A token that was taken apart. Nothing of it counts until a key has been found that signed it.
pub(super) struct WrittenToken<'a> {
    pub(super) algorithm: Algorithm,
    /// The name of the key that is said to have signed it.
    pub(super) key_id: Option<String>,
    pub(super) claims: Claims,
    message: &'a str,
    signature: &'a str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<Value>,
    crit: Option<IgnoredAny>,
}

impl<'a> WrittenToken<'a> {
    /// Takes a token apart.
    pub(super) fn read(token: &'a str) -> Result<Self, TokenFault> {
        if token.len() > MAX_BYTES {
            return Err(TokenFault::TooLong);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenFault::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(TokenFault::Malformed)?;
        let header: Header = decode(header)?;
        // Nothing that a header calls critical is understood here (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(TokenFault::Malformed);
        }
        let algorithm = match header.alg.as_str() {
            "RS256" => Algorithm::RS256,
            "ES256" => Algorithm::ES256,
            // The latter is what the former means with the only curve that counts here (RFC 9864).
            "EdDSA" | "Ed25519" => Algorithm::EdDSA,
            _ => return Err(TokenFault::Algorithm),
        };
        let key_id = header.kid.map(|id| name_of(&id).ok_or(TokenFault::Malformed)).transpose()?;
        Ok(Self { algorithm, key_id, claims: decode(claims)?, message, signature })
    }

    /// Whether this key, which is for the token's algorithm, has signed it.
    pub(super) fn is_signed_by(&self, key: &DecodingKey) -> bool {
        crypto::verify(self.signature, self.message.as_bytes(), key, self.algorithm).unwrap_or(false)
    }
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, TokenFault> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| TokenFault::Malformed)
}
