//! An issuer of tokens: real keys, and a real server that gives the public ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use quotagraph::config::{Auth, AuthMode, JwtConfig, ProxySetting};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use serde_json::{Value, json};

/// An RSA key that nothing but these tests uses; ring makes none.
const RSA_KEY: &[u8] = include_bytes!("rsa.p8");

pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What the tokens of the tests say that they are from.
pub const ISSUER: &str = "https://idp.example";

/// Lets in tokens for `quotagraph` whose keys stand at `source`, an address or a file.
pub fn jwt_auth(mode: AuthMode, source: &str) -> Auth {
    let url = source.parse().ok();
    let file = url.is_none().then(|| source.into());
    let (issuer, audience) = (ISSUER.to_owned(), "quotagraph".to_owned());
    let (tenants_claim, roles_claim) = ("tenants".to_owned(), "roles".to_owned());
    let keys_kept_for = Duration::from_hours(24);
    let proxy = ProxySetting::Environment;
    let jwt = JwtConfig {
        proxy,
        ca_file: None,
        jwks_url: url,
        jwks_file: file,
        issuer,
        audience,
        keys_kept_for,
        tenants_claim,
        roles_claim,
    };
    Auth { mode, failed_attempts_per_minute: 1000, keys: Vec::new(), jwt: Some(jwt) }
}

/// A pair of keys with its name.
pub struct SigningKey {
    pub id: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    pub fn rsa(id: &'static str) -> Self {
        Self { id, pair: Pair::Rsa(RsaKeyPair::from_pkcs8(RSA_KEY).unwrap()) }
    }

    pub fn p256(id: &'static str) -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self { id, pair: Pair::P256(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap()) }
    }

    pub fn ed25519(id: &'static str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { id, pair: Pair::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap()) }
    }

    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
            Pair::Ed25519(_) => "EdDSA",
        }
    }

    pub fn public_bytes(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::P256(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    pub fn public_jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({ "kty": "RSA", "n": base64url(public.n), "e": base64url(public.e) })
            }
            Pair::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y) })
            }
            Pair::Ed25519(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key()) }),
        };
        jwk["kid"] = self.id.into();
        jwk["use"] = "sig".into();
        jwk
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token with this header, whatever it says.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
        let signature = self.sign(message.as_bytes());
        format!("{message}.{}", base64url(signature))
    }

    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({ "typ": "JWT", "alg": self.algorithm(), "kid": self.id }), claims)
    }
}

/// The server of a JWK Set.
pub struct JwksServer {
    pub url: String,
    answer: Arc<Mutex<(u16, String)>>,
    asked: Arc<AtomicUsize>,
    gate: Arc<tokio::sync::RwLock<()>>,
}

impl JwksServer {
    pub async fn start(keys: &[&SigningKey]) -> Self {
        let answer = Arc::new(Mutex::new((200, set_of(keys))));
        let asked = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(tokio::sync::RwLock::new(()));
        let handler = {
            let (answer, asked, gate) = (Arc::clone(&answer), Arc::clone(&asked), Arc::clone(&gate));
            move || {
                asked.fetch_add(1, Ordering::SeqCst);
                let (status, body) = answer.lock().clone();
                let gate = Arc::clone(&gate);
                async move {
                    drop(gate.read().await);
                    (axum::http::StatusCode::from_u16(status).unwrap(), body)
                }
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/jwks", get(handler))).await });
        Self { url, answer, asked, gate }
    }

    pub fn publish(&self, keys: &[&SigningKey]) {
        *self.answer.lock() = (200, set_of(keys));
    }

    pub fn answer(&self, status: u16, body: &str) {
        *self.answer.lock() = (status, body.to_owned());
    }

    /// Lets it hang until what this gives is dropped.
    pub async fn hold(&self) -> tokio::sync::OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.gate).write_owned().await
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

pub fn set_of(keys: &[&SigningKey]) -> String {
    json!({ "keys": keys.iter().map(|key| key.public_jwk()).collect::<Vec<_>>() }).to_string()
}
