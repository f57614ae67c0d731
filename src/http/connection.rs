//! The connection that a request came by, as far as the routes look at it.

use std::net::{IpAddr, SocketAddr};

/// The connection of a request. Routes that the router finds have it among the extensions of the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    /// The address at its other end.
    pub peer: IpAddr,
    /// Whether it has our own TLS.
    pub over_tls: bool,
}

impl Connection {
    pub fn of(peer: SocketAddr, over_tls: bool) -> Self {
        Self { peer: peer.ip().to_canonical(), over_tls }
    }
}
