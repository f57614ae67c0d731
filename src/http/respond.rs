//! Writing an answer.

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::accept::MediaType;
use super::answer::Answer;

/// Writes the answer as the caller likes it best.
pub(super) fn respond(answer: Answer, media_type: MediaType, _headers: &HeaderMap, _method: &Method) -> Response {
    let mut response = (answer.status, answer.body).into_response();
    let to = response.headers_mut();
    to.extend(answer.headers);
    to.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type.content_type()));
    response
}

/// The answer to a caller who accepts no media type that there is.
pub(super) fn not_acceptable() -> Response {
    let sentence = "accept application/graphql-response+json or application/json";
    (StatusCode::NOT_ACCEPTABLE, sentence).into_response()
}
