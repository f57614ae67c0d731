//! Where requests go without a proxy, as `NO_PROXY` lists it.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use url::{Host, Url};

/// Places that are reached without a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Exceptions(Vec<Exception>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Exception {
    place: Place,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Everywhere,
    /// A name, and all names below it.
    Name(String),
    /// Addresses.
    Network(IpNet),
}

impl Exceptions {
    /// Reads a list: names, addresses and networks, with commas or blanks between them, each with a port or without. There is no standard of it;
    /// what the common tools write is understood, and what is not is passed over.
    pub(super) fn parse(text: &str) -> Self {
        let entries = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty());
        Self(entries.filter_map(Exception::parse).collect())
    }

    /// Whether what is asked for is reached without a proxy.
    pub(super) fn have(&self, url: &Url) -> bool {
        let (Some(host), port) = (url.host(), url.port_or_known_default()) else { return false };
        self.0.iter().any(|exception| exception.port.is_none_or(|only| Some(only) == port) && exception.place.has(&host))
    }
}

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        // Some write addresses as of pages.
        let entry = entry.split_once("://").map_or(entry, |(_, rest)| rest.split('/').next().unwrap_or_default());
        let at = |place, port| Some(Self { place, port });
        if let Ok(address) = entry.parse::<SocketAddr>() {
            return at(Place::Network(address.ip().into()), Some(address.port()));
        }
        if let Ok(network) = entry.parse::<IpNet>() {
            return at(Place::Network(network), None);
        }
        if let Ok(address) = entry.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return at(Place::Network(address.into()), None);
        }
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        if name == "*" {
            return at(Place::Everywhere, port);
        }
        let name = name.strip_prefix('*').unwrap_or(name).trim_start_matches('.').trim_end_matches('.');
        match Host::parse(name).ok()? {
            Host::Domain(name) => at(Place::Name(name), port),
            Host::Ipv4(address) => at(Place::Network(IpAddr::from(address).into()), port),
            Host::Ipv6(_) => None,
        }
    }
}

impl Place {
    fn has(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Self::Everywhere, _) => true,
            (Self::Name(name), Host::Domain(host)) => {
                let rest = host.trim_end_matches('.').strip_suffix(name.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (Self::Network(network), Host::Ipv4(address)) => network.contains(&IpAddr::from(*address)),
            (Self::Network(network), Host::Ipv6(address)) => network.contains(&IpAddr::from(*address)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_understood_as_the_common_tools_write_it() {
        for (list, reached, not_reached) in [
            (
                "idp.test",
                &["https://idp.test", "http://IDP.test.:81", "https://a.idp.test"][..],
                &["https://xidp.test", "https://test"][..],
            ),
            ("idp.test:8443", &["https://idp.test:8443", "https://a.idp.test:8443"], &["https://idp.test", "https://other:8443"]),
            ("idp.test:443", &["https://idp.test"], &["http://idp.test"]),
            ("idp.test.", &["https://idp.test", "https://idp.test."], &[]),
            (".idp.test", &["https://idp.test", "https://a.idp.test"], &["https://aidp.test"]),
            ("*.idp.test:81", &["http://a.idp.test:81"], &["http://a.idp.test"]),
            ("IDP.Test bücher.example", &["https://idp.test", "https://bücher.example"], &["https://b.example"]),
            ("10.1.2.3:443", &["https://10.1.2.3"], &["http://10.1.2.3", "https://10.1.2.4"]),
            ("10.1.2.3", &["https://10.1.2.3:8443"], &["https://10.1.2.30"]),
            ("10.0.0.0/8", &["https://10.9.9.9"], &["https://11.0.0.0", "https://a.10.0.0.0.example"]),
            ("[::1]:443,2001:db8::/32", &["https://[::1]", "https://[2001:db8::7]"], &["http://[::1]", "https://[2001:db9::7]"]),
            ("[2001:db8::1] ::2", &["https://[2001:db8::1]:81", "https://[::2]"], &["https://[::3]"]),
            ("https://idp.test/jwks", &["https://idp.test"], &["https://jwks"]),
            ("*", &["https://any.example", "http://[::1]"], &[]),
            ("a.example b.example\tc.example,\n d.example", &["https://a.example", "https://b.example", "https://d.example"], &[]),
            (" ,, : :80 idp.test:port a:b:c / //", &[], &["https://idp.test", "http://a"]),
        ] {
            let exceptions = Exceptions::parse(list);
            for (urls, expected) in [(reached, true), (not_reached, false)] {
                for url in urls {
                    assert_eq!(exceptions.have(&url.parse().unwrap()), expected, "{list}: {url}");
                }
            }
        }
    }
}
