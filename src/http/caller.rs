//! Who calls, as far as the connection and the request's headers tell.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use super::HttpState;
use super::refusal::Refusal;
use crate::access::{Credentials, View};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address that the request of a head comes from; see [`client_address`].
pub(super) fn address_of(head: &Parts, trusted_proxies: &[IpNet]) -> IpAddr {
    // The server notes the peer of every connection.
    let peer = head.extensions.get().map(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| peer.ip());
    client_address(peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), &head.headers, trusted_proxies)
}

/// Lets the caller in, before anything of the request is read.
pub(super) async fn admit(state: &HttpState, head: &Parts) -> Result<View, Refusal> {
    if state.origins.refuse(&head.headers) {
        return Err(Refusal::of_foreign_page());
    }
    let address = address_of(head, &state.trusted_proxies);
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

/// The address that a request comes from. Each proxy adds to the end of `X-Forwarded-For` who called it, so it is read from there, as
/// long as those who wrote it are trusted: what stands further left may be made up by the caller.
fn client_address(peer: IpAddr, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted_proxies.iter().any(|network| network.contains(&address));
    let mut address = peer.to_canonical();
    if !is_trusted(address) {
        return address;
    }
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    for entry in lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',')) {
        // A proxy that hides or garbles who called it stands for its callers.
        let Some(forwarded) = parse_address(entry.trim()) else { break };
        address = forwarded;
        if !is_trusted(address) {
            break;
        }
    }
    address
}

/// An address, with or without a port.
fn parse_address(entry: &str) -> Option<IpAddr> {
    let bare = entry.parse().ok().or_else(|| entry.parse().ok().map(|socket: std::net::SocketAddr| socket.ip()));
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    bare.or_else(bracketed).map(|address: IpAddr| address.to_canonical())
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

    #[test]
    fn the_address_is_the_right_most_that_no_trusted_proxy_has() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (peer, lines, expected) in [
            ("192.0.2.1", &["203.0.113.7"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7"], "203.0.113.7"),
            ("::ffff:10.0.0.1", &["::ffff:203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.7,10.0.0.2"], "203.0.113.7"),
            ("10.0.0.1", &["1.1.1.1", "203.0.113.7", "10.0.0.2"], "203.0.113.7"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["203.0.113.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7, secret, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["203.0.113.7:4711"], "203.0.113.7"),
            ("fd00::1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("fd00::1", &["[2001:db8::7]"], "2001:db8::7"),
            ("10.0.0.1", &[""], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(X_FORWARDED_FOR, line.parse().unwrap());
            }
            let address = client_address(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(address, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
    }
}
