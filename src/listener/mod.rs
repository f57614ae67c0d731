//! The connections of clients: accepting them, TLS, HTTP/1.1 and HTTP/2, and an end for each one that takes too long.
//!
//! | who waits for what | how long | what then |
//! |---|---|---|
//! | a TLS handshake | 10 s | closed |
//! | the head of a request, the first one counted from the connection on | `server.header_timeout` | closed |
//! | the body of a request | `limits.request_timeout` from the end of its head (`http/request`) | 408 |
//! | the next request | `server.keep_alive` | closed; by HTTP/2 after GOAWAY |
//! | a client that takes nothing of what is sent to it, by any protocol | `limits.stall_timeout` | cut off; by HTTP/2 the stream is reset |
//!
//! None of this needs credentials to hold, and none of it costs a request a timer: see `pulse`. At most `server.connections` are open. When
//! all places are taken, a connection makes room for the next one on which nothing is waited for but its client: a head, more of a body, the
//! next request, the first message of a WebSocket that says who it is, or that answers are taken. The one that has waited longest goes, if it
//! has for a second, and for less when new ones go on waiting; those whose client has proved who it is go last. What is being answered is
//! never closed for it. Until there is room, new ones wait in the system's backlog. So nobody keeps others out by holding connections open,
//! from one address or from many, and no limit for each address is needed, which would fall on everybody behind the same proxy.

mod accept;
mod answering;
mod arriving;
mod bound;
mod connection;
mod files;
mod framing;
mod head;
mod linger;
mod pulse;
mod stream;
mod stream_pulse;
mod streams;
mod sweep;
#[cfg(test)]
mod tests;
mod told;
mod unread;
mod wire;

use std::time::Duration;

pub use self::accept::Listener;
pub use self::answering::{AnswerFault, Fault, Peer, Routes, Trust};
pub use self::bound::{Address, Bound};
pub use self::head::BadHead;

/// The limits on connections.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a client may take to send the head of a request.
    pub header_timeout: Duration,
    /// How long a connection may be idle between requests.
    pub keep_alive: Duration,
    /// How long a client may take nothing of what is sent to it.
    pub stall_timeout: Duration,
    /// Connections at most; see [`fitting_connections`].
    pub connections: usize,
}

/// Raises the limit on open files as far as it may be, and says how many connections there may be: as many as are configured, if the limit
/// allows them, less `reserve` files for connections to others.
pub fn fitting_connections(configured: Option<usize>, reserve: usize) -> usize {
    files::connections(configured, reserve)
}
