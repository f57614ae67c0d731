//! Routes that panic.

use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::get;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower_service::Service as _;

use super::*;

/// The routes of a router.
#[derive(Clone)]
struct Plain(Router);

impl Routes for Plain {
    type Answer = BoxFuture<'static, Response<Body>>;

    fn answer(&self, request: Request<Body>, _: Peer) -> Self::Answer {
        let answer = self.0.clone().call(request);
        async move { answer.await.unwrap_or_else(|never| match never {}) }.boxed()
    }

    fn answers_faults_by(&self) -> AnswerFault {
        |fault| {
            let status = match fault {
                Fault::Head(bad) => bad.status,
                Fault::Panic => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, format!("{fault:?}")).into_response()
        }
    }
}

/// The whole of what comes to a request on a connection of its own, and whether the connection was reset after that.
async fn ask(address: std::net::SocketAddr, path: &str) -> (String, bool) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\nGET /good HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer).await;
    let is_reset = end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
    (String::from_utf8(answer).unwrap(), is_reset)
}

#[tokio::test]
async fn a_panic_is_an_error_of_its_request_alone() {
    async fn panic() -> &'static str {
        tokio::task::yield_now().await;
        panic!("on purpose");
    }
    async fn panic_in_the_middle() -> Body {
        let pieces = stream::iter(["half an answer", "never"]).map(|piece| {
            assert_ne!(piece, "never", "on purpose");
            Ok::<_, Infallible>(Bytes::from(piece))
        });
        Body::from_stream(pieces)
    }
    use futures_util::StreamExt as _;
    let routes = Plain(
        Router::new().route("/good", get(async || "good")).route("/panic", get(panic)).route("/middle", get(panic_in_the_middle)),
    );
    let bound = Bound::bind(&([127, 0, 0, 1], 0).into(), true).await.unwrap();
    let Address::Tcp(address) = bound.addresses()[0] else { panic!("an address") };
    let minute = Duration::from_mins(1);
    let settings = Settings { header_timeout: minute, keep_alive: minute, stall_timeout: minute, connections: 10 };
    let listener = Listener { bound, certificate: None, routes, settings };
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(listener.run(stop.clone()));
    let (answers, is_reset) = ask(address, "/panic").await;
    assert!(answers.starts_with("HTTP/1.1 500 "), "{answers}");
    assert!(answers.contains("\r\n\r\nPanic") && !answers.contains("purpose"), "{answers}");
    assert!(answers.ends_with("good") && !is_reset, "the connection goes on: {answers}");
    let (answers, is_reset) = ask(address, "/middle").await;
    assert!(is_reset, "what is on its way is not sent any more: {answers}");
    assert!(!answers.contains("\r\n0\r\n") && !answers.contains("good"), "it must not look whole: {answers}");
    assert!(ask(address, "/good").await.0.ends_with("good"));
    stop.cancel();
    running.await.unwrap();
}
