//! The public keys of an issuer, as a JWK Set (RFC 7517) gives them.

use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::jwk::{Unusable, WrittenKey};
use crate::shown;

/// Keys that a line of the log names at most.
const MAX_TOLD: usize = 5;

/// Withdrawn keys that are remembered at most.
const MAX_WITHDRAWN: usize = 64;

/// The keys of a set.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet {
    /// Those that can verify tokens.
    keys: Vec<VerifyingKey>,
    /// The others.
    unusable: Vec<UnusableKey>,
}

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

/// A key that cannot verify tokens.
#[derive(Clone, Debug)]
struct UnusableKey {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    why: Unusable,
}

/// A set as it is written. Keys are read one by one, since those that are not understood are to be ignored (RFC 7517, section 5).
#[derive(Deserialize)]
struct WrittenSet {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a set. One without a key that can verify tokens is a set, too: its issuer has withdrawn all that it had.
    ///
    /// # Errors
    /// When it is not a set; a sentence.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let json = json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json);
        let written: WrittenSet =
            serde_json::from_slice(json).map_err(|error| format!("is not a JWK Set: {}", shown::cut(&error.to_string())))?;
        let mut set = Self::default();
        for WrittenKey { id, algorithm, key } in written.keys.iter().filter_map(WrittenKey::read) {
            match (algorithm, key) {
                (Some(algorithm), Ok(key)) => {
                    let thumbprint = Thumbprint::of(id.as_deref(), algorithm, &key);
                    set.keys.push(VerifyingKey { id, algorithm, key, thumbprint });
                }
                (_, Err(why)) => set.unusable.push(UnusableKey { id, algorithm, why }),
                (None, Ok(_)) => {}
            }
        }
        Ok(set)
    }

    /// Whether no key can verify tokens.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys can verify tokens.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys of former sets, those that were `withdrawn` before last, that are not in this one.
    pub(super) fn withdrawn_since(&self, former: &Self, withdrawn: &Self) -> Self {
        let gone = former.keys.iter().chain(&withdrawn.keys).filter(|key| !self.has(key.thumbprint));
        Self { keys: gone.take(MAX_WITHDRAWN).cloned().collect(), unusable: Vec::new() }
    }

    /// Whether a key is in the set.
    pub(super) fn has(&self, thumbprint: Thumbprint) -> bool {
        self.keys.iter().any(|key| key.thumbprint == thumbprint)
    }

    /// The keys that may have signed a token, those of the name that it gives first. A name may be given to several keys, a token need not name
    /// one, and a key need not have a name.
    pub(super) fn fitting<'a>(&'a self, id: Option<&'a str>, algorithm: Algorithm) -> impl Iterator<Item = &'a VerifyingKey> {
        let of_algorithm = || self.keys.iter().filter(move |key| key.algorithm == algorithm);
        let named = of_algorithm().filter(move |key| id.is_some() && key.id.as_deref() == id);
        let others = of_algorithm().filter(move |key| id.is_none() || key.id.is_none());
        named.chain(others)
    }

    /// Whether a key of that name is in the set, whatever it is for.
    pub(super) fn names(&self, id: Option<&str>) -> bool {
        let mut ids = self.keys.iter().map(|key| &key.id).chain(self.unusable.iter().map(|key| &key.id));
        id.is_some() && ids.any(|other| other.as_deref() == id)
    }

    /// Why the key that may have signed a token cannot be used, when there is one.
    pub(super) fn why_unusable(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&'static str> {
        let named = self.unusable.iter().find(|key| id.is_some() && key.id.as_deref() == id);
        let of_algorithm = |key: &&UnusableKey| key.algorithm == Some(algorithm) && (id.is_none() || key.id.is_none());
        named.or_else(|| self.unusable.iter().find(of_algorithm)).map(|key| key.why.why())
    }

    /// The keys that are for tokens and cannot be used, and why, for the log; `None` when there are none.
    pub(super) fn show_bad(&self) -> Option<String> {
        let bad = self.unusable.iter().filter_map(|key| match key.why {
            Unusable::Bad(why) => Some((key, why)),
            Unusable::Other(_) => None,
        });
        let show = |(key, why): (&UnusableKey, &str)| match &key.id {
            Some(id) => format!("{}: {why}", shown::quoted(id)),
            None => format!("one without a name: {why}"),
        };
        let count = bad.clone().count();
        let mut shown: Vec<String> = bad.take(MAX_TOLD).map(show).collect();
        if count > MAX_TOLD {
            shown.push(format!("and {} more", count - MAX_TOLD));
        }
        (count > 0).then(|| shown.join("; "))
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
    use base64::Engine as _;
    use serde_json::json;

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

    #[test]
    fn keys_are_read_as_far_as_they_can_only_mean_one_thing() {
        let number = "f0".repeat(255) + "f1";
        let bytes: Vec<u8> = (0..number.len()).step_by(2).map(|i| u8::from_str_radix(&number[i..i + 2], 16).unwrap()).collect();
        let n = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let rsa = |n: &str, more: Value| {
            let mut key = json!({ "kty": "RSA", "n": n, "e": "AQAB" });
            key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            key
        };
        let plain = parse(&json!([rsa(n(&bytes).trim_end_matches('='), json!({ "kid": "7" }))])).unwrap();
        let thumbprint = plain.keys[0].thumbprint;
        let with_zero = [&[0], &bytes[..]].concat();
        for same in [
            rsa(&n(&bytes), json!({ "kid": 7, "x5c": "no list", "x5t": 7, "key_ops": null, "use": null, "alg": null })),
            rsa(&n(&with_zero), json!({ "kid": "7", "e": "AAEAAQ==", "alg": "RS256" })),
        ] {
            assert!(parse(&json!([same])).unwrap().has(thumbprint), "{same}");
        }
        let curve = |x: &str| json!({ "kty": "EC", "crv": "P-256", "x": x, "y": "AQ", "kid": "c" });
        let short = parse(&json!([curve("AQ")])).unwrap();
        assert!(parse(&json!([curve("AAE=")])).unwrap().has(short.keys[0].thumbprint));
        assert_eq!(parse(&json!([ed25519(&json!({ "alg": "Ed25519" }))])).unwrap().len(), 1);
        let with_mark = format!("\u{feff}{{\"keys\":[{}]}}", ed25519(&json!({})));
        assert_eq!(KeySet::parse(with_mark.as_bytes()).unwrap().len(), 1);
        let small = parse(&json!([rsa(&n(&bytes[..128]), json!({ "kid": "small" })), { "kty": "oct", "kid": "other" }])).unwrap();
        assert!(small.is_empty() && small.names(Some("small")));
        let why = "the modulus (n) of an RSA key must have 2048 to 8192 bits";
        assert_eq!(small.show_bad(), Some(format!("\"small\": {why}")));
        assert_eq!(small.why_unusable(Some("small"), Algorithm::RS256), Some(why));
        assert_eq!(small.why_unusable(None, Algorithm::RS256), Some(why));
        assert_eq!(small.why_unusable(None, Algorithm::ES256), None);
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
        assert!(set.names(Some("a")) && !set.names(Some("c")) && !set.names(None));
    }

    #[test]
    fn keys_are_told_apart_by_their_name_and_by_themselves() {
        let of = |key: Value| parse(&json!([key])).unwrap();
        let (key, renamed) = (of(ed25519(&json!({ "kid": "a" }))), of(ed25519(&json!({ "kid": "b" }))));
        let other = of(ed25519(&json!({ "kid": "a", "x": "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw" })));
        let thumbprint = key.keys[0].thumbprint;
        assert!(key.has(thumbprint) && of(ed25519(&json!({ "kid": "a", "use": "sig" }))).has(thumbprint));
        assert!(!renamed.has(thumbprint) && !other.has(thumbprint));
    }
}
