//! API keys. Only their SHA-256 is known here.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::Principal;

/// The SHA-256 of an API key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest of a key.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// A digest from its 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).ok()?;
        Some(Self(digest))
    }
}

impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Digests are for the config; logs do without.
impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(…)")
    }
}

/// A key and whose it is.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// The key's digest.
    pub digest: KeyDigest,
    /// Who comes with it.
    pub principal: Principal,
}

/// Finds what a key lets in. Every digest is compared, each in constant time, so that the time tells nothing about any of them.
pub(super) fn find<'a, T>(keys: &'a [(KeyDigest, T)], key: &str) -> Option<&'a T> {
    let presented = KeyDigest::of(key);
    let mut found = None;
    for (known, whose) in keys {
        if bool::from(known.0.ct_eq(&presented.0)) {
            found = Some(whose);
        }
    }
    found
}

/// A new key: 256 random bits, after a prefix by which scanners of leaked secrets find it.
#[must_use]
pub fn generate_key() -> String {
    let bits: [u8; 32] = rand::random();
    format!("qg_{}", hex::encode(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_finds_its_principal_and_no_other_text_does() {
        let keys = [(KeyDigest::of("one"), "a"), (KeyDigest::of("two"), "b")];
        let found = |text: &str| find(&keys, text).copied();
        assert_eq!(found("one"), Some("a"));
        assert_eq!(found("two"), Some("b"));
        for other in ["", "One", "one ", &keys[0].0.to_string()] {
            assert_eq!(found(other), None, "{other}");
        }
    }

    #[test]
    fn digests_are_read_back_from_their_hex_and_not_shown_by_debug() {
        let digest = KeyDigest::of("secret");
        assert_eq!(KeyDigest::from_hex(&digest.to_string()), Some(digest));
        assert_eq!(KeyDigest::from_hex("abc"), None);
        assert_eq!(format!("{digest:?}"), "KeyDigest(…)");
    }

    #[test]
    fn new_keys_are_long_and_all_different() {
        let (one, other) = (generate_key(), generate_key());
        assert_eq!(one.len(), 67);
        assert_ne!(one, other);
    }
}
