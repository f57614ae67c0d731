//! What somebody was let in by.

use jiff::Timestamp;

use super::Principal;
use super::key_set::Thumbprint;
use super::keys::KeyDigest;

/// A principal, and what it was let in by: so that it can be found out later whether that still counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) principal: Principal,
    pub(super) basis: Basis,
    /// When the proof expires; `None` for never.
    pub(super) expires_at: Option<Timestamp>,
}

/// By what a principal was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Basis {
    /// Nothing had to be proved.
    Nothing,
    /// The API key of this digest.
    Key(KeyDigest),
    /// A token, judged by the verifier of this number, that a key of the issuer has signed.
    Token { verifier: u64, key: Thumbprint },
}

/// Why somebody who was let in may not stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lapse {
    #[error("the token has expired; come back with a new one")]
    Expired,
    /// The key or the token was taken back: it, or the key of the issuer that signed it, is no longer valid.
    #[error("the credentials are no longer valid")]
    Withdrawn,
    /// The issuer's keys could not be fetched for so long that no token can be judged.
    #[error("tokens cannot be verified at the moment, because the keys of their issuer cannot be fetched; come back later")]
    Unverifiable,
}
