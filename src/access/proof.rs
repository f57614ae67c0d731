//! How callers can prove who they are, as they are told.

/// How callers can prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By an API key.
    Key,
    Token,
    /// By either.
    KeyOrToken,
}

impl Proof {
    /// What a request must bring along.
    pub(super) fn wanted(self) -> &'static str {
        match self {
            Self::Key => "a valid API key in the header X-Api-Key, or in Authorization after ApiKey",
            Self::Token => "a valid token in the header Authorization, after Bearer",
            Self::KeyOrToken => {
                "a valid API key in the header X-Api-Key, or in Authorization after ApiKey, or a valid token there, after Bearer"
            }
        }
    }

    /// What the payload of a `connection_init` must have. Short, since the reason of a close frame is.
    pub(super) fn wanted_in_payload(self) -> &'static str {
        match self {
            Self::Key => "a valid API key as apiKey",
            Self::Token => "a valid token as authorization, after Bearer,",
            Self::KeyOrToken => "a valid API key as apiKey, or token as authorization, after Bearer,",
        }
    }

    /// The challenges of a `WWW-Authenticate`. It tells those who sent a token that it is rejected, and nothing to those who sent none (RFC 6750
    /// section 3.1).
    #[must_use]
    pub fn challenges(self, token_refused: bool) -> &'static str {
        match (self, token_refused) {
            (Self::Key, _) => "ApiKey realm=\"quotagraph\"",
            (Self::Token, false) => "Bearer realm=\"quotagraph\"",
            (Self::Token, true) => "Bearer realm=\"quotagraph\", error=\"invalid_token\"",
            (Self::KeyOrToken, false) => "Bearer realm=\"quotagraph\", ApiKey realm=\"quotagraph\"",
            (Self::KeyOrToken, true) => "Bearer realm=\"quotagraph\", error=\"invalid_token\", ApiKey realm=\"quotagraph\"",
        }
    }
}
