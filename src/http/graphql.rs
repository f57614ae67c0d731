//! `/graphql`: lets the caller in, reads the request, has it executed, and writes the answer. Each step has a file beside this one.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use futures_util::future::join_all;

use super::HttpState;
use super::accept::MediaType;
use super::answer::Answer;
use super::execute::answer_operation;
use super::refusal::Refusal;
use super::request::{Asked, parse_body, parse_query_string, read_body};
use super::respond::{not_acceptable, respond};
use crate::access::{Credentials, View};

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
        let view = caller.admit(&state)?;
        let body = read_body(&headers, body, state.limits.body_bytes).await?;
        caller.answer(&state, view, parse_body(&body, state.limits.batch)?).await
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
        let view = caller.admit(&state)?;
        caller.answer(&state, view, parse_query_string(query.as_deref().unwrap_or_default())?).await
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
    fn admit(&self, state: &HttpState) -> Result<View, Refusal> {
        let api_key = self.headers.get("x-api-key").and_then(|value| value.to_str().ok());
        Ok(state.gate.admit(Credentials { api_key }, self.peer.ip())?)
    }

    async fn answer(&self, state: &HttpState, view: View, asked: Asked) -> Result<Answer, Refusal> {
        match asked {
            Asked::One(params) => Ok(answer_operation(state, view, *params, &self.method, self.media_type).await),
            Asked::Batch(operations) => {
                // Against the caller's rate each operation counts.
                for _ in 1..operations.len() {
                    self.admit(state)?;
                }
                let operations = operations.into_iter();
                let answers = operations.map(|params| answer_operation(state, view.clone(), params, &self.method, self.media_type));
                Ok(Answer::of_batch(&join_all(answers).await))
            }
        }
    }
}
