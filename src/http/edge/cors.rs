//! What browsers are told of pages of other servers (Fetch standard, "CORS protocol"): whether one may call, with which headers, and what of
//! an answer it may read.
//!
//! Cookies are never involved, so pages of allowed origins may send whatever headers they like: what a page can say by a header it could
//! say by a program as well.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;

use crate::http::edge::origin::AllowedOrigins;

/// For how long browsers may remember the permission, in seconds: as long as they do at most.
const REMEMBER: HeaderValue = HeaderValue::from_static("7200");
const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET, POST");
/// Allowed whether they are asked for or not, since what browsers remember of one answer serves for the next request.
const ALLOWED_HEADERS: &str = "authorization, content-type, graphql-require-preflight, if-none-match, last-event-id, x-api-key";
const EXPOSED_HEADERS: HeaderValue =
    HeaderValue::from_static("content-disposition, etag, retry-after, www-authenticate, x-request-id");

/// What the answer to a preflight depends on besides the origin.
const ASKED: HeaderValue = HeaderValue::from_static("Access-Control-Request-Method, Access-Control-Request-Headers");

/// Whether a page of a public network may call a server of a private one, as some browsers ask.
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// Who may read an answer.
#[derive(Debug)]
pub(in crate::http) struct Sharing {
    /// The origin of the page, if it may.
    origin: Option<HeaderValue>,
    /// What a preflight asks for.
    asked: Option<Asked>,
}

#[derive(Debug)]
struct Asked {
    /// The names that are allowed, those that are asked for among them.
    headers: HeaderValue,
    private_network: bool,
}

impl Sharing {
    /// For a request with these headers.
    pub fn with(origins: &AllowedOrigins, headers: &HeaderMap) -> Self {
        let asks = headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let asked = asks.then(|| Asked {
            headers: allowed_headers(headers),
            private_network: headers.get(REQUEST_PRIVATE_NETWORK).is_some_and(|asked| asked == "true"),
        });
        Self { origin: origins.find(headers).cloned(), asked }
    }

    /// Tells the browser.
    pub fn tell(self, headers: &mut HeaderMap) {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if self.asked.is_some() {
            headers.append(header::VARY, ASKED);
        }
        let Some(origin) = self.origin else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        match self.asked {
            Some(asked) => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
                headers.insert(header::ACCESS_CONTROL_MAX_AGE, REMEMBER);
                headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.headers);
                if asked.private_network {
                    headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
                }
            }
            None => _ = headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS),
        }
    }
}

fn allowed_headers(headers: &HeaderMap) -> HeaderValue {
    let mut allowed = ALLOWED_HEADERS.to_owned();
    let asked = headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter().filter_map(|names| names.to_str().ok());
    for name in asked.flat_map(|names| names.split(',')).map(str::trim).filter(|name| !name.is_empty()) {
        if !ALLOWED_HEADERS.split(", ").any(|known| known.eq_ignore_ascii_case(name)) {
            allowed.push_str(", ");
            allowed.push_str(name);
        }
    }
    HeaderValue::try_from(allowed).unwrap_or(HeaderValue::from_static(ALLOWED_HEADERS))
}

/// The answer to a browser's question, without what [`Sharing::tell`] adds; `None` when the request is none.
pub(in crate::http) fn answer_preflight(request: &Request) -> Option<Response> {
    let asks = *request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    asks.then(|| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    })
}
