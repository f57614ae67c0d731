//! What is listened on, as text.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use crate::shown;

/// The longest path of a socket that all systems take, in bytes.
const UNIX_PATH_BYTES: usize = 103;

/// Where to listen: an address, a name that is resolved at the start, or a socket in the file system. Each with its text as [`fmt::Display`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An IP address and a port; port 0 takes any free one.
    Address(SocketAddr),
    /// A host name and a port: all addresses that it resolves to.
    Name {
        /// The name.
        host: String,
        /// The port; 0 takes any free one.
        port: u16,
    },
    /// A socket of this path, which is absolute.
    Unix(PathBuf),
}

/// Why a text is nothing to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidListen {
    /// None of the forms.
    #[error(
        "must be a host and a port, such as \"127.0.0.1:8080\", \"[::1]:8080\" or \"localhost:8080\", or \"unix:\" and an absolute path"
    )]
    Form,
    /// The system takes no such path.
    #[error("must have a path of at most {UNIX_PATH_BYTES} bytes after \"unix:\"")]
    LongPath,
}

impl Listen {
    /// Whether only this machine reaches it, as far as the text says: a loopback address, `localhost` and names below it, a socket.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Address(address) => address.ip().is_loopback(),
            Self::Name { host, .. } => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                host == "localhost" || host.ends_with(".localhost")
            }
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for Listen {
    type Err = InvalidListen;

    fn from_str(text: &str) -> Result<Self, InvalidListen> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                _ if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') => Err(InvalidListen::Form),
                _ if path.len() > UNIX_PATH_BYTES => Err(InvalidListen::LongPath),
                _ => Ok(Self::Unix(PathBuf::from(path))),
            };
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let (host, port) = text.rsplit_once(':').ok_or(InvalidListen::Form)?;
        let is_label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        let labels = host.strip_suffix('.').unwrap_or(host);
        // The last label of a name is no number, or else it would be an address (WHATWG's URL standard).
        let is_name = labels.len() <= 253 && labels.split('.').all(is_label);
        let is_number = labels.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
        let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(port) if is_name && !is_number && is_port => Ok(Self::Name { host: host.to_owned(), port }),
            _ => Err(InvalidListen::Form),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for Listen {
    fn from(address: (I, u16)) -> Self {
        Self::Address(address.into())
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|rule| D::Error::custom(format!("{rule}, found {}", shown::quoted(&text))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_names_and_paths_are_understood_and_shown_as_they_were() {
        for (text, is_local) in [
            ("127.0.0.1:8080", true),
            ("[::1]:0", true),
            ("0.0.0.0:80", false),
            ("[::]:80", false),
            ("localhost:8080", true),
            ("LocalHost.:8080", true),
            ("a.localhost:8080", true),
            ("quota.example:443", false),
            ("my_host-1:1", false),
            ("notlocalhost:1", false),
            ("unix:/run/quotagraph.sock", true),
        ] {
            let listen: Listen = text.parse().unwrap();
            assert_eq!((listen.to_string().as_str(), listen.is_local()), (text, is_local));
        }
        for text in [
            "",
            ":80",
            "localhost",
            "localhost:",
            "localhost:http",
            "localhost:65536",
            "localhost:-1",
            "localhost:+1",
            "a b:1",
            "a..b:1",
            "-:x",
            "http://localhost:80",
            "[::1]",
            "::1:80",
            "1.2.3:80",
            "1.2.3.4.5:80",
            "unix:",
            "unix:relative",
            "unix:/",
            "unix:/run/",
            "UNIX:/run/x",
        ] {
            assert_eq!(text.parse::<Listen>(), Err(InvalidListen::Form), "{text}");
        }
        assert_eq!(format!("unix:/{}", "x".repeat(103)).parse::<Listen>(), Err(InvalidListen::LongPath));
    }
}
