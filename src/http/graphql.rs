//! `/graphql`: lets the caller in, reads the request, has it executed, and writes the answer. Each step has a file beside this one.

use std::net::SocketAddr;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use futures_util::future::join_all;

use super::HttpState;
use super::accept::MediaType;
use super::answer::Answer;
use super::caller::{client_address, credentials};
use super::execute::answer_operation;
use super::refusal::Refusal;
use super::request::{Asked, parse_body, parse_query_string, read_body};
use super::respond::{not_acceptable, respond};
use crate::access::View;

/// `POST /graphql`
pub async fn answer_post(
    State(state): State<HttpState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(media_type) = MediaType::negotiate(&headers) else { return not_acceptable() };
    let caller = Caller { headers: &headers, peer, method: Method::POST, media_type };
    let answer = async {
        let view = caller.admit(&state).await?;
        let body = read_body(&headers, body, state.limits.body_bytes).await?;
        caller.answer(&state, view, body, |body| parse_body(body, state.limits.batch)).await
    };
    respond(answer.await.unwrap_or_else(Refusal::answer), media_type, &headers, &caller.method).await
}

/// `GET /graphql`
pub async fn answer_get(
    State(state): State<HttpState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let Some(media_type) = MediaType::negotiate(&headers) else { return not_acceptable() };
    let caller = Caller { headers: &headers, peer, method: Method::GET, media_type };
    let answer = async {
        let view = caller.admit(&state).await?;
        caller.answer(&state, view, query.unwrap_or_default().into(), parse_query_string).await
    };
    respond(answer.await.unwrap_or_else(Refusal::answer), media_type, &headers, &caller.method).await
}

/// Who calls, and how.
struct Caller<'a> {
    headers: &'a HeaderMap,
    peer: SocketAddr,
    method: Method,
    media_type: MediaType,
}

impl Caller<'_> {
    /// Lets the caller in, before anything of the request is read.
    async fn admit(&self, state: &HttpState) -> Result<View, Refusal> {
        if state.origins.refuse(self.headers) {
            return Err(Refusal::of_foreign_page());
        }
        let address = client_address(self.peer.ip(), self.headers, &state.trusted_proxies);
        Ok(state.gate.admit(credentials(self.headers), address).await?)
    }

    /// Answers a request, from the finished answers if it is among them to the letter.
    async fn answer(
        &self,
        state: &HttpState,
        view: View,
        request: Bytes,
        parse: impl FnOnce(&[u8]) -> Result<Asked, Refusal>,
    ) -> Result<Answer, Refusal> {
        let key = match state.kept.find(&view, &self.method, self.media_type, request.clone()) {
            Ok(finished) => {
                state.metrics.http.requests.inc();
                let keeping = state.kept.remaining_freshness(&finished);
                return Ok(Answer::finished(finished.body, keeping));
            }
            Err(key) => key,
        };
        match parse(&request)? {
            Asked::One(params) => Ok(answer_operation(state, view, *params, &self.method, self.media_type, Some(key)).await),
            Asked::Batch(operations) => {
                // Against the caller's rate each operation counts.
                for _ in 1..operations.len() {
                    self.admit(state).await?;
                }
                let operations = operations.into_iter();
                let answers =
                    operations.map(|params| answer_operation(state, view.clone(), params, &self.method, self.media_type, None));
                Ok(Answer::of_batch(&join_all(answers).await))
            }
        }
    }
}
