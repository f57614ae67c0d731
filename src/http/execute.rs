//! Executing one operation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_graphql::parser::types::{DocumentOperations, OperationType};
use async_graphql::{Request, Response as GraphqlResponse, ServerError, Value, Variables};
use axum::http::{HeaderValue, Method, StatusCode, header};
use tracing::{debug, info};

use super::HttpState;
use super::accept::MediaType;
use super::answer::{Answer, Keeping};
use super::refusal::Refusal;
use super::request::Params;
use crate::access::View;
use crate::answers::{AnswerKey, Ingredients};
use crate::graphql::{code, coded_error};

/// Answers one operation for a caller, and keeps the answer under the key, if there is one and the answer may be kept.
pub(super) async fn answer_operation(
    state: &HttpState,
    view: View,
    mut params: Params,
    method: &Method,
    media_type: MediaType,
    key: Option<AnswerKey>,
) -> Answer {
    let document = match state.documents.resolve(&mut params) {
        Ok(document) => document,
        Err(refusal) => return refusal.answer(),
    };
    let mut request = prepare(document, params);
    // A document that does not parse gets its error when it is executed.
    let operation_type = find_operation_type(&mut request);
    if *method == Method::GET && operation_type.is_some_and(|of_type| of_type != OperationType::Query) {
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "GET answers queries only; send mutations by POST");
        return Refusal { header: Some((header::ALLOW, HeaderValue::from_static("POST"))), ..refusal }.answer();
    }
    let ingredients = Arc::new(Ingredients::default());
    let request = request.data(view.clone()).data(Arc::clone(&ingredients));
    let mut answer = execute(state, request, media_type).await;
    // What was not executed without errors is marked already.
    if answer.keeping != Keeping::Never {
        answer.keeping = match (operation_type, key) {
            (Some(OperationType::Query), Some(key)) => state.kept.keep(key, &answer.body, &ingredients, &view),
            (Some(OperationType::Query), None) => Keeping::Revalidated,
            _ => Keeping::Never,
        };
    }
    answer
}

fn prepare(document: String, params: Params) -> Request {
    let mut request = Request::new(document);
    request.operation_name = params.operation_name;
    if let Some(variables) = params.variables {
        request = request.variables(Variables::from_json(serde_json::Value::Object(variables)));
    }
    for (name, value) in params.extensions.into_iter().flatten() {
        if let Ok(value) = Value::from_json(value) {
            request.extensions.insert(name, value);
        }
    }
    request
}

/// The type of the operation that will be executed. The parsed document stays in the request.
fn find_operation_type(request: &mut Request) -> Option<OperationType> {
    let name = request.operation_name.clone();
    let operation = match &request.parsed_query().ok()?.operations {
        DocumentOperations::Single(operation) => operation,
        DocumentOperations::Multiple(operations) => match name {
            Some(name) => operations.get(name.as_str())?,
            None => operations.values().next().filter(|_| operations.len() == 1)?,
        },
    };
    Some(operation.node.ty)
}

async fn execute(state: &HttpState, request: Request, media_type: MediaType) -> Answer {
    let started = Instant::now();
    let operation = request.operation_name.clone();
    let response = match tokio::time::timeout(state.limits.timeout, state.schema.execute(request)).await {
        Ok(response) => response,
        Err(_) => timed_out(state.limits.timeout),
    };
    let duration = started.elapsed();
    state.metrics.http.requests.inc();
    state.metrics.http.duration.observe(duration.as_secs_f64());

    let executed = is_executed(&response);
    let status = match (executed, media_type) {
        (true, _) | (false, MediaType::Json) => StatusCode::OK,
        (false, MediaType::GraphqlResponse) => StatusCode::BAD_REQUEST,
    };
    let operation = operation.as_deref().unwrap_or_default();
    let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    if response.errors.is_empty() {
        debug!(operation, duration_us, status = status.as_u16(), "graphql request");
    } else {
        let codes: Vec<_> = response.errors.iter().map(error_code).collect();
        for code in &codes {
            state.metrics.http.count_error(code);
        }
        info!(operation, duration_us, status = status.as_u16(), codes = codes.join(","), "graphql request with errors");
    }
    let keeping = if response.errors.is_empty() { Keeping::Revalidated } else { Keeping::Never };
    let mut answer = Answer::new(status, executed.then_some(&response.data), &response.errors, keeping);
    answer.headers.extend(response.http_headers);
    answer
}

/// Whether the document was executed, and not refused before. Errors of execution name the field that failed.
fn is_executed(response: &GraphqlResponse) -> bool {
    response.data != Value::Null || response.errors.is_empty() || response.errors.iter().any(|error| !error.path.is_empty())
}

fn error_code(error: &ServerError) -> &str {
    match error.extensions.as_ref().and_then(|extensions| extensions.get("code")) {
        Some(Value::String(code)) => code,
        _ => code::INTERNAL,
    }
}

fn timed_out(limit: Duration) -> GraphqlResponse {
    let sentence = format!("the request was not answered within {} s", limit.as_secs_f64());
    GraphqlResponse::from_errors(vec![coded_error(sentence, code::TIMEOUT)])
}
