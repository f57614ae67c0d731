//! Warns of a certificate that has expired, or is about to, or is not valid yet.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::clock::{Clock as _, SharedClock, SystemClock};
use crate::files;

/// A certificate that ends within this is warned of.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
/// How often it is looked at while the service runs.
const LOOK_EVERY: Duration = Duration::from_hours(24);
/// Far beyond the end of any certificate: the last second of the year 9999.
const FAR: u64 = 253_402_300_799;

/// Looks at the certificate in a file once a day, until it is stopped. That it can be read is seen to elsewhere.
pub async fn keep_watching(file: std::path::PathBuf, clock: SharedClock, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let file = file.clone();
        let now = clock.now();
        let look = move || {
            let Ok(pem) = files::read_pem(&file) else { return };
            let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
            warn_of_end_at(&file, &chain, now);
        };
        let _ = tokio::task::spawn_blocking(look).await;
    }
}

/// Warns when one of these certificates has expired or will soon, or is not valid yet.
pub(super) fn warn_of_end(file: &Path, chain: &[CertificateDer<'static>]) {
    warn_of_end_at(file, chain, SystemClock.now());
}

fn warn_of_end_at(file: &Path, chain: &[CertificateDer<'static>], now: Timestamp) {
    let file = file.display();
    if let Some(start) = chain.iter().filter_map(start_of).max().filter(|start| now < *start) {
        warn!(%file, %start, "the certificate is not valid yet; until then it is refused");
    }
    let Some(end) = chain.iter().filter_map(end_of).min() else { return };
    if end <= now {
        warn!(%file, %end, "the certificate has expired; it is refused");
    } else if end.duration_since(now) <= SOON {
        warn!(%file, %end, "the certificate expires within 14 days");
    }
}

/// The last instant at which a certificate is valid, as far as it can be told. The verifier tells it of one that it finds expired.
fn end_of(certificate: &CertificateDer<'static>) -> Option<Timestamp> {
    match judge(certificate, Duration::from_secs(FAR))? {
        CertificateError::ExpiredContext { not_after, .. } => instant(not_after),
        _ => None,
    }
}

/// The first one, told likewise.
fn start_of(certificate: &CertificateDer<'static>) -> Option<Timestamp> {
    match judge(certificate, Duration::ZERO)? {
        CertificateError::NotValidYetContext { not_before, .. } => instant(not_before),
        _ => None,
    }
}

fn instant(time: UnixTime) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(time.as_secs()).ok()?).ok()
}

/// What the verifier finds wrong with a certificate at a time since 1970.
fn judge(certificate: &CertificateDer<'static>, time: Duration) -> Option<CertificateError> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).ok()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
    let name = ServerName::try_from("localhost").ok()?;
    match verifier.verify_server_cert(certificate, &[], &name, &[], UnixTime::since_unix_epoch(time)) {
        Err(Error::InvalidCertificate(error)) => Some(error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_beginning_and_the_end_of_a_certificate_are_found() {
        for names in [vec!["quota.example".to_owned()], vec!["10.0.0.1".to_owned()], Vec::new()] {
            let mut params = CertificateParams::new(names).unwrap();
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2026, 3, 12);
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            assert_eq!(start_of(certificate.der()), Some("2020-01-01T00:00:00Z".parse().unwrap()));
            assert_eq!(end_of(certificate.der()), Some("2026-03-12T00:00:00Z".parse().unwrap()));
        }
        let none = CertificateDer::from(vec![1, 2, 3]);
        assert_eq!((start_of(&none), end_of(&none)), (None, None));
    }
}
