//! The service over TLS.

use std::path::Path;
use std::time::Duration;

use quotagraph::app::{App, AppError};
use quotagraph::config::{Config, ServerTls};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::wire::{connect, rest};

pub fn new_certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

pub fn write(folder: &Path, certificate: &CertifiedKey<KeyPair>) -> ServerTls {
    let tls = ServerTls { certificate_file: folder.join("certificate.pem"), key_file: folder.join("key.pem") };
    std::fs::write(&tls.certificate_file, certificate.cert.pem()).unwrap();
    std::fs::write(&tls.key_file, certificate.signing_key.serialize_pem()).unwrap();
    tls
}

/// Whether the service shows this certificate to somebody who connects now.
async fn shows(app: &TestApp, certificate: &CertifiedKey<KeyPair>) -> bool {
    let root = reqwest::Certificate::from_der(certificate.cert.der()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
    let url = app.base.replace("http://127.0.0.1", "https://localhost") + "/graphql?query=%7B__typename%7D";
    match client.get(url).send().await {
        Ok(response) => {
            assert_eq!(response.headers()["strict-transport-security"], "max-age=31536000");
            assert_eq!(response.text().await.unwrap(), "{\"data\":{\"__typename\":\"Query\"}}");
            true
        }
        Err(_) => false,
    }
}

#[tokio::test]
async fn heads_that_cannot_be_read_are_refused_with_the_headers_of_every_answer() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let certificate = new_certificate();
    let tls = write(folder.path(), &certificate);
    let app = world.start_with(|config| config.server.tls = Some(tls)).await;
    let root = reqwest::Certificate::from_der(certificate.cert.der()).unwrap();
    let client = reqwest::Client::builder().no_proxy().http1_only().tls_certs_only([root]).build().unwrap();
    let base = app.base.replace("http://127.0.0.1", "https://localhost");
    for (request, expected) in [
        (client.get(format!("{base}/healthz")).header("X-A", "a".repeat(300_000)), 431),
        (client.get(format!("{base}/healthz")).header("Host", "a b"), 400),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), expected);
        assert_eq!(response.headers()["strict-transport-security"], "max-age=31536000", "{expected}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff", "{expected}");
        assert!(response.text().await.unwrap().contains("\"message\":"), "{expected}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_new_certificate_is_in_force_at_once_and_a_bad_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let (first, second) = (new_certificate(), new_certificate());
    let tls = write(folder.path(), &first);
    let app = world.start_with(|config| config.server.tls = Some(tls.clone())).await;
    assert!(shows(&app, &first).await);
    assert!(!shows(&app, &second).await);

    // Half of the new one: the key is not there yet.
    std::fs::write(&tls.certificate_file, second.cert.pem()).unwrap();
    assert!(shows(&app, &first).await);
    std::fs::write(&tls.key_file, second.signing_key.serialize_pem()).unwrap();
    assert!(shows(&app, &second).await);
    assert!(!shows(&app, &first).await);

    std::fs::write(&tls.certificate_file, "rubbish").unwrap();
    assert!(shows(&app, &second).await);
    std::fs::remove_file(&tls.key_file).unwrap();
    assert!(shows(&app, &second).await);
    write(folder.path(), &first);
    assert!(shows(&app, &first).await);
    app.stop().await;
}

#[tokio::test]
async fn somebody_who_does_not_speak_tls_delays_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let certificate = new_certificate();
    let tls = write(folder.path(), &certificate);
    let app = world.start_with(|config| config.server.tls = Some(tls)).await;
    let silent = TcpStream::connect(app.base.trim_start_matches("http://")).await.unwrap();
    assert!(app.client.get(format!("{}/healthz", app.base)).send().await.is_err(), "plain http is not answered");
    assert!(shows(&app, &certificate).await);
    app.stop().await;
    let mut silent = silent;
    assert_eq!(silent.read(&mut [0]).await.unwrap_or_default(), 0, "the end closes it");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    let tls = write(folder.path(), &new_certificate());
    std::fs::write(&tls.key_file, new_certificate().signing_key.serialize_pem()).unwrap();
    config.server.tls = Some(tls);
    let world = World::new(Database::sqlite(), Vec::new()).await;
    let built = App::build(&config, Vec::new(), world.database.open().await, std::sync::Arc::new(world.clock.clone())).await;
    assert!(matches!(built, Err(AppError::Certificate(_))));
}

#[tokio::test]
async fn a_handshake_that_does_not_come_to_its_end_ends_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    let certificate = new_certificate();
    let tls = write(folder.path(), &certificate);
    let app = world
        .start_with(|config| {
            config.server.tls = Some(tls);
            config.server.header_timeout = Duration::from_millis(300);
        })
        .await;
    // Nothing, and the beginning of a client's first message.
    for began in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = connect(&app).await;
        stream.write_all(began).await.unwrap();
        rest(&mut stream).await;
    }
    assert!(shows(&app, &certificate).await);
    app.stop().await;
}
