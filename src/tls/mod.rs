//! TLS: which servers are trusted, and how our own is shown.

mod certificate;
mod client;

pub use certificate::{Certificate, CertificateError};
pub use client::{BuildError, client_config};
