//! The upstream: KooDrive's space API, called with signed requests.
//!
//! A call goes through an account's breaker, waits for its turn among the requests to its host, is dated by the host's clock, signed,
//! sent and judged; the verdict decides whether it is repeated.

mod account;
mod breaker;
mod client;
mod connections;
mod dating;
mod exchange;
mod host;
mod judge;
mod rate_limit;
mod request;
mod retry;
mod server_clock;
mod settings;
pub mod signing;
mod threads;
mod verdict;
mod wire;

pub use crate::tls::BuildError;
pub use account::{Account, Credential};
pub use client::{Client, Failure};
pub use request::{ALLOCATION_PATH, SignedRequest, Unsendable};
pub use settings::Settings;
pub use verdict::{Cause, HttpFault, Limit, Verdict};
