//! The public keys of an issuer, as a JWK Set (RFC 7517) gives them.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

/// The keys of a set that can verify tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet(Vec<VerifyingKey>);

/// A public key, for one algorithm.
#[derive(Clone, Debug)]
struct VerifyingKey {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// A set as it is written. Keys are read one by one, since those that are not understood are to be ignored (RFC 7517, section 5).
#[derive(Deserialize)]
struct WrittenSet {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// Reads a set.
    ///
    /// # Errors
    /// When it is not a set, or has no key that can verify tokens; a sentence.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let set: WrittenSet = serde_json::from_slice(json).map_err(|error| format!("is not a JWK Set: {error}"))?;
        let keys: Vec<_> = set.keys.into_iter().filter_map(|key| VerifyingKey::of(&serde_json::from_value(key).ok()?)).collect();
        if keys.is_empty() {
            return Err("has no public key for RS256, ES256 or EdDSA".to_owned());
        }
        Ok(Self(keys))
    }

    /// The key that a token says it was signed with. A token that names none means the only one that fits, if there is only one.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut fitting = self.0.iter().filter(|key| key.algorithm == algorithm && (id.is_none() || key.id.as_deref() == id));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Some(&key.key),
            _ => None,
        }
    }
}

impl VerifyingKey {
    /// The key, unless it is of another kind, or for something else than signatures.
    fn of(jwk: &Jwk) -> Option<Self> {
        let (algorithm, named) = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => (Algorithm::ES256, KeyAlgorithm::ES256),
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
            }
            _ => return None,
        };
        let common = &jwk.common;
        let verifies = common.key_algorithm.is_none_or(|name| name == named)
            && common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature)
            && common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        let key = verifies.then(|| DecodingKey::from_jwk(jwk).ok())??;
        Some(Self { id: common.key_id.clone(), algorithm, key })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ed25519(extra: &Value) -> Value {
        let mut key = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        key.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        key
    }

    fn parse(keys: &Value) -> Result<KeySet, String> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn keys_for_something_else_or_not_understood_are_ignored() {
        let others = json!([
            ed25519(&json!({ "use": "enc" })),
            ed25519(&json!({ "key_ops": ["encrypt"] })),
            ed25519(&json!({ "alg": "RS256" })),
            { "kty": "oct", "k": "c2VjcmV0", "alg": "HS256" },
            { "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA" },
            { "kty": "EC", "crv": "P-384", "x": "AA", "y": "AA" },
            { "kty": "RSA", "n": "not base64!", "e": "AQAB" },
            { "kty": "AKP" },
            "not a key"
        ]);
        assert_eq!(parse(&others).unwrap_err(), "has no public key for RS256, ES256 or EdDSA");
        let mut with_a_good_one = others.as_array().unwrap().clone();
        with_a_good_one.push(ed25519(&json!({ "kid": "k", "use": "sig", "key_ops": ["verify"], "alg": "EdDSA" })));
        assert!(parse(&with_a_good_one.into()).unwrap().find(Some("k"), Algorithm::EdDSA).is_some());
        assert!(KeySet::parse(b"<html>").unwrap_err().starts_with("is not a JWK Set"));
    }

    #[test]
    fn a_token_without_a_key_id_means_the_only_key_that_fits() {
        let one = parse(&json!([ed25519(&json!({ "kid": "a" }))])).unwrap();
        let two = parse(&json!([ed25519(&json!({ "kid": "a" })), ed25519(&json!({ "kid": "b" }))])).unwrap();
        assert!(one.find(None, Algorithm::EdDSA).is_some());
        assert!(one.find(None, Algorithm::ES256).is_none());
        assert!(one.find(Some("b"), Algorithm::EdDSA).is_none());
        assert!(two.find(None, Algorithm::EdDSA).is_none());
        assert!(two.find(Some("b"), Algorithm::EdDSA).is_some());
    }
}
