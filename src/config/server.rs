//! `[server]`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

use super::error::Invalid;
use super::{duration, text};
use crate::quota::TenantId;

/// Where the service listens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port; port 0 takes any free one. Default `127.0.0.1:8080`.
    #[serde(deserialize_with = "text::socket_address")]
    pub listen: SocketAddr,
    /// The tenant that a query without an id means. Default: none.
    #[serde(deserialize_with = "text::tenant_id_option")]
    pub default_tenant: Option<TenantId>,
    /// How long requests and the collector's writes may take to end after SIGTERM. Default 10 s.
    #[serde(with = "humantime_serde")]
    pub shutdown_timeout: Duration,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            default_tenant: None,
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

impl Server {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        duration::require_positive("server.shutdown_timeout", self.shutdown_timeout)
    }
}
