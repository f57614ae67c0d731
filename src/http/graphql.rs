//! `/graphql`: lets the caller in, reads the request, has it executed, and writes the answer. Each step has a file beside this one.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::Response;
use futures_util::future::join_all;

use super::HttpState;
use super::accept::MediaType;
use super::answer::Answer;
use super::caller::admit;
use super::execute::answer_operation;
use super::refusal::Refusal;
use super::request::{Asked, parse_body, parse_query_string, read_body};
use super::respond::{not_acceptable, respond};
use crate::access::View;

/// `POST /graphql`
pub async fn answer_post(State(state): State<Arc<HttpState>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Some(media_type) = MediaType::negotiate(&head.headers) else { return not_acceptable() };
    let caller = Caller { head: &head, method: Method::POST, media_type };
    let answer = async {
        let view = caller.admit(&state).await?;
        let body = read_body(&head.headers, body, state.limits.body_bytes).await?;
        caller.answer(&state, view, body, |body| parse_body(body, state.limits.batch)).await
    };
    respond(answer.await.unwrap_or_else(Refusal::answer), media_type, &head.headers, &caller.method).await
}

/// `GET /graphql`
pub async fn answer_get(State(state): State<Arc<HttpState>>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let Some(media_type) = MediaType::negotiate(&head.headers) else { return not_acceptable() };
    let caller = Caller { head: &head, method: Method::GET, media_type };
    let answer = async {
        let view = caller.admit(&state).await?;
        let query = head.uri.query().unwrap_or_default().to_owned();
        caller.answer(&state, view, query.into(), parse_query_string).await
    };
    respond(answer.await.unwrap_or_else(Refusal::answer), media_type, &head.headers, &caller.method).await
}

/// Who calls, and how. The head is the request's own: copies of headers would cost more than all else on the way of a repeated query.
struct Caller<'a> {
    head: &'a Parts,
    /// HEAD counts as GET.
    method: Method,
    media_type: MediaType,
}

impl Caller<'_> {
    /// Lets the caller in, before anything of the request is read.
    async fn admit(&self, state: &HttpState) -> Result<View, Refusal> {
        admit(state, self.head).await
    }

    /// Answers a request, from the finished answers if it is among them to the letter.
    async fn answer(
        &self,
        state: &HttpState,
        view: View,
        request: Bytes,
        parse: impl FnOnce(&[u8]) -> Result<Asked, Refusal>,
    ) -> Result<Answer, Refusal> {
        let method = &self.method;
        let key = match state.kept.find(&view, method, self.media_type, request.clone()) {
            Ok(finished) => {
                state.metrics.http.requests.inc();
                let keeping = state.kept.remaining_freshness(&finished);
                return Ok(Answer::finished(finished.body, keeping));
            }
            Err(key) => key,
        };
        match parse(&request)? {
            Asked::One(params) => Ok(answer_operation(state, view, *params, method, self.media_type, Some(key)).await),
            Asked::Batch(operations) => {
                // Against the caller's rate each operation counts.
                for _ in 1..operations.len() {
                    self.admit(state).await?;
                }
                let operations = operations.into_iter();
                let answers = operations.map(|params| answer_operation(state, view.clone(), params, method, self.media_type, None));
                Ok(Answer::of_batch(&join_all(answers).await))
            }
        }
    }
}
