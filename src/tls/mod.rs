//! TLS: which servers are trusted.

mod client;

pub use client::{BuildError, client_config};
