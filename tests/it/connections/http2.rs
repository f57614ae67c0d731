//! HTTP/2: by ALPN over our TLS, and without where the client knows; and clients that use it against others.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, Response, StatusCode};
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use crate::https::{new_certificate, write};
use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::process::{patiently, until};
use crate::support::subscriber::open;
use crate::support::wire::connect;

/// A connection that is driven by a task, whose outcome is how it ended.
struct Connection {
    send: SendRequest<Bytes>,
    driving: JoinHandle<Result<(), h2::Error>>,
}

impl Connection {
    /// One whose streams may take so many bytes, until more is allowed.
    async fn open(app: &TestApp, window: u32) -> Self {
        let stream = connect(app).await;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window).max_concurrent_reset_streams(100_000).max_send_buffer_size(1 << 20);
        let (send, connection) = builder.handshake(stream).await.unwrap();
        Self { send, driving: tokio::spawn(connection) }
    }

    async fn get(&mut self, path: &str) -> Response<RecvStream> {
        self.send(Request::get(format!("http://localhost{path}")).body(()).unwrap(), None).await.unwrap()
    }

    async fn post(&mut self, query: &str, accept: &str) -> Response<RecvStream> {
        let request = Request::post("http://localhost/graphql").header("content-type", "application/json").header("accept", accept);
        self.send(request.body(()).unwrap(), Some(json!({ "query": query }).to_string())).await.unwrap()
    }

    async fn send(&mut self, request: Request<()>, body: Option<String>) -> Result<Response<RecvStream>, h2::Error> {
        patiently("an answer by HTTP/2", async {
            std::future::poll_fn(|context| self.send.poll_ready(context)).await?;
            let (answer, mut sending) = self.send.send_request(request, body.is_none())?;
            if let Some(body) = body {
                sending.send_data(body.into(), true)?;
            }
            answer.await
        })
        .await
    }
}

/// The whole body, with room made for all of it.
async fn whole(response: Response<RecvStream>) -> Result<Vec<u8>, h2::Error> {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(data) = patiently("data", body.data()).await {
        let data = data?;
        bytes.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len())?;
    }
    Ok(bytes)
}

#[tokio::test]
async fn many_streams_of_events_on_one_connection_do_not_keep_a_request_waiting() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start().await;
    let mut connection = Connection::open(&app, 1 << 20).await;
    let mut events = Vec::new();
    for _ in 0..20 {
        let subscription = "subscription { spaceAllocationChanged { tenant { id } } }";
        events.push(connection.post(subscription, "text/event-stream").await);
    }
    until("all subscriptions", async || open(&app, "sse") == 20).await;
    let answer = connection.post("{ tenant(id: \"a\") { id } }", "application/json").await;
    assert_eq!(whole(answer).await.unwrap(), b"{\"data\":{\"tenant\":{\"id\":\"a\"}}}");
    drop(events);
    until("the end of all subscriptions", async || open(&app, "sse") == 0).await;
    app.stop().await;
}

#[tokio::test]
async fn a_stream_whose_client_makes_no_room_is_reset_and_the_connection_goes_on() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)])
        .await
        .start_with(|config| config.limits.stall_timeout = Duration::from_millis(300))
        .await;
    for window in [0, 1, 20] {
        let mut connection = Connection::open(&app, window).await;
        let mut stalled = connection.post("{ __typename a: __typename b: __typename }", "application/json").await.into_body();
        let mut came = 0;
        let error = loop {
            match patiently("the reset", stalled.data()).await {
                Some(Ok(data)) => came += data.len(),
                Some(Err(error)) => break error,
                None => panic!("the answer came with a window of {window}"),
            }
        };
        assert_eq!((error.reason(), came), (Some(Reason::CANCEL), window as usize));
        // An answer without a body needs no room.
        assert_eq!(connection.get("/none").await.status(), StatusCode::NOT_FOUND);
        assert!(!connection.driving.is_finished());
    }
    app.stop().await;
}

#[tokio::test]
async fn whoever_takes_a_large_answer_piece_by_piece_gets_all_of_it() {
    let tenants = (0..900).map(|number| tenant(&format!("tenant-{number}"), 1, 2)).collect();
    let app = World::new(Database::sqlite(), tenants).await.start().await;
    let query = "{ tenants(first: 1000) { nodes { id name a: name b: name c: name } } }";
    let mut connection = Connection::open(&app, 1000).await;
    let by_http2 = whole(connection.post(query, "application/json").await).await.unwrap();
    assert!(by_http2.len() > 64 * 1024);
    let by_http1: serde_json::Value = app.ask(query).await;
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&by_http2).unwrap(), by_http1);
    app.stop().await;
}

#[tokio::test]
async fn whoever_opens_and_resets_streams_without_end_is_sent_away() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start().await;
    let mut connection = Connection::open(&app, 1 << 20).await;
    let mut given_up = 0;
    while given_up < 100_000 {
        if std::future::poll_fn(|context| connection.send.poll_ready(context)).await.is_err() {
            break;
        }
        let request = Request::get("http://localhost/readyz").body(()).unwrap();
        let Ok((_, mut sending)) = connection.send.send_request(request, false) else { break };
        sending.send_reset(Reason::CANCEL);
        given_up += 1;
        tokio::task::yield_now().await;
    }
    assert!(given_up < 100_000, "all were taken");
    patiently("the end of the connection", connection.driving).await.unwrap().unwrap_err();
    assert_eq!(app.get("/healthz").await.0, 200);
    app.stop().await;
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start().await;
    let mut connection = Connection::open(&app, 1 << 20).await;
    let mut request = Request::get("http://localhost/healthz");
    for number in 0..200 {
        request = request.header(format!("x-{number}"), "x".repeat(1000));
    }
    let answer = connection.send(request.body(()).unwrap(), None).await;
    assert!(answer.as_ref().map_or(true, |answer| answer.status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE), "{answer:?}");
    assert_eq!(app.get("/healthz").await.0, 200);
    app.stop().await;
}

#[tokio::test]
async fn a_host_that_is_not_that_of_the_target_is_refused() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start().await;
    let mut connection = Connection::open(&app, 1 << 20).await;
    for (host, expected) in [("localhost", 200), ("LOCALHOST", 200), ("other", 400), ("a b", 400)] {
        let request = Request::get("http://localhost/healthz").header("host", host).body(()).unwrap();
        assert_eq!(connection.send(request, None).await.unwrap().status(), expected, "{host}");
    }
    app.stop().await;
}

#[tokio::test]
async fn the_end_of_the_service_is_told_and_what_is_under_way_is_answered() {
    let world = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await;
    world.set_behaviour("a", json!({ "delay_ms": 700 }));
    let app = world.start().await;
    let mut connection = Connection::open(&app, 1 << 20).await;
    let mut asking = Connection { send: connection.send.clone(), driving: tokio::spawn(async { Ok(()) }) };
    let answer = tokio::spawn(async move {
        let answer = asking.post("{ tenant(id: \"a\") { spaceAllocation { total } } }", "application/json").await;
        whole(answer).await.unwrap()
    });
    until("the call", async || world.upstream("a").hits() == 1).await;
    app.stop().await;
    assert_eq!(answer.await.unwrap(), b"{\"data\":{\"tenant\":{\"spaceAllocation\":{\"total\":2.0}}}}");
    let late = connection.send(Request::get("http://localhost/healthz").body(()).unwrap(), None).await;
    assert!(late.is_err(), "{late:?}");
}

#[tokio::test]
async fn our_tls_offers_both_and_prefers_http2() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await;
    let certificate = new_certificate();
    let tls = write(folder.path(), &certificate);
    let app = world.start_with(|config| config.server.tls = Some(tls)).await;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.cert.der().clone()).unwrap();
    for (offered, expected) in
        [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1", "h2"], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)]
    {
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = connect(&app).await;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), expected.map(str::as_bytes));
        if expected == Some("h2") {
            let (send, connection) = h2::client::handshake(stream).await.unwrap();
            let mut connection = Connection { send, driving: tokio::spawn(connection) };
            assert_eq!(connection.get("/healthz").await.status(), 200);
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn pings_without_end_between_two_requests_end_the_connection_also_when_their_answers_are_read() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start().await;
    let mut stream = connect(&app).await;
    // GET /healthz, as RFC 7541 writes it.
    let fields = b"\x82\x86\x04\x08/healthz\x01\x09localhost";
    let head = [&[0, 0, u8::try_from(fields.len()).unwrap(), 1, 5, 0, 0, 0, 1], &fields[..]].concat();
    stream.write_all(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..], &head].concat()).await.unwrap();
    let (mut reading, mut writing) = stream.split();
    let pings = b"\0\0\x08\x06\0\0\0\0\0pingpong".repeat(500);
    let flooding = async {
        let mut sent = 0;
        // Ends by the error that a closed connection gives.
        while writing.write_all(&pings).await.is_ok() {
            sent += pings.len();
            assert!(sent < 50 << 20, "pings are taken without end");
        }
    };
    let mut answers = vec![0; 64 * 1024];
    let reading = async {
        let mut taken = 0;
        while let Ok(count @ 1..) = reading.read(&mut answers).await {
            taken += count;
        }
        taken
    };
    let (taken, ()) = patiently("the end of the connection", async { tokio::join!(reading, flooding) }).await;
    assert!(taken > 500 * 17, "the request and the first pings are answered");
    app.stop().await;
}
