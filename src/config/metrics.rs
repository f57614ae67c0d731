//! `[metrics]`.

use std::net::SocketAddr;

use serde::Deserialize;

use super::text;

/// Where the figures are shown besides `/metrics` of the service's own address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// An address that has `/metrics` alone and asks nobody who it is; port 0 takes any free one. Default: none.
    #[serde(deserialize_with = "text::socket_address_option")]
    pub listen: Option<SocketAddr>,
}
