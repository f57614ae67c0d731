//! Which TLS servers are trusted: those that the machine trusts, and those of one more file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::expiry::warn_of_end;
use crate::{files, shown};

/// Why the client cannot be built. The sentences say what to mend.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The CA file cannot be read or holds no certificate.
    #[error("the CA file {} {problem}", shown::path(path))]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The transport cannot be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Transport(String),
}

/// TLS 1.2 and 1.3 over HTTP/1.1, verified. A machine without any trusted authority can still call plain HTTP; TLS then fails at the call.
pub fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, BuildError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = ca_file {
        for certificate in read_certificates(path)? {
            roots
                .add(certificate)
                .map_err(|error| ca_file_error(path, format!("has a certificate that cannot be used: {error}")))?;
        }
    }
    if roots.is_empty() {
        let errors: Vec<String> = native.errors.iter().map(ToString::to_string).collect();
        tracing::warn!(errors = errors.join("; "), "no trusted certificate authorities on this machine: https endpoints will fail");
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| BuildError::Transport(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let pem = files::read_pem(path).map_err(|problem| ca_file_error(path, problem))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| ca_file_error(path, format!("is not PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(ca_file_error(path, "holds no certificate in PEM form".to_owned()));
    }
    warn_of_end(path, &certificates);
    Ok(certificates)
}

fn ca_file_error(path: &Path, problem: String) -> BuildError {
    BuildError::CaFile { path: path.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_without_certificates_is_refused_with_what_to_mend() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let refusal = |path: &Path| client_config(Some(path)).unwrap_err().to_string();
        assert!(refusal(&path).ends_with("No such file or directory (os error 2)"), "{}", refusal(&path));
        std::fs::write(&path, "not a certificate").unwrap();
        assert!(refusal(&path).ends_with("ca.pem holds no certificate in PEM form"), "{}", refusal(&path));
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(refusal(&path).contains("has a certificate that cannot be used"), "{}", refusal(&path));
    }

    #[test]
    fn without_a_ca_file_the_machines_own_authorities_do() {
        assert!(client_config(None).is_ok());
    }
}
