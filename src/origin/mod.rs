//! Web origins and the hosts in them (RFC 6454; RFC 3986 section 3.2): how they are written, when two are the same, and which ones an
//! operator can allow. No I/O.

mod allowed;
mod authority;

pub use allowed::{AllowedOrigin, InvalidOrigin};
pub use authority::{Authority, Host, Origin};
