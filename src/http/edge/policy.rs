//! Who may call, before anybody asks for credentials.

use std::sync::Arc;

use ipnet::IpNet;

use crate::http::edge::hosts::Hosts;
use crate::http::edge::origin::AllowedOrigins;

/// Who may call.
#[derive(Debug)]
pub struct Policy {
    /// The hosts by which the service may be called.
    pub hosts: Hosts,
    /// The origins whose pages may call.
    pub origins: AllowedOrigins,
    /// The proxies whose word on the caller is taken.
    pub trusted_proxies: Arc<[IpNet]>,
}
