//! Reading fields from text, and rules that several sections share.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use url::{Host, ParseError, Url};

use super::error::Invalid;
use crate::quota::TenantId;
use crate::shown;

/// Reads an address and a port.
fn socket_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let rule = "must be an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"";
    text.parse().map_err(|_| D::Error::custom(format!("{rule}, found {}", shown::quoted(&text))))
}

/// Reads an address and a port where there may be none.
pub(super) fn socket_address_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    socket_address(deserializer).map(Some)
}

/// Reads networks; an address alone is a network of one.
pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let rule = "must be networks such as \"10.0.0.0/8\" or addresses such as \"192.0.2.1\"";
    let parse = |text: String| {
        let network = text.parse().or_else(|_| text.parse().map(|address: IpAddr| IpNet::from(address)));
        network.map_err(|_| D::Error::custom(format!("{rule}, found {}", shown::quoted(&text))))
    };
    Vec::<String>::deserialize(deserializer)?.into_iter().map(parse).collect()
}

/// Reads a tenant's id.
pub(super) fn tenant_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TenantId, D::Error> {
    let text = String::deserialize(deserializer)?;
    let rule = "must be 1 to 64 characters of A-Z a-z 0-9 . _ -";
    text.parse().map_err(|_| D::Error::custom(format!("{rule}, found {}", shown::quoted(&text))))
}

/// Reads a tenant's id where there may be none.
pub(super) fn tenant_id_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TenantId>, D::Error> {
    tenant_id(deserializer).map(Some)
}

/// Reads a text that is not to be printed.
pub(super) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

/// Refuses a number outside of the range.
pub(super) fn require_within<T: PartialOrd + Display>(field: &str, value: T, range: RangeInclusive<T>) -> Result<(), Invalid> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Invalid::found(field, format!("must be between {} and {}", range.start(), range.end()), value))
}

/// Refuses what cannot be a header's value without quoting: an empty text, blanks, and characters outside of visible ASCII.
pub(super) fn require_visible_ascii(field: &str, value: &str) -> Result<(), Invalid> {
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Invalid::found(field, "must be one or more visible ASCII characters without spaces", shown::quoted(value)))
}

/// Reads a URL. It is not repeated in the error: it may hold a password.
pub(super) fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|error| {
        // "relative URL without a base" says to nobody that the scheme is missing.
        let why = if error == ParseError::RelativeUrlWithoutBase { String::new() } else { format!(": {error}") };
        D::Error::custom(format!("must be a URL such as \"https://koodrive.example\"{why}"))
    })
}

/// Reads a URL where there may be none.
pub(super) fn url_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    url(deserializer).map(Some)
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
