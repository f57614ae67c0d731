//! The upstream: KooDrive's space API, called with signed requests.

mod account;

pub use account::{Account, Credential};
