//! What holds for every request and every answer, whatever route they take: which hosts may be called, what pages of other servers may read
//! (CORS), and the headers that every answer has.
//!
//! It stands around the router and not in it: a layer of the router would cost each request two allocations, and answers that no route has
//! made, such as 404, would be without it.

pub(in crate::http) mod connection;
mod cors;
mod fault;
pub(in crate::http) mod foreign_page;
pub(in crate::http) mod forwarded;
pub(in crate::http) mod hosts;
pub(in crate::http) mod origin;
pub(in crate::http) mod policy;
mod security_headers;

use std::future::{Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use futures_util::future::Either;
use pin_project_lite::pin_project;

use crate::http::answer::refusal::Refusal;
use crate::http::edge::connection::Connection;
use crate::http::edge::cors::{Sharing, answer_preflight};
use crate::http::edge::policy::Policy;
use crate::http::routes::{Routed, Routes};
use crate::listener::{self, AnswerFault, Peer};
use crate::request_id::{self, RequestId};

/// The id of a request, as proxies and clients tell it and read it.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The routes, and around them what holds for all of them.
#[derive(Clone)]
pub struct Edge {
    routes: Routes,
    policy: Arc<Policy>,
    is_tls: bool,
}

impl Edge {
    pub(in crate::http) fn new(routes: Routes, policy: Arc<Policy>) -> Self {
        Self { routes, policy, is_tls: false }
    }

    /// The same for connections with our own TLS.
    #[must_use]
    pub fn over_tls(self) -> Self {
        Self { is_tls: true, ..self }
    }
}

impl listener::Routes for Edge {
    type Answer = Answering;

    fn answer(&self, request: Request, peer: Peer) -> Answering {
        let mut id = given_id(request.headers());
        let mut answering = request_id::within(&mut id, || self.begin(request, peer));
        answering.id = id;
        answering
    }

    fn answers_faults_by(&self) -> AnswerFault {
        if self.is_tls { fault::answer_over_tls } else { fault::answer }
    }
}

impl Edge {
    fn begin(&self, request: Request, peer: Peer) -> Answering {
        let connection = Connection::of(peer, self.is_tls);
        let policy = &*self.policy;
        let sharing = (!policy.origins.is_empty()).then(|| Sharing::with(&policy.origins, request.headers()));
        let refused = policy.hosts.check(connection.peer, &request, &policy.trusted_proxies).err().map(Refusal::respond);
        let made = refused.or_else(|| if sharing.is_some() { answer_preflight(&request) } else { None });
        let answer = made.map_or_else(|| Either::Left(self.routes.answer(request, connection)), |made| Either::Right(ready(made)));
        Answering { answer, sharing, is_tls: self.is_tls, id: RequestId::default() }
    }
}

/// The id that the caller gives; one that is to be made, when it gives none that can be used.
fn given_id(headers: &HeaderMap) -> RequestId {
    // By one walk over the names, most of which differ in length already, and not by two look-ups, each of which hashes a name.
    let (mut given, mut parent) = (None, None);
    for (name, value) in headers {
        match name.as_str() {
            "x-request-id" => given = given.or(Some(value)),
            "traceparent" => parent = parent.or(Some(value)),
            _ => {}
        }
    }
    let id = given.and_then(|id| RequestId::given(id.as_bytes()));
    id.or_else(|| parent.and_then(|parent| RequestId::of_trace(parent.as_bytes()))).unwrap_or_default()
}

pin_project! {
    /// An answer on its way out.
    pub struct Answering {
        #[pin]
        answer: Either<Routed, Ready<Response>>,
        sharing: Option<Sharing>,
        is_tls: bool,
        id: RequestId,
    }
}

impl Future for Answering {
    type Output = Response;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        let this = self.project();
        // Whoever reads the answer is told of a panic as of all else. Its hook has logged it.
        let polled = request_id::within(this.id, || catch_unwind(AssertUnwindSafe(|| this.answer.poll(context))));
        let mut response = match polled {
            Ok(polled) => ready!(polled),
            Err(_) => Refusal::of_panic().respond(),
        };
        // Whoever reports an error can say by which id; that of a good answer of which nothing is logged leads nowhere.
        let is_error = response.status().is_client_error() || response.status().is_server_error();
        let headers = response.headers_mut();
        if let Some(id) = if is_error { Some(this.id.text()) } else { this.id.known().cloned() }
            && let Ok(id) = HeaderValue::from_str(&id)
        {
            headers.insert(X_REQUEST_ID, id);
        }
        security_headers::add(headers, *this.is_tls);
        if let Some(sharing) = this.sharing.take() {
            sharing.tell(headers);
        }
        Poll::Ready(response)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::http::{HeaderMap, StatusCode, Version, header};
    use axum::routing::get;

    use super::hosts::Hosts;
    use super::origin::AllowedOrigins;
    use super::*;
    use crate::listener::Routes as _;

    fn edge(hosts: Hosts) -> Edge {
        let routes = Router::new().route("/", get(|| async { "here" })).route("/panic", get(panic));
        let origins = AllowedOrigins::new(&["https://portal.example".to_owned()]);
        Edge::new(routes.into(), Arc::new(Policy { hosts, origins, trusted_proxies: Arc::new([]) }))
    }

    async fn panic() -> Response {
        panic!("of a test")
    }

    async fn call(edge: Edge, request: axum::http::request::Builder) -> (StatusCode, HeaderMap, String) {
        let response = edge
            .answer(request.body(Body::empty()).unwrap(), Peer { address: SocketAddr::from(([127, 0, 0, 1], 1)), trust: None })
            .await;
        let (head, body) = response.into_parts();
        (head.status, head.headers, String::from_utf8(to_bytes(body, 10_000).await.unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_an_error_that_pages_may_read() {
        let request = || Request::builder().uri("/panic").header("origin", "https://portal.example");
        let (status, headers, body) = call(edge(Hosts::any()).over_tls(), request()).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(body.contains("\"INTERNAL\"") && !body.contains("of a test"), "{body}");
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://portal.example");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::STRICT_TRANSPORT_SECURITY], "max-age=31536000");
        assert_eq!(call(edge(Hosts::any()), Request::builder().uri("/")).await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn the_authority_of_http_2_is_a_host() {
        let only = || edge(Hosts::only(Vec::new(), false, true));
        for (authority, host, expected) in [
            ("localhost:8080", None, StatusCode::OK),
            ("evil.example:8080", None, StatusCode::MISDIRECTED_REQUEST),
            ("localhost:8080", Some("evil.example"), StatusCode::MISDIRECTED_REQUEST),
            ("evil.example:8080", Some("localhost"), StatusCode::MISDIRECTED_REQUEST),
            ("user@localhost", None, StatusCode::MISDIRECTED_REQUEST),
        ] {
            let request = Request::builder().version(Version::HTTP_2).uri(format!("http://{authority}/"));
            let request = host.into_iter().fold(request, |request, host| request.header("host", host));
            assert_eq!(call(only(), request).await.0, expected, "{authority} {host:?}");
        }
        let two = Request::builder().uri("/").header("host", "localhost").header("host", "evil.example");
        assert_eq!(call(only(), two).await.0, StatusCode::MISDIRECTED_REQUEST);
    }
}
