//! The proxies by which our own requests leave.

use std::fmt;

use url::Url;

use crate::tls::BuildError;

/// By which proxies requests leave: those to `https` through a tunnel (CONNECT), those to plain `http` as the proxy's own. Nothing that is shown
/// of it holds a password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    for_https: Option<Url>,
    for_http: Option<Url>,
    /// Hosts that are reached without, as `NO_PROXY` lists them.
    except: String,
}

impl Proxies {
    /// All requests leave by one proxy.
    #[must_use]
    pub fn all(proxy: Url) -> Self {
        Self { for_https: Some(proxy.clone()), for_http: Some(proxy), except: String::new() }
    }

    /// Requests leave by different ones, or by none, but for hosts that are listed: names, which stand for all names that end with them, addresses
    /// and networks, with commas between them.
    #[must_use]
    pub fn by_scheme(for_https: Option<Url>, for_http: Option<Url>, except: String) -> Self {
        Self { for_https, for_http, except }
    }

    /// Makes a client use them, and no others.
    ///
    /// # Errors
    /// When the client cannot use one; a sentence without the proxy's address, which may hold a password.
    pub fn set(&self, builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, BuildError> {
        type Make = fn(Url) -> reqwest::Result<reqwest::Proxy>;
        let cannot = |_| BuildError::Transport("the address of the proxy cannot be used".to_owned());
        let kinds: [(&Option<Url>, Make); 2] = [(&self.for_https, reqwest::Proxy::https), (&self.for_http, reqwest::Proxy::http)];
        let mut builder = builder.no_proxy();
        for (url, make) in kinds {
            if let Some(url) = url {
                let proxy = make(url.clone()).map_err(cannot)?;
                builder = builder.proxy(proxy.no_proxy(reqwest::NoProxy::from_string(&self.except)));
            }
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
