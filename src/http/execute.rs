//! Executing one operation.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_graphql::parser::types::{DocumentOperations, OperationDefinition, OperationType};
use async_graphql::{Request, Response as GraphqlResponse, ServerError, Value};
use axum::http::{HeaderValue, Method, StatusCode, header};
use futures_util::future::ready;
use futures_util::stream::{self, BoxStream, Stream};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info};

use crate::access::{Principal, View};
use crate::answers::{AnswerKey, Dependencies};
use crate::computing::{Computing, Turn};
use crate::graphql::{Budget, Cost, Delivery, RequestContext, Schema, Waiting, code, coded_error};
use crate::http::answer::refusal::Refusal;
use crate::http::answer::unsent::Unsent;
use crate::http::answer::{Answer, Keeping, Told, is_executed};
use crate::http::negotiation::accept::MediaType;
use crate::http::request::variables::{settle, weight};
use crate::http::request::{Params, read_aside};
use crate::http::state::HttpState;
use crate::shown;

/// An operation that can be executed, or whose document gets its error then.
pub(super) struct Operation {
    /// An error when the document's text alone tells that it is refused.
    request: Result<Box<Request>, Box<ServerError>>,
    /// `None` when the document is refused or has no such operation.
    of_type: Option<OperationType>,
    /// What its answer costs; `None` when it is refused.
    cost: Option<Cost>,
}

impl Operation {
    /// What the operations of a connection may hold together, by their weight.
    pub const HELD_BYTES: usize = 4 << 20;

    /// Finds the document that the parameters mean, and its operation.
    pub async fn prepare(state: &Arc<HttpState>, params: Params) -> Result<Self, Refusal> {
        let of_state = Arc::clone(state);
        read_aside(&state.computing, params.length(), move || Self::read(&of_state, params)).await
    }

    fn read(state: &HttpState, mut params: Params) -> Result<Self, Refusal> {
        let document = state.documents.resolve(&mut params)?;
        let mut request = make_request(document, params)?;
        Ok(match state.known.admit(&mut request, state.kept.clock.now()) {
            Ok(cost) => {
                let (of_type, settled) = settle_operation(&mut request);
                match settled {
                    Ok(()) => Self { request: Ok(request), of_type, cost: Some(cost) },
                    Err(refused) => Self { request: Err(Box::new(refused)), of_type, cost: None },
                }
            }
            Err(refused) => Self { request: Err(Box::new(refused)), of_type: None, cost: None },
        })
    }

    /// What it holds as long as it is under way, about, in bytes: its document and its variables.
    pub fn weight(&self) -> usize {
        self.request
            .as_ref()
            .map_or(0, |request| DOCUMENT_WEIGHT * request.query.len() + request.variables.values().map(weight).sum::<usize>())
    }

    pub fn is_subscription(&self) -> bool {
        self.of_type == Some(OperationType::Subscription)
    }

    /// Refuses what must not be done by a request that only reads.
    pub fn require_safe(&self, method: &Method) -> Result<(), Refusal> {
        if *method != Method::GET || self.of_type != Some(OperationType::Mutation) {
            return Ok(());
        }
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "GET answers queries only; send mutations by POST");
        Err(Refusal { header: Some((header::ALLOW, HeaderValue::from_static("POST"))), ..refusal })
    }

    /// The responses, one after the other: as many as there are events for a subscription, else one.
    pub fn stream(self, state: &Arc<HttpState>, view: View, delivery: Delivery) -> BoxStream<'static, Told> {
        // A panic ends the operation with an error, and nothing else on the same connection.
        let responses = AssertUnwindSafe(self.try_stream(state, view, delivery)).catch_unwind();
        responses.map(|response| response.unwrap_or_else(|_| Told::of(&panicked()))).boxed()
    }

    fn try_stream(self, state: &Arc<HttpState>, view: View, mut delivery: Delivery) -> BoxStream<'static, Told> {
        let is_subscription = self.is_subscription();
        let is_long = self.is_long(&view);
        if is_long {
            delivery.turn = Turn::of(&state.computing);
        }
        let principal = view.principal().clone();
        let (turn, lane) = (delivery.turn.clone(), Arc::clone(&delivery.lane));
        let budget = Arc::new(state.budget());
        let context = RequestContext::new(view, Arc::default(), Arc::clone(&budget), delivery);
        let request = self.request.map(|request| with_context(request, context));
        let state = Arc::clone(state);
        match request {
            Ok(request) if is_subscription => {
                state.metrics.http.requests.inc();
                let computing = state.computing.clone();
                let events =
                    subscribe(Arc::clone(&state), request, budget).map(move |response| tell(&state.unsent, &principal, &response));
                if is_long { elsewhere(&computing, events, turn) } else { events.boxed() }
            }
            request => {
                let told = Arc::clone(&state);
                let tell = move |response| tell(&told.unsent, &principal, &response);
                let answer = async move { run(&state, request, is_long, budget, tell).await };
                if is_long { in_turn(answer, lane) } else { stream::once(answer).boxed() }
            }
        }
    }

    /// Whether the answer is made by a thread of its own.
    fn is_long(&self, view: &View) -> bool {
        let tenants = |cost: &Cost| if cost.sweeps == 0 { 0 } else { cost.sweeps.saturating_mul(view.all().len()) };
        self.cost.is_some_and(|cost| takes_long(cost.complexity, tenants(&cost)))
    }

    /// Refuses an operation of a list that has become too complex with it.
    pub fn within(self, budget: &Budget, limit: usize) -> Self {
        let complexity = self.cost.map_or(0, |cost| cost.complexity);
        match budget.spend_complexity(complexity, limit) {
            Ok(()) => self,
            Err(refused) => Self { request: Err(Box::new(refused)), ..self },
        }
    }
}

/// From this complexity on an answer takes long: about a millisecond.
const TAKES_LONG: usize = 500;

/// How many tenants are gone through in the time of one field.
const TENANTS_OF_ONE: usize = 16;

/// Whether an answer of this complexity, for which so many tenants are gone through, takes so long that it is not made on a thread of others'.
fn takes_long(complexity: usize, tenants: usize) -> bool {
    complexity.saturating_add(tenants / TENANTS_OF_ONE) >= TAKES_LONG
}

/// Events that take long, made by the threads for that, one ahead of whoever takes them.
fn elsewhere(computing: &Computing, events: impl Stream<Item = Told> + Send + 'static, turn: Turn) -> BoxStream<'static, Told> {
    enum Making {
        Begins(Computing, BoxStream<'static, Told>, Turn),
        GoesOn(mpsc::Receiver<Told>, AbortOnDropHandle<()>),
    }
    let begins = Making::Begins(computing.clone(), events.boxed(), turn);
    let next = async |making| {
        let (mut made, working) = match making {
            Making::Begins(computing, mut events, turn) => {
                // What is subscribed to begins now. Its first event waits for its turn first.
                let first = events.next().now_or_never();
                let (sender, made) = mpsc::channel(1);
                let making = async move {
                    let mut first = first;
                    while let Some(event) = match first.take() {
                        Some(event) => event,
                        None => events.next().await,
                    } {
                        turn.end();
                        if sender.send(event).await.is_err() {
                            return;
                        }
                    }
                };
                (made, computing.begin(making))
            }
            Making::GoesOn(made, working) => (made, working),
        };
        match made.recv().await {
            Some(event) => Some((event, Making::GoesOn(made, working))),
            None => match working.await {
                Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
                _ => None,
            },
        }
    };
    stream::unfold(begins, next).boxed()
}

/// An answer that takes long: the next one on its connection is begun when this one was passed on.
fn in_turn(answer: impl Future<Output = Told> + Send + 'static, lane: Arc<Semaphore>) -> BoxStream<'static, Told> {
    enum Making<F> {
        Begins(F, Arc<Semaphore>),
        IsOver(Option<OwnedSemaphorePermit>),
    }
    let next = async |making| match making {
        Making::Begins(answer, lane) => {
            let place = lane.acquire_owned().await.ok();
            Some((answer.await, Making::IsOver(place)))
        }
        Making::IsOver(place) => {
            drop(place);
            None
        }
    };
    stream::unfold(Making::Begins(answer, lane), next).boxed()
}

/// The events of a subscription, each within the budget. One that is larger is the last: it tells that.
fn subscribe(state: Arc<HttpState>, request: Box<Request>, budget: Arc<Budget>) -> BoxStream<'static, GraphqlResponse> {
    let responses = state.schema.execute_stream(*request);
    let (renewed, ended) = (Arc::clone(&budget), Arc::clone(&budget));
    let responses = responses.inspect(move |_| renewed.renew()).take_until(async move { ended.ended().await });
    let refusal = stream::once(async move { budget.refusal() }).filter_map(|refused| ready(refused.map(refuse)));
    responses.chain(refusal).inspect(move |response| drop(count_errors(&state, response))).boxed()
}

/// What an event or a message tells, or that there is no room for it.
fn tell(unsent: &Unsent, principal: &Principal, response: &GraphqlResponse) -> Told {
    let told = Told::of(response);
    match unsent.share(principal, told.payload.get().len()) {
        Ok(share) => Told { share, ..told },
        Err(full) => Told { is_lost: true, ..Told::of(&refuse(coded_error(full.to_string(), code::RATE_LIMITED))) },
    }
}

fn refuse(refused: ServerError) -> GraphqlResponse {
    GraphqlResponse::from_errors(vec![refused])
}

/// Answers one operation for a caller within the budget, and keeps the answer under the key, if there is one and the answer may be kept.
pub(super) async fn answer_operation(
    state: &Arc<HttpState>,
    view: View,
    operation: Operation,
    method: &Method,
    media_type: MediaType,
    key: Option<AnswerKey>,
    budget: Budget,
) -> Result<Answer, Refusal> {
    operation.require_safe(method)?;
    if operation.is_subscription() {
        let sentence = "subscriptions are answered by events: accept text/event-stream, or connect by graphql-transport-ws";
        return Err(Refusal::bad_request(sentence));
    }
    let dependencies = Arc::new(Dependencies::default());
    let is_long = operation.is_long(&view);
    let budget = Arc::new(budget);
    let context = RequestContext::new(view.clone(), Arc::clone(&dependencies), Arc::clone(&budget), Delivery::by("http"));
    let request = operation.request.map(|request| with_context(request, context));
    let mut answer = run(state, request, is_long, budget, move |response| write_answer(response, media_type)).await;
    // Counting while it is made does not know of what is escaped, nor of commas.
    if answer.body.len() > state.limits.answer_bytes {
        answer = write_answer(refuse(Budget::too_large(state.limits.answer_bytes)), media_type);
    }
    // What was not executed without errors is marked already.
    if answer.keeping != Keeping::Never {
        match (operation.of_type, key) {
            (Some(OperationType::Query), Some(key)) => state.kept.keep(key, &mut answer, &dependencies, &view),
            (Some(OperationType::Query), None) => answer.keeping = Keeping::Revalidated,
            _ => answer.keeping = Keeping::Never,
        }
    }
    Ok(answer.count(&state.unsent, view.principal())?)
}

/// The extensions have said by now which document is meant, and are not kept.
fn make_request(document: String, params: Params) -> Result<Box<Request>, Refusal> {
    let variables = params.variables.read(&document);
    let variables = variables.map_err(|cause| {
        Refusal::bad_request(format!("the request is not understood: variables: {}", shown::cut(&cause.to_string())))
    })?;
    // On the heap: it is large, and is handed on many times.
    let mut request = Box::new(Request::new(document));
    request.variables = variables;
    request.operation_name = params.operation_name;
    Ok(request)
}

fn with_context(mut request: Box<Request>, context: RequestContext) -> Box<Request> {
    request.data.insert(Arc::new(context));
    request
}

/// What a parsed document takes in memory, as a multiple of its text, about.
const DOCUMENT_WEIGHT: usize = 16;

/// The type of the operation that will be executed, and whether its variables are right: see [`settle`]. The parsed document stays in the request.
fn settle_operation(request: &mut Request) -> (Option<OperationType>, Result<(), ServerError>) {
    let (name, given) = (request.operation_name.clone(), std::mem::take(&mut request.variables));
    let Some(operation) = find_operation(request, name.as_deref()) else { return (None, Ok(())) };
    let of_type = operation.ty;
    let settled = settle(&operation.variable_definitions, given);
    (Some(of_type), settled.map(|variables| request.variables = variables))
}

fn find_operation<'a>(request: &'a mut Request, name: Option<&str>) -> Option<&'a OperationDefinition> {
    let operation = match &request.parsed_query().ok()?.operations {
        DocumentOperations::Single(operation) => operation,
        DocumentOperations::Multiple(operations) => match name {
            Some(name) => operations.get(name)?,
            None => operations.values().next().filter(|_| operations.len() == 1)?,
        },
    };
    Some(&operation.node)
}

/// Executes a query or a mutation, within the time that a request may take and the bytes that its answer may have, and finishes the response. What
/// takes long is made and finished by a thread of its own, and no further when nobody waits for it any more.
async fn run<T: Send + 'static>(
    state: &Arc<HttpState>,
    request: Result<Box<Request>, Box<ServerError>>,
    is_long: bool,
    budget: Arc<Budget>,
    finish: impl Fn(GraphqlResponse) -> T + Clone + Send + 'static,
) -> T {
    let operation = request.as_ref().ok().and_then(|request| request.operation_name.clone()).unwrap_or_default();
    let note = Note { operation, started: Instant::now() };
    let _waiting = Waiting(Arc::clone(&budget));
    let request = match request {
        Ok(request) => request,
        Err(refused) => {
            let response = refuse(*refused);
            note.take(state, &response);
            return finish(response);
        }
    };
    let limit = state.limits.timeout;
    // On the heap: it is large, and is handed on several times. Most requests are answered without it, and shall not carry the room for it.
    let executing = execute(state.schema.clone(), request, budget).boxed();
    if is_long {
        let (of_state, of_note, of_finish) = (Arc::clone(state), note.clone(), finish.clone());
        let finished = state.computing.run(async move {
            let response = executing.await;
            of_note.take(&of_state, &response);
            of_finish(response)
        });
        if let Ok(Some(finished)) = tokio::time::timeout(limit, finished).await {
            return finished;
        }
    } else if let Ok(response) = tokio::time::timeout(limit, executing).await {
        note.take(state, &response);
        return finish(response);
    }
    let response = timed_out(limit);
    note.take(state, &response);
    finish(response)
}

/// Executes a request until it is done, or the answer is given up.
async fn execute(schema: Schema, request: Box<Request>, budget: Arc<Budget>) -> GraphqlResponse {
    let response = tokio::select! {
        biased;
        response = schema.execute(*request) => response,
        () = budget.ended() => GraphqlResponse::default(),
    };
    budget.refusal().map_or(response, refuse)
}

/// What the figures and the log tell of an operation.
#[derive(Clone)]
struct Note {
    operation: String,
    started: Instant,
}

impl Note {
    fn take(&self, state: &HttpState, response: &GraphqlResponse) {
        let (operation, duration) = (self.operation.as_str(), self.started.elapsed());
        state.metrics.http.requests.inc();
        state.metrics.http.duration.observe(duration.as_secs_f64());
        let (executed, duration_us) = (is_executed(response), u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        if response.errors.is_empty() {
            debug!(operation, duration_us, executed, "graphql request");
        } else {
            let codes = count_errors(state, response).join(",");
            let operation = &*shown::cut(operation);
            info!(operation, duration_us, executed, codes, "graphql request with errors");
        }
    }
}

/// Counts the errors of a response, and gives their codes.
fn count_errors<'a>(state: &HttpState, response: &'a GraphqlResponse) -> Vec<&'a str> {
    response.errors.iter().map(error_code).inspect(|code| state.metrics.http.count_error(code)).collect()
}

fn write_answer(response: GraphqlResponse, media_type: MediaType) -> Answer {
    let executed = is_executed(&response);
    let status = match (executed, media_type) {
        (true, _) | (false, MediaType::Json) => StatusCode::OK,
        (false, MediaType::GraphqlResponse) => StatusCode::BAD_REQUEST,
    };
    let keeping = if response.errors.is_empty() { Keeping::Revalidated } else { Keeping::Never };
    let mut answer = Answer::new(status, executed.then_some(&response.data), &response.errors, keeping);
    answer.headers.extend(response.http_headers);
    answer
}

fn error_code(error: &ServerError) -> &str {
    match error.extensions.as_ref().and_then(|extensions| extensions.get("code")) {
        Some(Value::String(code)) => code,
        _ => code::INTERNAL,
    }
}

/// The hook has logged the panic.
fn panicked() -> GraphqlResponse {
    GraphqlResponse::from_errors(vec![coded_error("An internal error occurred.", code::INTERNAL)])
}

fn timed_out(limit: Duration) -> GraphqlResponse {
    let sentence = format!("the request was not answered within {} s", limit.as_secs_f64());
    GraphqlResponse::from_errors(vec![coded_error(sentence, code::TIMEOUT)])
}

#[cfg(test)]
mod tests {
    use super::takes_long;

    #[test]
    fn what_is_small_is_made_where_it_is_asked_for() {
        assert!(!takes_long(499, 0) && !takes_long(100, 1000));
        assert!(takes_long(500, 0) && takes_long(100, 10_000) && takes_long(usize::MAX, usize::MAX));
    }
}
