//! The origins whose pages may call.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::origin::AllowedOrigin;

/// What browsers tell of the page: whether it is of the server that it calls. Only to servers over TLS and on this machine.
pub(in crate::http) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origins whose pages may call, such as `https://portal.example`.
#[derive(Clone, Debug, Default)]
pub struct AllowedOrigins(Arc<[AllowedOrigin]>);

impl AllowedOrigins {
    /// These. What cannot be an origin is never one.
    #[must_use]
    pub fn new(origins: &[String]) -> Self {
        Self(origins.iter().filter_map(|origin| AllowedOrigin::parse(origin).ok()).collect())
    }

    /// Whether no page but our own may call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The origin of the page, if it may call.
    pub(in crate::http) fn find<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let origin = only(headers, &header::ORIGIN)?;
        self.0.iter().any(|allowed| allowed.matches(origin.as_bytes())).then_some(origin)
    }
}

/// The only value of a header; `None` when there is another one beside it.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}
