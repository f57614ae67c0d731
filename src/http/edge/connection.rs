//! The connection that a request came by, as far as the routes look at it.

use std::net::IpAddr;

use crate::listener::{Peer, Trust};

/// The connection of a request. Routes that the router finds have it among the extensions of the request.
#[derive(Clone, Debug)]
pub(in crate::http) struct Connection {
    /// The address at its other end.
    pub peer: IpAddr,
    /// Whether it has our own TLS.
    pub over_tls: bool,
    /// To be given when whoever is there proves who it is.
    pub trust: Option<Trust>,
}

impl Connection {
    pub fn of(peer: Peer, over_tls: bool) -> Self {
        Self { peer: peer.address.ip().to_canonical(), over_tls, trust: peer.trust }
    }
}
