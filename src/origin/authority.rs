//! Hosts with and without ports, and origins, as requests name them.

use std::net::{IpAddr, Ipv6Addr};

/// A host and, if it was named, a port: the value of `Host`, HTTP/2's `:authority`, or what follows `://` in an `Origin`.
#[derive(Clone, Copy, Debug)]
pub struct Authority<'a> {
    pub host: Host<'a>,
    /// The port, if one is named.
    pub port: Option<u16>,
}

/// A host. Two are equal whatever their case, a last dot and the spelling of an address.
#[derive(Clone, Copy, Debug)]
pub enum Host<'a> {
    /// A name, without the last dot.
    Name(&'a str),
    Address(IpAddr),
}

impl<'a> Authority<'a> {
    /// Reads `host`, `host:port`, `[address]` and `[address]:port`. `None` when it is none of them.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (host, rest) = if let Some(bracketed) = text.strip_prefix('[') {
            let (address, rest) = bracketed.split_once(']')?;
            (Host::Address(IpAddr::from(address.parse::<Ipv6Addr>().ok()?).to_canonical()), rest)
        } else {
            let end = text.find(':').unwrap_or(text.len());
            (Host::parse_bare(&text[..end])?, &text[end..])
        };
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
            _ => return None,
        };
        Some(Self { host, port })
    }

    /// Whether both name the same host and port, where the port that is not named is the scheme's own.
    #[must_use]
    pub fn is_same(&self, other: &Self, scheme: &str) -> bool {
        let port = |authority: &Self| authority.port.or_else(|| default_port(scheme));
        self.host == other.host && port(self) == port(other)
    }
}

impl<'a> Host<'a> {
    /// A host without a port; an IPv6 address with its brackets or without.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Some(Self::Address(IpAddr::from(address).to_canonical()));
        }
        Authority::parse(text).filter(|_| text.starts_with('[') || !text.contains(':')).map(|authority| authority.host)
    }

    fn parse_bare(text: &'a str) -> Option<Self> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        is_name.then(|| name.parse().map_or(Self::Name(name), Self::Address))
    }

    /// Whether it means this machine and can be made to mean nothing else: `localhost` and the names below it (RFC 6761 section 6.3), and
    /// the addresses of the loopback.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => {
                let bytes = name.as_bytes();
                let end = &bytes[bytes.len().saturating_sub("localhost".len())..];
                end.eq_ignore_ascii_case(b"localhost") && (bytes.len() == end.len() || bytes[bytes.len() - end.len() - 1] == b'.')
            }
            Self::Address(address) => address.is_loopback(),
        }
    }
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(other)) => one.eq_ignore_ascii_case(other),
            (Self::Address(one), Self::Address(other)) => one == other,
            _ => false,
        }
    }
}

/// The value of an `Origin` that is not `null`.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The scheme, in the case in which it came.
    pub scheme: &'a str,
    /// Host and port.
    pub authority: Authority<'a>,
}

impl<'a> Origin<'a> {
    /// Reads `scheme://host` and `scheme://host:port`.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        Some(Self { scheme, authority: Authority::parse(authority)? })
    }

    /// Whether it is that of a server's own pages, over http or https: the server is called by this host and port.
    #[must_use]
    pub fn is_of(&self, server: &Authority) -> bool {
        default_port(self.scheme).is_some() && self.authority.is_same(server, self.scheme)
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    if scheme.eq_ignore_ascii_case("https") {
        Some(443)
    } else if scheme.eq_ignore_ascii_case("http") {
        Some(80)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_that_of_the_host_whatever_its_spelling() {
        for (origin, host) in [
            ("https://quota.example", "quota.example"),
            ("https://quota.example", "quota.example:443"),
            ("https://quota.example:443", "quota.example"),
            ("HTTPS://Quota.Example", "QUOTA.example:443"),
            ("http://quota.example", "quota.example:80"),
            ("http://quota.example:8080", "quota.example:8080"),
            ("https://quota.example.", "quota.example"),
            ("https://quota.example", "quota.example.:443"),
            ("http://[::1]:8080", "[0:0:0:0:0:0:0:1]:8080"),
            ("http://[::ffff:192.0.2.1]", "192.0.2.1"),
            ("https://[2001:DB8::1]", "[2001:db8::1]:443"),
            ("https://quota.example", "quota.example:"),
        ] {
            assert!(Origin::parse(origin).unwrap().is_of(&Authority::parse(host).unwrap()), "{origin} {host}");
        }
        for (origin, host) in [
            ("https://quota.example", "quota.example:80"),
            ("http://quota.example", "quota.example:443"),
            ("https://quota.example:444", "quota.example"),
            ("https://quota.example.evil.example", "quota.example"),
            ("https://evil.example", "quota.example"),
            ("https://xquota.example", "quota.example"),
            ("capacitor://localhost", "localhost:80"),
            ("capacitor://localhost", "localhost"),
            ("http://127.0.0.1", "[::1]"),
        ] {
            assert!(!Origin::parse(origin).unwrap().is_of(&Authority::parse(host).unwrap()), "{origin} {host}");
        }
    }

    #[test]
    fn what_is_no_host_is_none() {
        for text in [
            "",
            ":",
            ":80",
            ".",
            "a b",
            "a/b",
            "a@b",
            "user@localhost",
            "a:b",
            "a:80:80",
            "a:99999",
            "a:-1",
            "a:+1",
            "[::1",
            "[::1]80",
            "[]",
            "[localhost]",
            "::1",
            "a,b",
            "a\u{e9}",
            "*",
            "a#b",
            "a?b",
            "a\\b",
            "a%62",
        ] {
            assert!(Authority::parse(text).is_none(), "{text}");
        }
        for text in ["", "null", "https:", "https://", "//a", "https://a/", "https://a/b", "https://u@a", "https://a b"] {
            assert!(Origin::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn loopback_is_what_nobody_else_can_name() {
        for (text, expected) in [
            ("localhost", true),
            ("LocalHost:8080", true),
            ("localhost.", true),
            ("app.localhost:3000", true),
            ("127.0.0.1", true),
            ("127.9.8.7:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]", true),
            ("evillocalhost", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("127.0.0.1.nip.io", false),
            ("0.0.0.0:8080", false),
            ("[::]", false),
            ("10.0.0.1", false),
            ("evil.example", false),
            ("l", false),
        ] {
            assert_eq!(Authority::parse(text).unwrap().host.is_loopback(), expected, "{text}");
        }
    }
}
