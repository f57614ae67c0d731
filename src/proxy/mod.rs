//! The proxies by which our own requests leave.

mod exceptions;

use std::fmt;

use url::Url;

use self::exceptions::Exceptions;
use crate::tls::BuildError;

/// By which proxies requests leave: those to `https` through a tunnel (CONNECT), those to plain `http` as the proxy's own. Nothing that is shown
/// of it holds a password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    for_https: Option<Url>,
    for_http: Option<Url>,
    /// What is reached without.
    except: Exceptions,
}

impl Proxies {
    /// All requests leave by one proxy.
    #[must_use]
    pub fn all(proxy: Url) -> Self {
        Self { for_https: Some(proxy.clone()), for_http: Some(proxy), except: Exceptions::default() }
    }

    /// Requests leave by different ones, or by none, but for places that are listed as in `NO_PROXY`: names, which stand for all names below them
    /// too, addresses and networks, each with a port or without.
    #[must_use]
    pub fn by_scheme(for_https: Option<Url>, for_http: Option<Url>, except: &str) -> Self {
        Self { for_https, for_http, except: Exceptions::parse(except) }
    }

    /// The proxy by which a request leaves.
    fn of(&self, url: &Url) -> Option<&Url> {
        let proxy = if url.scheme() == "https" { self.for_https.as_ref() } else { self.for_http.as_ref() };
        proxy.filter(|_| !self.except.have(url))
    }

    /// Makes a client use them, and no others.
    ///
    /// # Errors
    /// When the client cannot use one; a sentence without the proxy's address, which may hold a password.
    pub fn set(&self, builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, BuildError> {
        let mut builder = builder.no_proxy();
        for proxy in [&self.for_https, &self.for_http].into_iter().flatten() {
            // One that cannot be used would be passed by, without a word.
            reqwest::Proxy::all(proxy.clone())
                .map_err(|_| BuildError::Transport("the address of the proxy cannot be used".to_owned()))?;
        }
        if self.for_https.is_some() || self.for_http.is_some() {
            let proxies = self.clone();
            builder = builder.proxy(reqwest::Proxy::custom(move |url| proxies.of(url).cloned()));
        }
        Ok(builder)
    }
}

/// Where a proxy is, without who uses it.
fn place(url: Option<&Url>) -> String {
    url.map_or_else(
        || "none".to_owned(),
        |url| {
            format!("{}://{}:{}", url.scheme(), url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
        },
    )
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies")
            .field("for_https", &place(self.for_https.as_ref()))
            .field("for_http", &place(self.for_http.as_ref()))
            .field("except", &self.except)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_proxy_holds_no_credentials() {
        let shown = format!("{:?}", Proxies::all("http://user:hunter2@proxy.example:3128".parse().unwrap()));
        assert!(shown.contains("http://proxy.example:3128") && !shown.contains("hunter2") && !shown.contains("user"), "{shown}");
    }
}
