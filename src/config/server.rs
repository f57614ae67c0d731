//! `[server]`.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use super::error::Invalid;
use super::listen::Listen;
use super::{duration, text};
use crate::origin::Host;
use crate::quota::TenantId;
use crate::shown;

/// Where the service listens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// An address or a host name and a port, where port 0 takes any free one; or `unix:` and an absolute path. Default `127.0.0.1:8080`.
    pub listen: Listen,
    /// The tenant that a query without an id means. Default: none.
    #[serde(deserialize_with = "text::tenant_id_option")]
    pub default_tenant: Option<TenantId>,
    /// Hosts by which the service may be called, without a port, besides those of the loopback and of `listen`. Default: none, and then any where callers
    /// prove who they are or `[auth]` says that they need not, else no other.
    pub hosts: Vec<String>,
    /// The networks of the proxies in front, whose word is taken on who called them (the limit on failed attempts goes by it), by which host and over which
    /// scheme: `X-Forwarded-For`, `-Host` and `-Proto`, or `Forwarded`. Default: none.
    #[serde(deserialize_with = "text::networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// The certificate to serve https with. Default: plain http, for loopback or behind a proxy.
    pub tls: Option<ServerTls>,
    /// How long a client may take to send the head of a request, the first one counted from the connection on. Default 10 s.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// How long a connection may be idle between requests. Default 75 s.
    #[serde(with = "humantime_serde")]
    pub keep_alive: Duration,
    /// Connections open at the same time; at least 1. Default: as many as the limit on open files allows.
    pub connections: Option<usize>,
    /// How long everything is served on after SIGTERM, while readiness fails already. Default 3 s.
    #[serde(with = "humantime_serde")]
    pub drain_delay: Duration,
    /// How long requests and the collector's writes may take to end after that. Default 10 s.
    #[serde(with = "humantime_serde")]
    pub shutdown_timeout: Duration,
}

/// A certificate and its key, both PEM files; relative to the folder of the config file. Read again when they change.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// The certificate, followed by those that vouch for it.
    pub certificate_file: PathBuf,
    /// The certificate's private key.
    pub key_file: PathBuf,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8080).into(),
            default_tenant: None,
            hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            tls: None,
            header_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            connections: None,
            drain_delay: Duration::from_secs(3),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

impl Server {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        if let Some(host) = self.hosts.iter().find(|host| Host::parse(host).is_none()) {
            let rule = "must be host names such as \"quota.example\", without scheme, port and path";
            return Err(Invalid::found("server.hosts", rule, shown::quoted(host)));
        }
        duration::require_positive("server.header_timeout", self.header_timeout)?;
        duration::require_positive("server.keep_alive", self.keep_alive)?;
        if let Some(connections) = self.connections {
            text::require_within("server.connections", connections, 1..=10_000_000)?;
        }
        duration::require_within("server.drain_delay", self.drain_delay, Duration::ZERO..=Duration::from_hours(24))?;
        duration::require_positive("server.shutdown_timeout", self.shutdown_timeout)
    }
}
