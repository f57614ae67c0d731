//! Why the service could not start or did not end well.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use crate::access::JwksError;
use crate::config::Listen;
use crate::http::{self};
use crate::koodrive::{self};
use crate::store::StoreError;
use crate::tls::CertificateError;

/// Why the service could not start or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; {} with server.listen", advise(source))]
    Listen {
        /// What was to be listened on.
        address: Listen,
        /// The system's reason.
        source: io::Error,
    },
    /// The address for the figures cannot be listened on.
    #[error("cannot listen on {address}: {source}; {} with metrics.listen", advise(source))]
    ListenForMetrics {
        /// Of the listener.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The threads for what takes long cannot be started.
    #[error("cannot start threads: {0}; raise the limit on processes")]
    Threads(#[source] io::Error),
    /// The upstream client cannot be made.
    #[error(transparent)]
    Client(#[from] koodrive::BuildError),
    /// The keys that verify tokens cannot be used.
    #[error(transparent)]
    TokenKeys(#[from] JwksError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The file of trusted documents cannot be used.
    #[error("graphql.trusted_documents_file: {0}")]
    Documents(#[from] http::ManifestError),
    /// The database cannot be used.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A task failed; its panic is in the log.
    #[error("the service stopped because its {0} failed; the log says why")]
    TaskFailed(&'static str),
    /// Not everything could be written before the time to shut down was over.
    #[error("the service stopped before everything observed was written, because the database did not answer in time")]
    Unwritten,
}

/// What to do about an address that cannot be listened on.
fn advise(cause: &io::Error) -> &'static str {
    match cause.kind() {
        ErrorKind::AddrInUse => "stop what listens there or choose another address",
        ErrorKind::AddrNotAvailable => "choose an address that this machine has",
        ErrorKind::PermissionDenied => "only a privileged user may do that: choose another address, such as a port from 1024 on,",
        _ => "choose another address",
    }
}
