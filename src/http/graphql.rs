//! `/graphql`: lets the caller in, reads the request, has it executed, and writes the answer. Each step has a file beside this one.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::Response;
use futures_util::future::join_all;

use crate::access::View;
use crate::answers::AnswerKey;
use crate::http::answer::Answer;
use crate::http::answer::refusal::Refusal;
use crate::http::answer::respond::{not_acceptable, respond};
use crate::http::caller::admit;
use crate::http::edge::connection::Connection;
use crate::http::events::send_events;
use crate::http::execute::{Operation, answer_operation};
use crate::http::negotiation::accept::{Accepted, MediaType};
use crate::http::request::{Asked, Listed, is_list, parse_body, parse_query_string, read_aside, read_body};
use crate::http::socket;
use crate::http::state::HttpState;

/// `POST /graphql`
pub async fn answer_post(
    State(state): State<Arc<HttpState>>,
    Extension(connection): Extension<Connection>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Some(accepted) = Accepted::of(&head.headers) else { return not_acceptable() };
    let caller = Caller { connection, head: &head, method: Method::POST, accepted };
    let reply = async {
        let mut view = caller.admit(&state).await?;
        let body = read_body(&head.headers, body, state.limits.body_bytes, state.limits.timeout).await?;
        // It may have been long in coming.
        state.gate.recheck(&mut view)?;
        let limits = state.limits;
        caller.answer(&state, view, body, move |body| parse_body(body, &limits)).await
    };
    caller.reply(&state, reply.await).await
}

/// `GET /graphql`
pub async fn answer_get(
    State(state): State<Arc<HttpState>>,
    Extension(connection): Extension<Connection>,
    request: Request,
) -> Response {
    let (head, _) = request.into_parts();
    if socket::is_asked_for(&head.headers) {
        return socket::connect(state, connection, head).await;
    }
    let Some(accepted) = Accepted::of(&head.headers) else { return not_acceptable() };
    let caller = Caller { connection, head: &head, method: Method::GET, accepted };
    let reply = async {
        let view = caller.admit(&state).await?;
        let query = head.uri.query().unwrap_or_default().to_owned();
        let limits = state.limits.text;
        caller.answer(&state, view, query.into(), move |query| parse_query_string(query, limits)).await
    };
    let reply = reply.await.map_err(|refusal| socket::explain_lost_upgrade(&head.headers, refusal));
    caller.reply(&state, reply).await
}

/// Who calls, and how. The head is the request's own: copies of headers would cost more than all else on the way of a repeated query.
struct Caller<'a> {
    connection: Connection,
    head: &'a Parts,
    /// HEAD counts as GET.
    method: Method,
    accepted: Accepted,
}

/// What a caller gets.
enum Reply {
    Answer(Answer),
    Events(Response),
}

impl Caller<'_> {
    /// Lets the caller in, before anything of the request is read.
    async fn admit(&self, state: &HttpState) -> Result<View, Refusal> {
        admit(state, &self.connection, self.head).await
    }

    /// Answers a request, from the finished answers if it is among them byte for byte.
    async fn answer(
        &self,
        state: &Arc<HttpState>,
        view: View,
        request: Bytes,
        parse: impl FnOnce(&Bytes) -> Result<Asked, Refusal> + Send + 'static,
    ) -> Result<Reply, Refusal> {
        let method = &self.method;
        let Some(media_type) = self.accepted.media_type else {
            let Asked::One(params) = read_aside(&state.computing, request.len(), move || parse(&request)).await? else {
                return Err(Refusal::bad_request("events answer one operation; send the list with Accept: application/json"));
            };
            return self.answer_by_events(state, view, Operation::prepare(state, *params).await?);
        };
        // The operations of a list are looked for one by one.
        let key = match (!is_list(&request)).then(|| find_finished(state, &view, method, media_type, request.clone())) {
            Some(Ok(answer)) => return Ok(Reply::Answer(answer.count(&state.unsent, view.principal())?)),
            Some(Err(key)) => Some(key),
            None => None,
        };
        // On the heap: most requests find their answer finished, and shall not carry the room for making it.
        Box::pin(async {
            let asked = read_aside(&state.computing, request.len(), move || parse(&request)).await?;
            let reply = self.make(state, view.clone(), asked, media_type, key).await?;
            state.gate.require_undiminished(&view)?;
            Ok(reply)
        })
        .await
    }

    /// Makes an answer that is not among the finished ones.
    async fn make(
        &self,
        state: &Arc<HttpState>,
        view: View,
        asked: Asked,
        media_type: MediaType,
        key: Option<AnswerKey>,
    ) -> Result<Reply, Refusal> {
        let method = &self.method;
        match asked {
            Asked::One(params) => {
                let operation = Operation::prepare(state, *params).await?;
                if self.accepted.events && operation.is_subscription() {
                    return self.answer_by_events(state, view, operation);
                }
                let budget = state.budget();
                answer_operation(state, view, operation, method, media_type, key, budget).await.map(Reply::Answer)
            }
            Asked::Batch(operations) => {
                // Against the caller's rate each operation counts.
                for _ in 1..operations.len() {
                    self.admit(state).await?;
                }
                let budget = state.budget();
                let answers = operations.into_iter().map(async |Listed { params, text }| {
                    let key = match text.map(|text| find_finished(state, &view, method, media_type, text)) {
                        Some(Ok(answer)) => return answer,
                        Some(Err(key)) => Some(key),
                        None => None,
                    };
                    let answer = match Operation::prepare(state, params).await {
                        Ok(operation) => {
                            let operation = operation.within(&budget, state.limits.complexity);
                            answer_operation(state, view.clone(), operation, method, media_type, key, budget.shared()).await
                        }
                        Err(refusal) => Err(refusal),
                    };
                    answer.unwrap_or_else(Refusal::answer)
                });
                let answer = Answer::of_batch(&join_all(answers).await);
                Ok(Reply::Answer(answer.count(&state.unsent, view.principal())?))
            }
        }
    }

    fn answer_by_events(&self, state: &Arc<HttpState>, view: View, operation: Operation) -> Result<Reply, Refusal> {
        operation.require_safe(&self.method)?;
        send_events(state, view, operation, &self.head.headers).map(Reply::Events)
    }

    async fn reply(&self, state: &HttpState, reply: Result<Reply, Refusal>) -> Response {
        let answer = match reply {
            Ok(Reply::Events(response)) => return response,
            Ok(Reply::Answer(answer)) => answer,
            Err(refusal) => refusal.answer(),
        };
        // Whoever accepts events alone is refused in JSON.
        let media_type = self.accepted.media_type.unwrap_or(MediaType::Json);
        respond(answer, media_type, &self.head.headers, &self.method, state).await
    }
}

/// The finished answer to an operation, byte for byte the same, or the key under which its answer is to be kept.
fn find_finished(
    state: &HttpState,
    view: &View,
    method: &Method,
    media_type: MediaType,
    request: Bytes,
) -> Result<Answer, AnswerKey> {
    let answer = state.kept.find(view, method, media_type, state.documents.version(), request)?;
    state.metrics.http.requests.inc();
    Ok(answer)
}
