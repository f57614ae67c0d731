//! What connections may do, before anybody has proved anything.

mod crowds;
mod ending;
mod heads;
mod http2;
mod slow;
mod sockets;
