//! The public keys of an issuer, as a JWK Set (RFC 7517) gives them.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::shown;

/// The keys of a set that can verify tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet(Vec<VerifyingKey>);

/// Tells a key from every other one: by its name, its algorithm and the key itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Thumbprint([u8; 32]);

/// A public key, for one algorithm.
#[derive(Clone, Debug)]
pub(super) struct VerifyingKey {
    id: Option<String>,
    algorithm: Algorithm,
    pub(super) key: DecodingKey,
    pub(super) thumbprint: Thumbprint,
}

/// A set as it is written. Keys are read one by one, since those that are not understood are to be ignored (RFC 7517, section 5).
#[derive(Deserialize)]
struct WrittenSet {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// Reads a set. One without a key that can verify tokens is a set, too: its issuer has withdrawn all that it had.
    ///
    /// # Errors
    /// When it is not a set; a sentence.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let set: WrittenSet =
            serde_json::from_slice(json).map_err(|error| format!("is not a JWK Set: {}", shown::cut(&error.to_string())))?;
        Ok(Self(set.keys.into_iter().filter_map(|key| VerifyingKey::of(&serde_json::from_value(key).ok()?)).collect()))
    }

    /// Whether no key can verify tokens.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a key is in the set.
    pub(super) fn has(&self, thumbprint: Thumbprint) -> bool {
        self.0.iter().any(|key| key.thumbprint == thumbprint)
    }

    /// The keys that may have signed a token, those of the name that it gives first. A name may be given to several keys, a token need not name
    /// one, and a key need not have a name.
    pub(super) fn fitting<'a>(&'a self, id: Option<&'a str>, algorithm: Algorithm) -> impl Iterator<Item = &'a VerifyingKey> {
        let of_algorithm = || self.0.iter().filter(move |key| key.algorithm == algorithm);
        let named = of_algorithm().filter(move |key| id.is_some() && key.id.as_deref() == id);
        let others = of_algorithm().filter(move |key| id.is_none() || key.id.is_none());
        named.chain(others)
    }

    /// Whether a key of that name and algorithm is in the set.
    pub(super) fn names(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        id.is_some() && self.0.iter().any(|key| key.algorithm == algorithm && key.id.as_deref() == id)
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
        let thumbprint = Thumbprint::of(common.key_id.as_deref(), algorithm, &key);
        Some(Self { id: common.key_id.clone(), algorithm, key, thumbprint })
    }
}

impl Thumbprint {
    fn of(id: Option<&str>, algorithm: Algorithm, key: &DecodingKey) -> Self {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        add(&[algorithm as u8, u8::from(id.is_some())]);
        add(id.unwrap_or_default().as_bytes());
        match key.kind() {
            DecodingKeyKind::SecretOrDer(point) => add(point),
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                add(n);
                add(e);
            }
        }
        Self(hash.finalize().into())
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
        assert!(parse(&others).unwrap().is_empty());
        let mut with_a_good_one = others.as_array().unwrap().clone();
        with_a_good_one.push(ed25519(&json!({ "kid": "k", "use": "sig", "key_ops": ["verify"], "alg": "EdDSA" })));
        assert_eq!(found(&parse(&with_a_good_one.into()).unwrap(), Some("k")), [Some("k")]);
        for nonsense in ["<html>", "{}", "[]", "{\"keys\":null}", "{\"keys\":{}}"] {
            assert!(KeySet::parse(nonsense.as_bytes()).unwrap_err().starts_with("is not a JWK Set"), "{nonsense}");
        }
    }

    fn found<'a>(set: &'a KeySet, id: Option<&'a str>) -> Vec<Option<&'a str>> {
        set.fitting(id, Algorithm::EdDSA).map(|key| key.id.as_deref()).collect()
    }

    #[test]
    fn every_key_that_may_have_signed_a_token_is_found_those_of_its_name_first() {
        let keys = json!([
            ed25519(&json!({})),
            ed25519(&json!({ "kid": "b" })),
            ed25519(&json!({ "kid": "a" })),
            ed25519(&json!({ "kid": "a", "x": "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw" })),
        ]);
        let set = parse(&keys).unwrap();
        assert_eq!(found(&set, Some("a")), [Some("a"), Some("a"), None]);
        assert_eq!(found(&set, Some("c")), [None]);
        assert_eq!(found(&set, None), [None, Some("b"), Some("a"), Some("a")]);
        assert_eq!(set.fitting(None, Algorithm::ES256).count(), 0);
        assert!(set.names(Some("a"), Algorithm::EdDSA));
        for (id, algorithm) in [(Some("a"), Algorithm::ES256), (Some("c"), Algorithm::EdDSA), (None, Algorithm::EdDSA)] {
            assert!(!set.names(id, algorithm), "{id:?} {algorithm:?}");
        }
    }

    #[test]
    fn keys_are_told_apart_by_their_name_and_by_themselves() {
        let of = |key: Value| parse(&json!([key])).unwrap();
        let (key, renamed) = (of(ed25519(&json!({ "kid": "a" }))), of(ed25519(&json!({ "kid": "b" }))));
        let other = of(ed25519(&json!({ "kid": "a", "x": "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw" })));
        let thumbprint = key.0[0].thumbprint;
        assert!(key.has(thumbprint) && of(ed25519(&json!({ "kid": "a", "use": "sig" }))).has(thumbprint));
        assert!(!renamed.has(thumbprint) && !other.has(thumbprint));
    }
}
