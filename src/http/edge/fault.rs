//! What is answered when no route could.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::graphql::code;
use crate::http::answer::Answer;
use crate::http::answer::refusal::Refusal;
use crate::http::edge::security_headers;
use crate::http::negotiation::accept::MediaType;
use crate::listener::Fault;

/// The answer to a fault.
pub(in crate::http) fn answer(fault: Fault) -> Response<Body> {
    write(fault, false)
}

/// The same over our own TLS.
pub(in crate::http) fn answer_over_tls(fault: Fault) -> Response<Body> {
    write(fault, true)
}

/// Writes it in the usual form of errors.
fn write(fault: Fault, is_tls: bool) -> Response<Body> {
    let refusal = match fault {
        Fault::Head(bad) => Refusal::new(bad.status, bad.sentence),
        Fault::Panic => {
            let sentence = "An internal error occurred.";
            Refusal { code: code::INTERNAL, ..Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, sentence) }
        }
    };
    let Answer { status, body, mut headers, .. } = refusal.answer();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MediaType::Json.content_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    security_headers::add(&mut headers, is_tls);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
