//! The origins that an operator allows, as the config writes them.

use std::net::IpAddr;

use url::{Host as UrlHost, Url};

/// An origin, or all those below a host: `https://portal.example`, `https://*.portal.example`, `capacitor://localhost`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigin {
    Exact(String),
    /// One label or more, between these.
    Below {
        scheme: String,
        /// A dot, the host, and the port if it is not the scheme's own.
        suffix: String,
    },
}

/// Why a text can never be the origin of a request: a rule and what it is about. It goes on with what was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidOrigin(&'static str);

/// What holds for all of them.
const GENERAL: InvalidOrigin =
    InvalidOrigin("must be origins as browsers send them, such as \"https://portal.example\" or \"http://localhost:3000\"");
const ASTERISK: InvalidOrigin =
    InvalidOrigin("must have an asterisk only for the first labels of an http or https host, such as \"https://*.portal.example\"");
const DEFAULT_PORT: InvalidOrigin =
    InvalidOrigin("must leave out the port that is the scheme's own (443 of https, 80 of http), as browsers do");
const NULL: InvalidOrigin = InvalidOrigin(
    "must not have null, which any page can make its origin by a sandboxed frame; serve the page over http or https and name that origin",
);
const NO_PAGES: InvalidOrigin =
    InvalidOrigin("must have the scheme of the page (http, https or that of an app); pages of other schemes send the origin null");

/// Schemes whose pages have no origin of their own, or that no page has.
const WITHOUT_ORIGIN: [&str; 9] = ["about", "blob", "data", "file", "filesystem", "ftp", "javascript", "ws", "wss"];

impl AllowedOrigin {
    /// Reads an entry of the config. Case does not matter, and a name outside of ASCII is written as browsers send it.
    ///
    /// # Errors
    /// When no request can have this origin, or `*` stands elsewhere than for the first labels of a host.
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        if text.eq_ignore_ascii_case("null") {
            return Err(NULL);
        }
        if text == "*" {
            return Err(ASTERISK);
        }
        let (scheme, rest) = text.split_once("://").ok_or(GENERAL)?;
        let scheme = scheme.to_ascii_lowercase();
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        if !is_scheme {
            return Err(GENERAL);
        }
        if WITHOUT_ORIGIN.contains(&scheme.as_str()) {
            return Err(NO_PAGES);
        }
        match scheme.as_str() {
            "http" | "https" => Self::parse_web(&scheme, rest),
            _ => Self::parse_app(&scheme, rest),
        }
    }

    fn parse_web(scheme: &str, rest: &str) -> Result<Self, InvalidOrigin> {
        let (below, named) = rest.strip_prefix("*.").map_or((false, rest), |named| (true, named));
        if named.contains('*') {
            return Err(ASTERISK);
        }
        if named.chars().any(|c| c.is_whitespace() || c.is_control() || "/?#@\\%".contains(c)) {
            return Err(GENERAL);
        }
        let url: Url = format!("{scheme}://{named}").parse().map_err(|_| GENERAL)?;
        let is_name = match url.host() {
            Some(UrlHost::Domain(name)) if is_name(name) => true,
            // Other ways to write one are read as an address that may be another one than is meant.
            Some(UrlHost::Ipv4(address)) if named.split(':').next() == Some(address.to_string().as_str()) => false,
            Some(UrlHost::Ipv6(_)) => false,
            _ => return Err(GENERAL),
        };
        let port_is_named = named.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        if port_is_named && url.port().is_none() {
            return Err(if named.ends_with(':') { GENERAL } else { DEFAULT_PORT });
        }
        let origin = url.origin().ascii_serialization();
        if !below {
            return Ok(Self::Exact(origin));
        }
        if !is_name {
            return Err(ASTERISK);
        }
        let (scheme, host) = origin.split_once("://").ok_or(GENERAL)?;
        Ok(Self::Below { scheme: format!("{scheme}://"), suffix: format!(".{host}") })
    }

    /// Schemes of apps and of browsers' extensions. Their hosts are texts without further rules.
    fn parse_app(scheme: &str, rest: &str) -> Result<Self, InvalidOrigin> {
        if rest.contains('*') {
            return Err(ASTERISK);
        }
        let is_host = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
        };
        let (host, port) = rest.rsplit_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
        let has_good_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number.to_string() == port));
        let is_address =
            host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(|a| a.parse::<IpAddr>().is_ok());
        if !(is_host(host) || is_address) || !has_good_port {
            return Err(GENERAL);
        }
        Ok(Self::Exact(format!("{scheme}://{rest}")))
    }

    /// Whether the value of an `Origin` is one of those meant.
    #[must_use]
    pub fn matches(&self, origin: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => exact.as_bytes().eq_ignore_ascii_case(origin),
            Self::Below { scheme, suffix } => {
                let (start, end) = (scheme.len(), origin.len().saturating_sub(suffix.len()));
                start < end
                    && origin[..start].eq_ignore_ascii_case(scheme.as_bytes())
                    && origin[end..].eq_ignore_ascii_case(suffix.as_bytes())
                    && origin[start..end].split(|b| *b == b'.').all(is_label)
            }
        }
    }
}

/// Whether this is a name of the DNS, as far as its lengths tell (RFC 1035, section 2.3.4): no other host can be found by it.
fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()))
}

fn is_label(label: &[u8]) -> bool {
    !label.is_empty() && label.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(allowed: &str, origin: &str) -> bool {
        AllowedOrigin::parse(allowed).unwrap_or_else(|e| panic!("{allowed}: {e}")).matches(origin.as_bytes())
    }

    #[test]
    fn an_origin_matches_itself_in_any_spelling_of_the_config() {
        for (allowed, origin) in [
            ("https://portal.example", "https://portal.example"),
            ("HTTPS://Portal.Example", "https://portal.example"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://p\u{f6}rtal.example", "https://xn--prtal-jua.example"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://[0:0::1]", "http://[::1]"),
            ("https://10.0.0.1:8443", "https://10.0.0.1:8443"),
            ("http://portal.example:443", "http://portal.example:443"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("tauri://localhost", "tauri://localhost"),
            ("chrome-extension://gighmmpiobklfepjocnamgkkbiglidom", "chrome-extension://gighmmpiobklfepjocnamgkkbiglidom"),
            ("moz-extension://0f5b2b3c-7d5a-4a52-8f9c-1d7d2f1f0001", "moz-extension://0f5b2b3c-7d5a-4a52-8f9c-1d7d2f1f0001"),
            (
                "safari-web-extension://E2A3F1C0-0000-4000-8000-000000000001",
                "safari-web-extension://E2A3F1C0-0000-4000-8000-000000000001",
            ),
            ("app://quota.example:1", "app://quota.example:1"),
            ("altair://-", "altair://-"),
        ] {
            assert!(matches(allowed, origin), "{allowed} {origin}");
        }
        for (allowed, origin) in [
            ("https://portal.example", "http://portal.example"),
            ("https://portal.example", "https://portal.example:8443"),
            ("https://portal.example", "https://portal.example.evil.example"),
            ("https://portal.example", "https://a.portal.example"),
            ("https://portal.example", "null"),
            ("capacitor://localhost", "ionic://localhost"),
            ("capacitor://localhost", "http://localhost"),
        ] {
            assert!(!matches(allowed, origin), "{allowed} {origin}");
        }
    }

    #[test]
    fn an_asterisk_stands_for_one_label_or_more_and_nothing_else() {
        for origin in
            ["https://a.portal.example", "https://a.b.portal.example", "https://x-1.portal.example", "HTTPS://A.Portal.Example"]
        {
            assert!(matches("https://*.Portal.example", origin), "{origin}");
        }
        for origin in [
            "https://portal.example",
            "https://.portal.example",
            "https://evilportal.example",
            "https://a..portal.example",
            "http://a.portal.example",
            "https://a.portal.example:8443",
            "https://a.portal.example.evil.example",
            "https://evil.example/.portal.example",
            "https://evil.example:443.portal.example",
            "https://evil.example#.portal.example",
            "https://u@a.portal.example",
            "https://a.portal.example/",
            ".portal.example",
            "https://",
            "",
        ] {
            assert!(!matches("https://*.portal.example", origin), "{origin}");
        }
        assert!(matches("http://*.localhost:3000", "http://a.localhost:3000"));
        assert!(!matches("http://*.localhost:3000", "http://a.localhost"));
    }

    #[test]
    fn what_no_request_can_have_is_refused() {
        for (text, reason) in [
            ("", GENERAL),
            ("portal.example", GENERAL),
            ("//portal.example", GENERAL),
            ("://portal.example", GENERAL),
            ("https://", GENERAL),
            ("https://portal.example/", GENERAL),
            ("https://portal.example/app", GENERAL),
            ("https://portal.example?x", GENERAL),
            ("https://portal.example#x", GENERAL),
            ("https://user@portal.example", GENERAL),
            (" https://portal.example", GENERAL),
            ("https://portal.example ", GENERAL),
            ("https://portal .example", GENERAL),
            ("https://a.example, https://b.example", GENERAL),
            ("https://.portal.example", GENERAL),
            ("https://a..example", GENERAL),
            ("https://portal.example:", GENERAL),
            ("https://portal.example:99999", GENERAL),
            ("https://[::1", GENERAL),
            ("1http://portal.example", GENERAL),
            ("https://127.1", GENERAL),
            ("https://0x7f.1", GENERAL),
            ("https://010.0.0.1", GENERAL),
            ("https://1.2.3", GENERAL),
            ("http://2130706433:3000", GENERAL),
            ("https://10.0.0.1.", GENERAL),
            (&format!("https://{}.example", "a".repeat(64)), GENERAL),
            (&format!("https://*.{}.example", "a".repeat(64)), GENERAL),
            (&format!("https://{}example", "a.".repeat(124)), GENERAL),
            ("https://portal.example:443", DEFAULT_PORT),
            ("http://portal.example:80", DEFAULT_PORT),
            ("https://*.portal.example:443", DEFAULT_PORT),
            ("https://[::1]:443", DEFAULT_PORT),
            ("*", ASTERISK),
            ("https://*", ASTERISK),
            ("https://*.", GENERAL),
            ("https://*.*.example", ASTERISK),
            ("https://a.*.example", ASTERISK),
            ("https://portal*.example", ASTERISK),
            ("https://*portal.example", ASTERISK),
            ("https://portal.example:*", ASTERISK),
            ("*://portal.example", GENERAL),
            ("https://*.10.0.0.1", ASTERISK),
            ("chrome-extension://*", ASTERISK),
            ("chrome-extension://abc/", GENERAL),
            ("capacitor://", GENERAL),
            ("capacitor://localhost:080", GENERAL),
            ("null", NULL),
            ("NULL", NULL),
            ("file:///index.html", NO_PAGES),
            ("file://", NO_PAGES),
            ("wss://portal.example", NO_PAGES),
            ("data://x", NO_PAGES),
        ] {
            assert_eq!(AllowedOrigin::parse(text), Err(reason), "{text}");
        }
    }
}
