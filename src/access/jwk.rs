//! One public key, as issuers write it (RFC 7517, 7518 and 8037).
//!
//! What tells a key is read as far as it can only mean one thing: padded or plain base64, a number as a name, zeros before or left out of a
//! number. What is not needed for verifying is not looked at.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

/// Base64 as careless issuers write it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// The bits of an RSA key that can be used.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// What a key is written to be.
#[derive(Debug)]
pub(super) struct WrittenKey {
    /// Its name.
    pub(super) id: Option<String>,
    /// The algorithm that its kind is for; `None` for kinds that no token is verified by here.
    pub(super) algorithm: Option<Algorithm>,
    /// The key, or why it cannot be used.
    pub(super) key: Result<DecodingKey, Unusable>,
}

/// Why a key of a set cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It is for something else. Sets have such keys.
    Other(&'static str),
    /// It is for tokens, and something is wrong with it.
    Bad(&'static str),
}

impl Unusable {
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::Other(why) | Self::Bad(why) => why,
        }
    }
}

/// The name of a key: a text, or a number, which some write.
pub(super) fn name_of(id: &Value) -> Option<String> {
    match id {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

impl WrittenKey {
    /// Reads a key. `None` when it is no object.
    pub(super) fn read(jwk: &Value) -> Option<Self> {
        let jwk = Fields(jwk.as_object()?);
        let algorithm = match (jwk.text("kty"), jwk.text("crv")) {
            (Some("RSA"), _) => Some(Algorithm::RS256),
            (Some("EC"), Some("P-256")) => Some(Algorithm::ES256),
            (Some("OKP"), Some("Ed25519")) => Some(Algorithm::EdDSA),
            _ => None,
        };
        Some(Self { id: jwk.0.get("kid").and_then(name_of), algorithm, key: jwk.key(algorithm) })
    }
}

/// The members of a key.
struct Fields<'a>(&'a serde_json::Map<String, Value>);

impl Fields<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    fn key(&self, algorithm: Option<Algorithm>) -> Result<DecodingKey, Unusable> {
        let algorithm = algorithm.ok_or(Unusable::Other("it is neither RSA nor on the curves P-256 and Ed25519"))?;
        let names: &[&str] = match algorithm {
            Algorithm::RS256 => &["RS256"],
            Algorithm::ES256 => &["ES256"],
            _ => &["EdDSA", "Ed25519"],
        };
        if self.text("alg").is_some_and(|alg| !names.contains(&alg)) {
            return Err(Unusable::Other("it is for another algorithm (alg) than RS256, ES256 or EdDSA"));
        }
        let may_verify = self.0.get("key_ops").and_then(Value::as_array).is_none_or(|list| list.iter().any(|op| op == "verify"));
        if self.text("use").is_some_and(|of| of != "sig") || !may_verify {
            return Err(Unusable::Other("it is not for signatures (use, key_ops)"));
        }
        match algorithm {
            Algorithm::RS256 => self.rsa(),
            Algorithm::ES256 => self.p256(),
            _ => self.ed25519(),
        }
    }

    fn rsa(&self) -> Result<DecodingKey, Unusable> {
        let (n, e) = (self.number("n")?, self.number("e")?);
        let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            return Err(Unusable::Bad("the modulus (n) of an RSA key must have 2048 to 8192 bits"));
        }
        let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        // What ring accepts; in practice it is 65537.
        if !is_odd(&n) || !is_odd(&e) || e.len() > 4 || e == [1] {
            return Err(Unusable::Bad("its modulus or its exponent (n, e) is not that of an RSA key"));
        }
        Ok(DecodingKey::from_rsa_raw_components(&n, &e))
    }

    fn p256(&self) -> Result<DecodingKey, Unusable> {
        let (x, y) = (self.number("x")?, self.number("y")?);
        if x.len() > 32 || y.len() > 32 {
            return Err(Unusable::Bad("its x and y must have 32 bytes"));
        }
        // Uncompressed (SEC 1, section 2.3.3).
        let mut point = [0; 65];
        point[0] = 4;
        point[33 - x.len()..33].copy_from_slice(&x);
        point[65 - y.len()..].copy_from_slice(&y);
        Ok(DecodingKey::from_ec_der(&point))
    }

    fn ed25519(&self) -> Result<DecodingKey, Unusable> {
        let x = self.bytes("x")?;
        if x.len() != 32 {
            return Err(Unusable::Bad("its x must have 32 bytes"));
        }
        Ok(DecodingKey::from_ed_der(&x))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, Unusable> {
        let text = self.text(name).ok_or(Unusable::Bad("it lacks a part (n and e, x and y, or x)"))?;
        let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).map(to_url_safe).collect();
        LENIENT.decode(text).map_err(|_| Unusable::Bad("a part of it (n, e, x or y) is not base64url"))
    }

    /// The bytes of a number, without zeros before it.
    fn number(&self, name: &str) -> Result<Vec<u8>, Unusable> {
        let mut bytes = self.bytes(name)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes.drain(..zeros);
        Ok(bytes)
    }
}

fn to_url_safe(c: char) -> char {
    match c {
        '+' => '-',
        '/' => '_',
        other => other,
    }
}
