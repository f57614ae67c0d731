//! TLS: which servers are trusted, and how our own is shown.

mod certificate;
mod client;
mod expiry;

pub use certificate::{Certificate, CertificateError};
pub use client::{BuildError, client_config};
pub use expiry::keep_watching as watch_expiry;
