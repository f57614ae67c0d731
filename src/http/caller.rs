//! Who calls, as far as the connection and the request's headers tell.

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::HttpState;
use super::forwarded::client_address;
use super::origin::refuse_foreign_page;
use super::refusal::Refusal;
use crate::access::{Credentials, View};

/// Lets the caller in, before anything of the request is read.
pub(super) async fn admit(state: &HttpState, head: &Parts) -> Result<View, Refusal> {
    refuse_foreign_page(state, head)?;
    let address = client_address(&head.extensions, &head.headers, &state.trusted_proxies);
    Ok(state.gate.admit(credentials(&head.headers), address).await?)
}

/// What a request brings along to prove who sends it.
pub(super) fn credentials(headers: &HeaderMap) -> Credentials<'_> {
    Credentials {
        api_key: headers.get("x-api-key").and_then(|value| value.to_str().ok()),
        token: headers.get(header::AUTHORIZATION).and_then(|value| bearer_token(value.to_str().ok()?)),
    }
}

/// The token of `Bearer TOKEN` (RFC 6750); the scheme in any case.
pub(super) fn bearer_token(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_after_bearer_in_any_case() {
        for (authorization, token) in [
            ("Bearer a.b.c", Some("a.b.c")),
            ("bearer   a.b.c", Some("a.b.c")),
            ("Basic a.b.c", None),
            ("Bearer", None),
            ("a.b.c", None),
        ] {
            assert_eq!(bearer_token(authorization), token, "{authorization}");
        }
    }
}
