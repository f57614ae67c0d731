//! Our own certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tracing::{error, info, warn};

use super::expiry;
use crate::file_stamp::FileStamp;
use crate::{files, shown};

/// Why a certificate and its key cannot be used. Holds nothing of the key.
#[derive(Debug, thiserror::Error)]
#[error("server.tls: {} {problem}", shown::path(path))]
pub struct CertificateError {
    path: PathBuf,
    problem: String,
}

/// A certificate and its key, by their files. When these change they are read again.
#[derive(Debug)]
pub struct Certificate {
    file: PathBuf,
    key_file: PathBuf,
    stamps: [Option<FileStamp>; 2],
    config: Arc<ServerConfig>,
}

impl Certificate {
    /// Reads the files, both PEM: the certificate followed by those that vouch for it, and its private key.
    ///
    /// # Errors
    /// When a file cannot be read or is not PEM, or the key is not that of the certificate.
    pub fn load(certificate_file: &Path, key_file: &Path) -> Result<Self, CertificateError> {
        let stamps = [certificate_file, key_file].map(FileStamp::of);
        let config = Arc::new(read(certificate_file, key_file)?);
        Ok(Self { file: certificate_file.to_owned(), key_file: key_file.to_owned(), stamps, config })
    }

    /// How to serve TLS now. Looks at the files first, which costs little beside a handshake. A new version that cannot be used is
    /// refused, once; while one file is new and the other not yet, that is so too.
    pub(crate) fn current(&mut self) -> Arc<ServerConfig> {
        let stamps = [&self.file, &self.key_file].map(|file| FileStamp::of(file));
        if stamps != self.stamps {
            self.stamps = stamps;
            match read(&self.file, &self.key_file) {
                Ok(config) => {
                    self.config = Arc::new(config);
                    info!(file = %self.file.display(), "a new certificate is in force");
                }
                Err(refusal) => error!(%refusal, "the new certificate cannot be used; the former one stays in force"),
            }
        }
        Arc::clone(&self.config)
    }
}

fn read(certificate_file: &Path, key_file: &Path) -> Result<ServerConfig, CertificateError> {
    let invalid = |path: &Path, problem: String| CertificateError { path: path.to_owned(), problem };
    let pem = |path: &Path| files::read_pem(path).map_err(|problem| invalid(path, problem));
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem(certificate_file)?)
        .collect::<Result<_, _>>()
        .map_err(|_| invalid(certificate_file, "is not PEM".to_owned()))?;
    if chain.is_empty() {
        return Err(invalid(certificate_file, "holds no certificate in PEM form".to_owned()));
    }
    expiry::warn_of_end(certificate_file, &chain);
    if files::is_open_to_all(key_file) {
        warn!(file = %key_file.display(), "every user of this machine can read the key of the certificate; take that away with chmod o-r");
    }
    let key = PrivateKeyDer::from_pem_slice(&pem(key_file)?).map_err(|error| {
        let problem = if matches!(error, PemError::NoItemsFound) { "holds no private key in PEM form" } else { "is not PEM" };
        invalid(key_file, problem.to_owned())
    })?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| invalid(certificate_file, format!("cannot be used with the key {}: {error}", shown::path(key_file))))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use rcgen::generate_simple_self_signed;

    use super::*;

    #[test]
    fn what_cannot_be_used_is_refused_with_what_to_mend() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (one, other) = (generate_simple_self_signed(["a".into()]).unwrap(), generate_simple_self_signed(["a".into()]).unwrap());
        std::fs::write(path("cert.pem"), one.cert.pem()).unwrap();
        std::fs::write(path("key.pem"), one.signing_key.serialize_pem()).unwrap();
        std::fs::write(path("other.pem"), other.signing_key.serialize_pem()).unwrap();
        std::fs::write(path("text"), "text").unwrap();
        Certificate::load(&path("cert.pem"), &path("key.pem")).unwrap();
        std::fs::write(path("marked.pem"), format!("\u{feff}{}", one.cert.pem())).unwrap();
        std::fs::write(path("marked-key.pem"), format!("\u{feff}{}", one.signing_key.serialize_pem())).unwrap();
        assert!(read(&path("marked.pem"), &path("marked-key.pem")).is_ok(), "with a byte order mark");
        for (certificate, key, expected) in [
            ("none", "key.pem", "none cannot be read: No such file or directory (os error 2)"),
            ("cert.pem", "none", "none cannot be read: No such file or directory (os error 2)"),
            ("text", "key.pem", "text holds no certificate in PEM form"),
            ("cert.pem", "cert.pem", "cert.pem holds no private key in PEM form"),
            ("cert.pem", "other.pem", "KeyMismatch"),
        ] {
            let error = Certificate::load(&path(certificate), &path(key)).unwrap_err().to_string();
            assert!(error.starts_with("server.tls: ") && error.ends_with(expected), "{error}");
        }
    }
}
