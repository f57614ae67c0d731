//! By which hosts the service may be called.
//!
//! Where nobody has to prove anything, a page must not reach the service by a name of its own that it resolves to our address (DNS
//! rebinding): to the browser, page and service are then one server. Such a name stands in `Host`, so only hosts count there that nobody
//! else can have.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use ipnet::IpNet;
use tracing::info;

use crate::graphql::code;
use crate::http::answer::refusal::Refusal;
use crate::http::edge::forwarded::{is_trusted, told_host, told_scheme_is};
use crate::http::edge::origin::SEC_FETCH_SITE;
use crate::origin::{Authority, Host, Origin};

/// Characters of a host that a message or the log repeats at most.
const REPEATED: usize = 200;

/// The hosts that count.
#[derive(Clone, Debug, Default)]
pub struct Hosts(Option<Arc<Only>>);

#[derive(Debug)]
struct Only {
    names: Vec<String>,
    /// Whether addresses count, which no page can have unless it comes from there.
    addresses: bool,
    /// Whether callers need not prove anything.
    unproven: bool,
}

impl Hosts {
    /// All of them.
    #[must_use]
    pub fn any() -> Self {
        Self(None)
    }

    /// `localhost` and the names below it, the addresses of the loopback, and these; with `addresses` all addresses. `unproven` says that
    /// callers need not prove anything: then pages of other hosts may not even call with a browser's permission.
    #[must_use]
    pub fn only(names: Vec<String>, addresses: bool, unproven: bool) -> Self {
        Self(Some(Arc::new(Only { names, addresses, unproven })))
    }

    /// Whether a host counts.
    fn allow(&self, host: &Host) -> bool {
        self.0.as_ref().is_none_or(|only| {
            host.is_loopback()
                || (only.addresses && matches!(host, Host::Address(_)))
                || only.names.iter().any(|name| Host::parse(name).is_some_and(|name| name == *host))
        })
    }

    /// Whether a page of this origin may ask for permission at all.
    pub(in crate::http) fn allow_page(&self, origin: Option<&HeaderValue>) -> bool {
        let Some(origin) = origin.filter(|_| self.0.as_ref().is_some_and(|only| only.unproven)) else { return true };
        origin.to_str().ok().and_then(Origin::parse).is_some_and(|origin| self.allow(&origin.authority.host))
    }

    /// Refuses a request that names another host: in its address, in `Host`, or to a trusted proxy. Each refusal is a line in the audit log.
    pub(in crate::http) fn check(&self, peer: IpAddr, request: &Request, trusted_proxies: &[IpNet]) -> Result<(), Refusal> {
        if self.0.is_none() {
            return Ok(());
        }
        let headers = request.headers();
        let in_address = request.uri().authority().map(axum::http::uri::Authority::as_str);
        let in_headers = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default());
        for named in in_address.into_iter().chain(in_headers) {
            if !Authority::parse(named).is_some_and(|authority| self.allow(&authority.host)) {
                return Err(refuse(named));
            }
        }
        if is_trusted(peer, trusted_proxies)
            && let Some(told) = told_host(headers)
        {
            let named = Authority::parse(&told);
            if !named.is_some_and(|named| self.allow(&named.host) || shows_certificate(request, &named)) {
                return Err(refuse(&told));
            }
        }
        Ok(())
    }
}

/// Whether a proxy was called over TLS, so that its certificate has proved that the name is its own. Of a page that is known by what only
/// browsers say: the metadata of a fetch, which goes to trustworthy addresses alone, or the page's origin.
fn shows_certificate(request: &Request, named: &Authority) -> bool {
    let headers = request.headers();
    let origin = headers.get(header::ORIGIN).and_then(|origin| Origin::parse(origin.to_str().ok()?));
    told_scheme_is(headers, "https") == Some(true)
        || headers.contains_key(SEC_FETCH_SITE)
        || origin.is_some_and(|origin| origin.scheme.eq_ignore_ascii_case("https") && origin.is_of(named))
}

fn refuse(host: &str) -> Refusal {
    let host: String = host.chars().take(REPEATED).collect();
    info!(target: "quotagraph::audit", host, outcome = "FORBIDDEN", "request refused");
    let message = format!(
        "the service may not be called by the host {host:?}; call it by localhost or 127.0.0.1, or add the host to server.hosts to allow it"
    );
    Refusal { code: code::FORBIDDEN, ..Refusal::new(StatusCode::MISDIRECTED_REQUEST, message) }
}
