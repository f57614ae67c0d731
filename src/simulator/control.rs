//! The control API: how tenants behave, seen and set over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::behaviour::{Behaviour, InvalidBehaviour};
use super::index::Tenants;
use super::tenant::TenantHandle;
use crate::koodrive::Credential;

/// A tenant as the control API shows it; without secrets.
#[derive(Serialize)]
struct TenantView {
    id: String,
    user_id: String,
    authentication: &'static str,
    behaviour: Behaviour,
    hits: u64,
    refused: u64,
}

/// `GET /simulator/tenants`
pub(super) async fn list(State(tenants): State<Arc<Tenants>>) -> Response {
    Json(tenants.all().map(|tenant| view(&tenant)).collect::<Vec<_>>()).into_response()
}

/// `GET /simulator/tenants/{id}`
pub(super) async fn show(State(tenants): State<Arc<Tenants>>, Path(id): Path<String>) -> Response {
    tenants.by_id(&id).map_or_else(|| unknown(&id), |tenant| Json(view(&tenant)).into_response())
}

/// `PUT /simulator/tenants/{id}`: replaces the behaviour.
pub(super) async fn replace(State(tenants): State<Arc<Tenants>>, Path(id): Path<String>, body: Bytes) -> Response {
    let Some(tenant) = tenants.by_id(&id) else { return unknown(&id) };
    let behaviour = serde_json::from_slice::<Behaviour>(&body).map_err(|error| InvalidBehaviour(error.to_string()));
    match behaviour.and_then(|behaviour| tenant.set_behaviour(behaviour)) {
        Ok(()) => Json(view(&tenant)).into_response(),
        Err(invalid) => error(StatusCode::BAD_REQUEST, &invalid.to_string()),
    }
}

/// `DELETE /simulator/tenants/{id}`: makes the tenant healthy again.
pub(super) async fn reset(State(tenants): State<Arc<Tenants>>, Path(id): Path<String>) -> Response {
    let Some(tenant) = tenants.by_id(&id) else { return unknown(&id) };
    match tenant.set_behaviour(Behaviour::default()) {
        Ok(()) => Json(view(&tenant)).into_response(),
        Err(invalid) => error(StatusCode::BAD_REQUEST, &invalid.to_string()),
    }
}

fn view(handle: &TenantHandle) -> TenantView {
    let tenant = &handle.entry.tenant;
    TenantView {
        id: tenant.id.to_string(),
        user_id: tenant.user_id.clone(),
        authentication: match tenant.credential {
            Credential::App { .. } => "app",
            Credential::Token { .. } => "token",
        },
        behaviour: handle.behaviour(),
        hits: handle.hits(),
        refused: handle.refused(),
    }
}

fn unknown(id: &str) -> Response {
    error(StatusCode::NOT_FOUND, &format!("no tenant {id}; GET /simulator/tenants lists them"))
}

fn error(status: StatusCode, sentence: &str) -> Response {
    (status, Json(serde_json::json!({ "error": sentence }))).into_response()
}
