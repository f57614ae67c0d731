//! What connections may do, before anybody has proved anything.

mod crowds;
mod heads;
mod http2;
mod slow;
mod sockets;
