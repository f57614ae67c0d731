//! GraphQL over HTTP: what stands in a request, and which status and body its answer has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use async_graphql::parser::types::{DocumentOperations, OperationType};
use async_graphql::{Request, Response as GraphqlResponse, ServerError, Value, Variables};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tracing::{debug, error, info};

use super::HttpState;
use super::accept::MediaType;
use super::caller::{client_address, credentials};
use crate::access::{self, View};
use crate::answers::{AnswerKey, Ingredients};
use crate::graphql::code;

/// The parameters of a request. Other members are ignored, as the specification asks.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<serde_json::Map<String, serde_json::Value>>,
    extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

/// The body of an answer. `data` is absent when the document was not executed.
#[derive(Serialize)]
struct AnswerBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
}

/// A request that is not answered by executing a document.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// A header that tells clients more.
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, code: code::BAD_USER_INPUT, message: message.into(), header: None }
    }

    fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    fn into_response(self, media_type: MediaType) -> Response {
        let mut error = ServerError::new(self.message, None);
        error.extensions.get_or_insert_default().set("code", self.code);
        let mut response = respond(self.status, media_type, &AnswerBody { data: None, errors: &[error] });
        response.headers_mut().extend(self.header);
        response
    }
}

/// `POST /graphql`
pub async fn answer_post(
    State(state): State<HttpState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(media_type) = MediaType::negotiate(&headers) else { return not_acceptable() };
    let view = match admit(&state, &headers, peer).await {
        Ok(view) => view,
        Err(refusal) => return refusal.into_response(media_type),
    };
    let bytes = match read_body(&headers, body, state.limits.body_bytes).await {
        Ok(bytes) => bytes,
        Err(refusal) => return refusal.into_response(media_type),
    };
    let key = match state.kept.find(&view, media_type, bytes.clone()) {
        Ok(finished) => {
            state.metrics.http.requests.inc();
            return send(StatusCode::OK, media_type, finished.body);
        }
        Err(key) => key,
    };
    match parse_post(&bytes) {
        Ok(request) => execute(&state, request, media_type, view, Some(key)).await,
        Err(refusal) => refusal.into_response(media_type),
    }
}

/// `GET /graphql`
pub async fn answer_get(
    State(state): State<HttpState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let Some(media_type) = MediaType::negotiate(&headers) else { return not_acceptable() };
    let view = match admit(&state, &headers, peer).await {
        Ok(view) => view,
        Err(refusal) => return refusal.into_response(media_type),
    };
    match read_get(query.as_deref().unwrap_or_default()) {
        Ok(request) => execute(&state, request, media_type, view, None).await,
        Err(refusal) => refusal.into_response(media_type),
    }
}

/// Lets the caller in, before anything of the request is read.
async fn admit(state: &HttpState, headers: &HeaderMap, peer: SocketAddr) -> Result<View, Refusal> {
    if state.origins.refuse(headers) {
        let message = "a page of another server made this request; add its origin to cors.allowed_origins to allow it";
        return Err(Refusal { code: code::FORBIDDEN, ..Refusal::new(StatusCode::FORBIDDEN, message) });
    }
    let address = client_address(peer.ip(), headers, &state.trusted_proxies);
    state.gate.admit(credentials(headers), address).await.map_err(|refusal| {
        let message = refusal.to_string();
        match refusal {
            access::Refusal::Unauthenticated(proof) => Refusal {
                code: code::UNAUTHENTICATED,
                header: Some((header::WWW_AUTHENTICATE, HeaderValue::from_static(proof.challenges()))),
                ..Refusal::new(StatusCode::UNAUTHORIZED, message)
            },
            access::Refusal::RateLimited(seconds) => Refusal {
                code: code::RATE_LIMITED,
                header: Some((header::RETRY_AFTER, HeaderValue::from(seconds))),
                ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, message)
            },
        }
    })
}

async fn read_body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim);
    let charset = parts.clone().skip(1).find_map(|p| p.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("charset")));
    if !parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
        || charset.is_some_and(|(_, value)| !value.trim_matches('"').eq_ignore_ascii_case("utf-8"))
    {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send the request as application/json in UTF-8"));
    }
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    let too_large = || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the request is larger than {limit} bytes"));
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    to_bytes(body, limit).await.map_err(|_| too_large())
}

fn parse_post(bytes: &[u8]) -> Result<Request, Refusal> {
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Refusal::bad_request("batches are not supported; send one operation in a request"));
    }
    let params = serde_json::from_slice(bytes).map_err(|e| Refusal::bad_request(format!("the request is not understood: {e}")))?;
    request(params)
}

fn read_get(query: &str) -> Result<Request, Refusal> {
    let mut params = Params { query: None, operation_name: None, variables: None, extensions: None };
    let object = |name: &str, text: &str| {
        serde_json::from_str(text).map_err(|e| Refusal::bad_request(format!("{name} is not a JSON object: {e}")))
    };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "query" => params.query = Some(value.into_owned()),
            "operationName" if !value.is_empty() => params.operation_name = Some(value.into_owned()),
            "variables" if !value.is_empty() => params.variables = object("variables", &value)?,
            "extensions" if !value.is_empty() => params.extensions = object("extensions", &value)?,
            _ => {}
        }
    }
    let mut request = request(params)?;
    // A document that does not parse gets its error when it is executed.
    let name = request.operation_name.clone();
    if let Ok(document) = request.parsed_query() {
        let operation = match &document.operations {
            DocumentOperations::Single(operation) => Some(operation),
            DocumentOperations::Multiple(operations) => name.and_then(|name| operations.get(name.as_str())),
        };
        if operation.is_some_and(|operation| operation.node.ty != OperationType::Query) {
            let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "GET answers queries only; send mutations by POST");
            return Err(Refusal { header: Some((header::ALLOW, HeaderValue::from_static("POST"))), ..refusal });
        }
    }
    Ok(request)
}

fn request(params: Params) -> Result<Request, Refusal> {
    let query = params.query.filter(|query| !query.trim().is_empty());
    let mut request = Request::new(query.ok_or_else(|| Refusal::bad_request("query is missing: send a GraphQL document"))?);
    request.operation_name = params.operation_name;
    if let Some(variables) = params.variables {
        request = request.variables(Variables::from_json(serde_json::Value::Object(variables)));
    }
    for (name, value) in params.extensions.into_iter().flatten() {
        if let Ok(value) = Value::from_json(value) {
            request.extensions.insert(name, value);
        }
    }
    Ok(request)
}

/// Executes a request and keeps its answer under the key, if there is one and the answer may be kept.
async fn execute(state: &HttpState, request: Request, media_type: MediaType, view: View, key: Option<AnswerKey>) -> Response {
    let started = Instant::now();
    let ingredients = Arc::new(Ingredients::default());
    let request = request.data(view.clone()).data(Arc::clone(&ingredients));
    let operation = request.operation_name.clone();
    let answer = match tokio::time::timeout(state.limits.timeout, state.schema.execute(request)).await {
        Ok(answer) => answer,
        Err(_) => timed_out(state.limits.timeout),
    };
    let duration = started.elapsed();
    state.metrics.http.requests.inc();
    state.metrics.http.duration.observe(duration.as_secs_f64());

    let executed = is_executed(&answer);
    let status = match (executed, media_type) {
        (true, _) | (false, MediaType::Json) => StatusCode::OK,
        (false, MediaType::GraphqlResponse) => StatusCode::BAD_REQUEST,
    };
    let operation = operation.as_deref().unwrap_or_default();
    let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    if answer.errors.is_empty() {
        debug!(operation, duration_us, status = status.as_u16(), "graphql request");
    } else {
        let codes: Vec<_> = answer.errors.iter().map(error_code).collect();
        for code in &codes {
            state.metrics.http.count_error(code);
        }
        info!(operation, duration_us, status = status.as_u16(), codes = codes.join(","), "graphql request with errors");
    }
    let Some(body) = write(&AnswerBody { data: executed.then_some(&answer.data), errors: &answer.errors }) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if let Some(key) = key.filter(|_| answer.errors.is_empty()) {
        state.kept.keep(key, &body, &ingredients, &view);
    }
    send(status, media_type, body)
}

/// Whether the document was executed, and not refused before. Errors of execution name the field that failed.
fn is_executed(answer: &GraphqlResponse) -> bool {
    answer.data != Value::Null || answer.errors.is_empty() || answer.errors.iter().any(|error| !error.path.is_empty())
}

fn error_code(error: &ServerError) -> &str {
    match error.extensions.as_ref().and_then(|extensions| extensions.get("code")) {
        Some(Value::String(code)) => code,
        _ => code::INTERNAL,
    }
}

fn timed_out(limit: std::time::Duration) -> GraphqlResponse {
    let mut error = ServerError::new(format!("the request was not answered within {} s", limit.as_secs_f64()), None);
    error.extensions.get_or_insert_default().set("code", code::TIMEOUT);
    GraphqlResponse::from_errors(vec![error])
}

fn respond(status: StatusCode, media_type: MediaType, body: &AnswerBody<'_>) -> Response {
    match write(body) {
        Some(bytes) => send(status, media_type, bytes),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn write(body: &AnswerBody<'_>) -> Option<Bytes> {
    serde_json::to_vec(body)
        .map(|bytes| Bytes::from(bytes.into_boxed_slice()))
        .inspect_err(|e| error!(error = crate::telemetry::explain(e), "cannot write an answer"))
        .ok()
}

fn send(status: StatusCode, media_type: MediaType, body: Bytes) -> Response {
    (status, [(header::CONTENT_TYPE, media_type.content_type())], body).into_response()
}

fn not_acceptable() -> Response {
    let sentence = "accept application/graphql-response+json or application/json";
    (StatusCode::NOT_ACCEPTABLE, sentence).into_response()
}
