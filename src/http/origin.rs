//! Pages in browsers: which ones may call (CORS), and how the others are kept from making a visitor's browser call (CSRF).
//!
//! Cookies are not used, so a foreign page can never borrow a visitor's rights. What it could borrow is the visitor's place in the
//! network, where that is all that is asked for. The rule: a request that shows a foreign page is refused unless it carries something for
//! which a browser asks permission first, which this service gives to the allowed origins only. A POST always does, since only
//! `application/json` is understood. Requests of programs show no page and are not concerned.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::info;

/// For how long browsers may remember the permission, in seconds: as long as they do at most.
const REMEMBER: HeaderValue = HeaderValue::from_static("7200");
const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET, POST");
const ALLOWED_HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, graphql-require-preflight, if-none-match, last-event-id, x-api-key");
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static("content-disposition, etag, retry-after, www-authenticate");

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Headers that no browser sends for a page without asking first.
const PREFLIGHTED: [HeaderName; 3] =
    [header::AUTHORIZATION, HeaderName::from_static("x-api-key"), HeaderName::from_static("graphql-require-preflight")];

/// The origins whose pages may call, such as `https://portal.example`.
#[derive(Clone, Debug, Default)]
pub struct AllowedOrigins(Arc<[HeaderValue]>);

impl AllowedOrigins {
    /// These. What cannot be an origin is never one.
    #[must_use]
    pub fn new(origins: &[String]) -> Self {
        Self(origins.iter().filter_map(|origin| origin.parse().ok()).collect())
    }

    /// Whether no page but our own may call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The origin of the page, if it may call.
    fn allowed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        headers.get(header::ORIGIN).filter(|origin| self.0.contains(origin)).cloned()
    }

    /// Whether a request is that of a foreign page for which no browser has asked permission. Each refusal is a line in the audit log.
    pub(super) fn refuse(&self, headers: &HeaderMap) -> bool {
        let refuse = shows_foreign_page(headers) && self.allowed_origin(headers).is_none() && !needs_preflight(headers);
        if refuse {
            info!(target: "quotagraph::audit", origin = ?headers.get(header::ORIGIN), outcome = "FORBIDDEN", "request refused");
        }
        refuse
    }
}

/// What browsers tell of the page. Older ones give only the origin, and not with every GET; it is ours when it names our host.
fn shows_foreign_page(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    authority.is_none() || authority != headers.get(header::HOST).and_then(|host| host.to_str().ok())
}

fn needs_preflight(headers: &HeaderMap) -> bool {
    PREFLIGHTED.iter().any(|name| headers.contains_key(name)) || headers.get(header::CONTENT_TYPE).is_some_and(is_json)
}

fn is_json(content_type: &HeaderValue) -> bool {
    let essence = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// Answers the browsers' questions whether a page may call, and tells them that the page may read the answer.
pub(super) async fn share_with_pages(State(origins): State<AllowedOrigins>, request: Request, next: Next) -> Response {
    let origin = origins.allowed_origin(request.headers());
    let asks = request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if asks { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if asks {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, REMEMBER);
        } else {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(headers: &[(&'static str, &'static str)]) -> bool {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        AllowedOrigins::new(&["https://portal.example".to_owned()]).refuse(&headers)
    }

    #[test]
    fn foreign_pages_are_refused_unless_the_browser_asked_first() {
        let foreign: [&[(&str, &str)]; 6] = [
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site"), ("origin", "https://other.example")],
            &[("origin", "https://other.example"), ("host", "quota.example")],
            &[("origin", "https://quota.example:444"), ("host", "quota.example")],
            &[("origin", "https://portal.example.evil.example"), ("host", "quota.example")],
            &[("origin", "null"), ("host", "quota.example")],
        ];
        for headers in foreign {
            assert!(refused(headers), "{headers:?}");
            for simple in
                [("content-type", "text/plain"), ("content-type", "text/plain; application/json"), ("accept", "application/json")]
            {
                assert!(refused(&[headers, &[simple]].concat()), "{headers:?} {simple:?}");
            }
            for asked in [
                ("x-api-key", "k"),
                ("authorization", "Bearer t"),
                ("graphql-require-preflight", "1"),
                ("content-type", "Application/JSON; charset=utf-8"),
            ] {
                assert!(!refused(&[headers, &[asked]].concat()), "{headers:?} {asked:?}");
            }
        }
    }

    #[test]
    fn programs_our_own_pages_and_allowed_ones_are_let_through() {
        let own: [&[(&str, &str)]; 6] = [
            &[],
            &[("host", "quota.example")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://quota.example"), ("host", "behind-a-proxy:80")],
            &[("sec-fetch-site", "none")],
            &[("origin", "https://quota.example"), ("host", "quota.example")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://portal.example")],
        ];
        for headers in own {
            assert!(!refused(headers), "{headers:?}");
        }
    }
}
