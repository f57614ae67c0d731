//! What proxies tell of the request that they pass on: who called them, by which host, over which scheme. `X-Forwarded-For`, `-Host` and
//! `-Proto`, and `Forwarded` (RFC 7239).
//!
//! Whoever calls may send these headers too, so they count only when the connection comes from a proxy that is trusted. Where a header of
//! the first kind is there, the part of `Forwarded` that says the same is not looked at: proxies that know one of them pass the other on
//! as the caller sent it.

use std::borrow::Cow;
use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Whether this is the address of a trusted proxy.
pub(in crate::http) fn is_trusted(address: IpAddr, trusted_proxies: &[IpNet]) -> bool {
    trusted_proxies.iter().any(|network| network.contains(&address))
}

/// The address that a request comes from, if `peer` is at the other end of its connection.
///
/// Each proxy adds to the end who called it, so it is read from there, as long as those who wrote it are trusted: what stands further left
/// may be made up by the caller.
pub(in crate::http) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> IpAddr {
    if !is_trusted(peer, trusted_proxies) {
        return peer;
    }
    if headers.contains_key(X_FORWARDED_FOR) {
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let entries = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        return first_untrusted(peer, entries.map(|entry| parse_address(entry.trim())), trusted_proxies);
    }
    let elements = forwarded(headers);
    let entries = elements.iter().rev().map(|element| element.for_node.as_deref().and_then(parse_address));
    first_untrusted(peer, entries, trusted_proxies)
}

/// The first address that is no trusted proxy's, or the last one that is told, from the nearest proxy on.
fn first_untrusted(peer: IpAddr, entries: impl Iterator<Item = Option<IpAddr>>, trusted_proxies: &[IpNet]) -> IpAddr {
    let mut address = peer;
    for entry in entries {
        // A proxy that hides or garbles who called it stands for its callers.
        let Some(told) = entry else { break };
        address = told;
        if !is_trusted(address, trusted_proxies) {
            break;
        }
    }
    address
}

/// An address, with or without a port.
fn parse_address(entry: &str) -> Option<IpAddr> {
    let bare = entry.parse().ok();
    let bracketed = || entry.strip_prefix('[')?.split_once(']').map(|(address, _port)| address)?.parse().ok();
    let with_port = || entry.split_once(':').map(|(address, _port)| address)?.parse().ok();
    bare.or_else(bracketed).or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

/// The host and the port by which the nearest proxy was called, if it tells. Proxies add to the end, or replace what was there.
pub(in crate::http) fn told_host(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    if headers.contains_key(X_FORWARDED_HOST) {
        let line = headers.get_all(X_FORWARDED_HOST).iter().next_back()?.to_str().ok()?;
        return line.rsplit(',').next().map(str::trim).map(Cow::Borrowed);
    }
    forwarded(headers).pop()?.host
}

/// Whether the proxies tell that they were called over this scheme, if they tell. Where several say different things, each may be right: it
/// depends on which of them ends TLS.
pub(in crate::http) fn told_scheme_is(headers: &HeaderMap, scheme: &str) -> Option<bool> {
    let is_it = |told: &str| {
        let told = match told.trim() {
            // Of a WebSocket some tell its own.
            told if told.eq_ignore_ascii_case("wss") => "https",
            told if told.eq_ignore_ascii_case("ws") => "http",
            told => told,
        };
        told.eq_ignore_ascii_case(scheme)
    };
    if headers.contains_key(X_FORWARDED_PROTO) {
        let lines = headers.get_all(X_FORWARDED_PROTO).iter().filter_map(|line| line.to_str().ok());
        return Some(lines.flat_map(|line| line.split(',')).any(is_it));
    }
    let told: Vec<_> = forwarded(headers).into_iter().filter_map(|element| element.proto).collect();
    (!told.is_empty()).then(|| told.iter().any(|told| is_it(told)))
}

/// What one proxy tells in `Forwarded`.
#[derive(Debug, Default, PartialEq)]
struct Element<'a> {
    for_node: Option<Cow<'a, str>>,
    host: Option<Cow<'a, str>>,
    proto: Option<Cow<'a, str>>,
}

/// The elements of all lines; none when one of them is not understood, since a quote that a caller leaves open swallows what a proxy adds.
fn forwarded(headers: &HeaderMap) -> Vec<Element<'_>> {
    let mut elements = Vec::new();
    for line in headers.get_all(header::FORWARDED) {
        match line.to_str().ok().and_then(parse_forwarded) {
            Some(more) => elements.extend(more),
            None => return Vec::new(),
        }
    }
    elements
}

/// Reads a line of `Forwarded` (RFC 7239 section 4). `None` when it is not well-formed.
fn parse_forwarded(line: &str) -> Option<Vec<Element<'_>>> {
    let mut elements = vec![Element::default()];
    let mut rest = line.trim();
    while !rest.is_empty() {
        if let Some(next) = rest.strip_prefix(',') {
            elements.push(Element::default());
            rest = next.trim_start();
            continue;
        }
        if let Some(next) = rest.strip_prefix(';') {
            rest = next.trim_start();
            continue;
        }
        let (name, value) = rest.split_once('=')?;
        if !is_token(name) {
            return None;
        }
        let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
            unquote(quoted)?
        } else {
            let (bare, after) = value.split_at(value.find([',', ';', ' ', '\t']).unwrap_or(value.len()));
            (Cow::Borrowed(bare), after)
        };
        rest = after.trim_start();
        if !rest.is_empty() && !rest.starts_with([',', ';']) {
            return None;
        }
        let element = elements.last_mut()?;
        let place = match () {
            () if name.eq_ignore_ascii_case("for") => &mut element.for_node,
            () if name.eq_ignore_ascii_case("host") => &mut element.host,
            () if name.eq_ignore_ascii_case("proto") => &mut element.proto,
            () => continue,
        };
        // Each may occur once.
        if place.replace(value).is_some() {
            return None;
        }
    }
    Some(elements)
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// What stands up to the closing quote, and what follows it.
fn unquote(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    if text[end..].starts_with('"') {
        return Some((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let mut value = text[..end].to_owned();
    let mut rest = text[end..].char_indices();
    while let Some((place, c)) = rest.next() {
        match c {
            '"' => return Some((Cow::Owned(value), &text[end + place + 1..])),
            '\\' => value.push(rest.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), line.parse().unwrap())).collect()
    }

    #[test]
    fn the_address_is_the_right_most_that_no_trusted_proxy_has() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (peer, lines, expected) in [
            ("192.0.2.1", &["203.0.113.7"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", &["::ffff:203.0.113.7"], "203.0.113.7"),
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
            let address = client_address(peer.parse().unwrap(), &headers(&X_FORWARDED_FOR, lines), &trusted);
            assert_eq!(address, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
        for (peer, lines, expected) in [
            ("192.0.2.1", &["for=203.0.113.7"][..], "192.0.2.1"),
            ("10.0.0.1", &["for=203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", &["For=\"203.0.113.7:4711\";proto=https;by=10.0.0.1"], "203.0.113.7"),
            ("10.0.0.1", &["for=1.1.1.1, for=203.0.113.7;host=a, for=10.0.0.2"], "203.0.113.7"),
            ("10.0.0.1", &["for=1.1.1.1", "for=203.0.113.7", "for=10.0.0.2"], "203.0.113.7"),
            ("10.0.0.1", &["for=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17"),
            ("10.0.0.1", &["for=\"[2001:db8:cafe::17]\";by=\"_x, for=1.1.1.1\""], "2001:db8:cafe::17"),
            ("10.0.0.1", &["for=203.0.113.7, for=unknown"], "10.0.0.1"),
            ("10.0.0.1", &["for=203.0.113.7, for=_hidden, for=10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["for=203.0.113.7, host=a"], "10.0.0.1"),
            ("10.0.0.1", &["for=1.1.1.1;x=\", for=203.0.113.7"], "10.0.0.1"),
            ("10.0.0.1", &["for=1.1.1.1;for=203.0.113.7"], "10.0.0.1"),
            ("10.0.0.1", &["garbage"], "10.0.0.1"),
        ] {
            let address = client_address(peer.parse().unwrap(), &headers(&header::FORWARDED, lines), &trusted);
            assert_eq!(address, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
        let mut both = headers(&X_FORWARDED_FOR, &["203.0.113.7"]);
        both.insert(header::FORWARDED, "for=1.1.1.1".parse().unwrap());
        assert_eq!(client_address("10.0.0.1".parse().unwrap(), &both, &trusted), "203.0.113.7".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn the_host_is_the_one_that_the_nearest_proxy_tells() {
        for (name, lines, expected) in [
            (X_FORWARDED_HOST, &["quota.example"][..], Some("quota.example")),
            (X_FORWARDED_HOST, &["evil.example, quota.example:8443"], Some("quota.example:8443")),
            (X_FORWARDED_HOST, &["evil.example", "quota.example"], Some("quota.example")),
            (X_FORWARDED_HOST, &[], None),
            (header::FORWARDED, &["host=quota.example"], Some("quota.example")),
            (header::FORWARDED, &["for=1.1.1.1;Host=\"quota.example:8443\""], Some("quota.example:8443")),
            (header::FORWARDED, &["host=evil.example, host=\"[2001:db8::1]:443\";proto=https"], Some("[2001:db8::1]:443")),
            (header::FORWARDED, &["host=\"quota\\.example\""], Some("quota.example")),
            (header::FORWARDED, &["host=evil.example;x=\", host=quota.example"], None),
            (header::FORWARDED, &["host=evil.example, for=1.1.1.1"], None),
        ] {
            assert_eq!(told_host(&headers(&name, lines)).as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn the_scheme_is_one_of_those_that_the_proxies_tell() {
        for (name, lines, https) in [
            (X_FORWARDED_PROTO, &["https"][..], Some(true)),
            (X_FORWARDED_PROTO, &["WSS"], Some(true)),
            (X_FORWARDED_PROTO, &["http"], Some(false)),
            (X_FORWARDED_PROTO, &["https, http"], Some(true)),
            (X_FORWARDED_PROTO, &["http", "https"], Some(true)),
            (X_FORWARDED_PROTO, &[], None),
            (header::FORWARDED, &["proto=https;host=a"], Some(true)),
            (header::FORWARDED, &["proto=http"], Some(false)),
            (header::FORWARDED, &["for=1.1.1.1"], None),
        ] {
            assert_eq!(told_scheme_is(&headers(&name, lines), "https"), https, "{lines:?}");
        }
    }
}
