//! Pages in browsers: which ones may call, and how the others are kept from making a visitor's browser call (CSRF).
//!
//! Cookies are not used, so a foreign page can never borrow a visitor's rights. What it could borrow is the visitor's place in the
//! network, where that is all that is asked for. The rule: a request that shows a foreign page is refused unless it carries something for
//! which a browser asks permission first, which this service gives to the allowed origins only. A POST always does, since only
//! `application/json` is understood. Requests of programs show no page and are not concerned.
//!
//! Where nobody has to prove anything, pages of hosts that are not ours are refused in any case (`hosts.rs`).

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use tracing::info;

use crate::http::answer::refusal::Refusal;
use crate::http::edge::connection::Connection;
use crate::http::edge::forwarded::{is_trusted, told_host, told_scheme_is};
use crate::http::edge::origin::{SEC_FETCH_SITE, only};
use crate::http::edge::policy::Policy;
use crate::http::request::media_type;
use crate::origin::{Authority, Origin};
use crate::shown;

/// Headers that no browser sends for a page without asking first.
const PREFLIGHTED: [HeaderName; 3] =
    [header::AUTHORIZATION, HeaderName::from_static("x-api-key"), HeaderName::from_static("graphql-require-preflight")];

/// Refuses the request of a foreign page for which no browser has asked permission. Each refusal is a line in the audit log.
pub(in crate::http) fn refuse_foreign_page(policy: &Policy, connection: &Connection, head: &Parts) -> Result<(), Refusal> {
    let headers = &head.headers;
    let (site, origin) = (headers.get(&SEC_FETCH_SITE), headers.get(header::ORIGIN));
    if site.is_none() && origin.is_none() {
        return Ok(());
    }
    let is_own = match site {
        Some(site) => site == "same-origin" || site == "none",
        None => is_own_page(policy, connection, head),
    };
    let asked = || policy.hosts.allow_page(origin) && needs_preflight(headers);
    if is_own || policy.origins.find(headers).is_some() || asked() {
        return Ok(());
    }
    let origin = origin.map(|origin| shown::cut(&String::from_utf8_lossy(origin.as_bytes())).into_owned());
    info!(target: "quotagraph::audit", origin, outcome = "FORBIDDEN", "request refused");
    Err(Refusal::of_foreign_page())
}

/// Whether the page comes from here, as far as its origin tells. Older browsers give no more than that.
fn is_own_page(policy: &Policy, connection: &Connection, head: &Parts) -> bool {
    let headers = &head.headers;
    let Some(origin) = only(headers, &header::ORIGIN).and_then(|origin| Origin::parse(origin.to_str().ok()?)) else { return false };
    let proxied = is_trusted(connection.peer, &policy.trusted_proxies);
    let told = if proxied { told_host(headers) } else { None };
    let called = match (&told, head.uri.authority()) {
        (Some(told), _) => Some(told.as_ref()),
        (None, Some(authority)) => Some(authority.as_str()),
        (None, None) => only(headers, &header::HOST).and_then(|host| host.to_str().ok()),
    };
    if !called.and_then(Authority::parse).is_some_and(|called| origin.is_of(&called)) {
        return false;
    }
    // Who else ends TLS in front, and whether, is not known unless a trusted proxy tells.
    if connection.over_tls && !proxied {
        return origin.scheme.eq_ignore_ascii_case("https");
    }
    !proxied || told_scheme_is(headers, origin.scheme).unwrap_or(true)
}

fn needs_preflight(headers: &HeaderMap) -> bool {
    PREFLIGHTED.iter().any(|name| headers.contains_key(name)) || media_type::is_json(headers)
}
