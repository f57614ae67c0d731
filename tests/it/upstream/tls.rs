//! TLS is verified, by the machine's authorities and by those of the CA file.

use std::net::SocketAddr;
use std::sync::Arc;

use quotagraph::koodrive::{Account, Cause, Client, Failure, Settings, Verdict};
use quotagraph::metrics::UpstreamMetrics;
use quotagraph::quota::SpaceAllocation;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::{World, quick};

/// A TLS server for `localhost` in front of another address.
pub(super) async fn serve_tls(to: SocketAddr, certificate: &CertifiedKey<KeyPair>) -> u16 {
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut from = acceptor.accept(connection).await?;
                tokio::io::copy_bidirectional(&mut from, &mut TcpStream::connect(to).await?).await
            });
        }
    });
    port
}

async fn call_over_tls(host: &str, trusted: bool) -> Result<SpaceAllocation, Failure> {
    let world = World::of(1, quick()).await;
    let certificate = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let port = serve_tls(world.simulator.addr(), &certificate).await;
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, certificate.cert.pem()).unwrap();
    let settings = Settings { ca_file: trusted.then_some(ca_file), ..quick() };
    let metrics = UpstreamMetrics::register(&mut prometheus_client::registry::Registry::default());
    let client = Client::new(&settings, Arc::new(world.our_clock.clone()), metrics).unwrap();
    let endpoint = format!("https://{host}:{port}").parse().unwrap();
    client.space_allocation(&Account { endpoint, ..world.account(0) }).await
}

#[tokio::test]
async fn a_server_that_the_ca_file_vouches_for_is_trusted() {
    assert_eq!(call_over_tls("localhost", true).await.unwrap().allocated_gb(), 1000);
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_gets_no_request() {
    for (host, trusted) in [("localhost", false), ("127.0.0.1", true)] {
        let failure = call_over_tls(host, trusted).await.unwrap_err();
        let Verdict::Unreachable { cause: Cause::Connection(text), .. } = &failure.verdict else { panic!("{failure}") };
        assert!(text.contains("certificate"), "{text}");
    }
}

#[tokio::test]
async fn why_there_is_no_connection_is_said_in_few_words() {
    let world = World::of(1, quick()).await;
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let plain = world.simulator.addr();
    for (endpoint, expected) in [
        (format!("https://{plain}"), "no connection: it does not speak TLS"),
        (format!("http://{unused}"), "no connection: Connection refused (os error 111)"),
    ] {
        let failure = world.client.space_allocation(&Account { endpoint: endpoint.parse().unwrap(), ..world.account(0) }).await;
        let Verdict::Unreachable { cause: Cause::Connection(text), .. } = failure.unwrap_err().verdict else {
            panic!("{endpoint}")
        };
        assert_eq!(text, expected, "{endpoint}");
    }
}
