//! The proxies by which our own requests leave: a setting, or the environment's.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use url::Url;

use super::error::ConfigError;
use crate::proxy::Proxies;

const RULE: &str =
    "must be \"none\", or the address of a proxy such as \"http://proxy.example:3128\" or \"https://user:password@proxy.example\"";

/// Hosts that the environment's proxies are never used for.
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";

/// By which proxy requests leave.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum ProxySetting {
    /// By those of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`), if there are any.
    #[default]
    Environment,
    /// By none.
    None,
    /// By this one, wherever they go.
    Through(Url),
}

/// What stands there may hold a password.
impl fmt::Debug for ProxySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("Environment"),
            Self::None => f.write_str("None"),
            Self::Through(url) => f.debug_tuple("Through").field(&Proxies::all(url.clone())).finish(),
        }
    }
}

impl<'de> Deserialize<'de> for ProxySetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "none" => Ok(Self::None),
            text => parse(text).map(Self::Through).ok_or_else(|| D::Error::custom(RULE)),
        }
    }
}

impl ProxySetting {
    /// The proxies that are meant.
    #[must_use]
    pub fn proxies(&self, environment: &Proxies) -> Proxies {
        match self {
            Self::Environment => environment.clone(),
            Self::None => Proxies::default(),
            Self::Through(url) => Proxies::all(url.clone()),
        }
    }
}

/// The proxies of an environment. Loopback is reached without. A plain `HTTP_PROXY` is not believed where `REQUEST_METHOD` is set: there a client of
/// a CGI program may have set it (CVE-2016-5385).
pub(super) fn read_environment(env: &HashMap<String, String>) -> Result<Proxies, ConfigError> {
    let find = |names: [&'static str; 2]| {
        let set = names.into_iter().find_map(|name| Some((name, env.get(name)?)).filter(|(_, value)| !value.trim().is_empty()));
        let read = |(name, value): (&str, &String)| {
            let text = value.trim();
            let url = if text.contains("://") { parse(text) } else { parse(&format!("http://{text}")) };
            let other = "must be the address of an http or https proxy, such as http://proxy.example:3128; set upstream.proxy and auth.jwt.proxy to go by another one, or by \"none\"";
            url.ok_or_else(|| ConfigError::within(name, other))
        };
        set.map(read).transpose()
    };
    let for_https = find(["HTTPS_PROXY", "https_proxy"])?;
    let for_http = if env.contains_key("REQUEST_METHOD") { None } else { find(["HTTP_PROXY", "http_proxy"])? };
    let set = ["NO_PROXY", "no_proxy"].into_iter().filter_map(|name| env.get(name)).find(|list| !list.trim().is_empty());
    let except = match (&for_https, &for_http) {
        (None, None) => String::new(),
        _ => format!("{},{LOOPBACK}", set.map(String::as_str).unwrap_or_default()),
    };
    Ok(Proxies::by_scheme(for_https, for_http, &except))
}

/// The address of a proxy.
fn parse(text: &str) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    let is_plain = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && is_plain).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Proxies, String> {
        let env = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        read_environment(&env).map_err(|error| error.to_string())
    }

    #[expect(clippy::unnecessary_wraps, reason = "a proxy is one that may be missing")]
    fn url(text: &str) -> Option<Url> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn the_environment_names_proxies_by_scheme_and_who_is_reached_without() {
        let expected = |https: Option<Url>, http: Option<Url>, except: &str| {
            let except = if https.is_none() && http.is_none() { String::new() } else { format!("{except}{LOOPBACK}") };
            Ok(Proxies::by_scheme(https, http, &except))
        };
        let none = expected(None, None, "");
        assert_eq!(read(&[]), none);
        assert_eq!(read(&[("HTTPS_PROXY", ""), ("https_proxy", " "), ("NO_PROXY", "a")]), none);
        assert_eq!(read(&[("HTTPS_PROXY", "http://p:1")]), expected(url("http://p:1"), None, ""));
        assert_eq!(read(&[("https_proxy", "p:1"), ("HTTPS_PROXY", "")]), expected(url("http://p:1"), None, ""));
        let both = [("HTTPS_PROXY", "https://p"), ("HTTP_PROXY", "http://q"), ("NO_PROXY", " a.example, *.b.example ,,10.0.0.0/8")];
        assert_eq!(read(&both), expected(url("https://p"), url("http://q"), "a.example,.b.example,10.0.0.0/8,"));
        let lower = [("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", " "), ("no_proxy", "a.example:8443 b.example.")];
        assert_eq!(read(&lower), expected(url("http://p:1"), None, "a.example:8443,b.example,"), "what is empty hides nothing");
        let in_cgi = [("HTTP_PROXY", "http://evil"), ("http_proxy", "http://evil"), ("REQUEST_METHOD", "GET")];
        assert_eq!(read(&in_cgi), none);
        assert_eq!(read(&[("ALL_PROXY", "http://p:1")]), none);
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_repeating_it() {
        for value in ["socks5://user:hunter2@p:1", "ftp://hunter2", "http://", "http://p/hunter2", "http://user:hunter2@p:port"] {
            let refusal = read(&[("HTTPS_PROXY", value)]).unwrap_err();
            assert!(refusal.starts_with("HTTPS_PROXY: must be") && !refusal.contains("hunter2"), "{refusal}");
        }
    }
}
