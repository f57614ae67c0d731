//! Why a token does not let in.

use std::time::Duration;

/// A token's length at most, in bytes.
pub(super) const MAX_BYTES: usize = 16 * 1024;

/// Keys that are tried for one token at most, so that a large set costs nobody more than this. No issuer signs by as many at a time.
pub(super) const MAX_TRIED: usize = 64;

/// Why a token is rejected. For our own log: the caller learns only that it is. Nothing of the token is in it.
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
    #[error("the issuer has withdrawn the key that signed the token")]
    WithdrawnKey,
    #[error("the issuer's key cannot be used: {0}")]
    UnusableKey(&'static str),
    #[error("the token's signature is not that of the issuer's key")]
    Signature,
    #[error(
        "the token's signature is not that of any of {MAX_TRIED} keys of the issuer; more are not tried, and the token must name its own by kid"
    )]
    TooManyKeys,
    #[error("the token lacks {0}")]
    MissingClaim(&'static str),
    #[error("the token's {claim} is not {wanted}")]
    Form { claim: &'static str, wanted: &'static str },
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token's sub is missing or no name for a log")]
    Subject,
}

/// Why nobody is let in by a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unverified {
    /// It is rejected.
    Fault(TokenFault),
    /// It cannot be judged, because the issuer's current keys cannot be fetched; how long to wait before it is tried again.
    Away(Duration),
}

impl From<TokenFault> for Unverified {
    fn from(fault: TokenFault) -> Self {
        Self::Fault(fault)
    }
}
