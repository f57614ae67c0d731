//! The public side: every route in one list.

mod accept;
mod answer;
mod caller;
mod documents;
mod encoding;
mod events;
mod execute;
mod export;
mod graphiql;
mod graphql;
mod health;
mod kept;
mod manifest;
mod origin;
mod patience;
mod refusal;
mod request;
mod respond;
mod socket;
mod unbuffered;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

pub use self::documents::{DocumentSettings, Documents};
pub use self::export::Exports;
pub use self::health::Readiness;
pub use self::kept::Kept;
pub use self::manifest::ManifestError;
pub use self::origin::AllowedOrigins;
pub use self::patience::PatientListener;
use crate::access::{Gate, Presence};
use crate::graphql::{KnownDocuments, Schema};
use crate::metrics::Metrics;
use crate::telemetry;

/// What the routes work with.
pub struct HttpState {
    /// The executable schema.
    pub schema: Schema,
    /// The documents that were seen before; the schema knows them too.
    pub known: KnownDocuments,
    /// Finished answers.
    pub kept: Kept,
    /// The documents that need not be sent.
    pub documents: Arc<Documents>,
    /// Who may see what.
    pub gate: Arc<Gate>,
    /// History as files.
    pub exports: Exports,
    /// The figures that `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// What `/readyz` looks at.
    pub readiness: Arc<Readiness>,
    /// Limits on requests.
    pub limits: RequestLimits,
    /// The origins whose pages may call.
    pub origins: AllowedOrigins,
    /// The proxies whose word on the caller's address is taken.
    pub trusted_proxies: Arc<[IpNet]>,
    /// The orderly end of the service: streams of events end with it.
    pub stop: CancellationToken,
    /// The WebSocket connections, which no longer belong to the server that accepted them.
    pub sockets: TaskTracker,
    /// Whose `WebSocket`s are open.
    pub open_sockets: Presence,
}

/// Limits on single requests.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// A request body's size at most, in bytes.
    pub body_bytes: usize,
    /// Operations of one request at most; 0 refuses lists of them.
    pub batch: usize,
    /// How long a request may be worked on.
    pub timeout: Duration,
}

/// All routes of the service; those of the IDE only with it.
pub fn router(state: HttpState, with_graphiql: bool) -> Router {
    let mut calls = Router::new()
        .route("/graphql", get(graphql::answer_get).post(graphql::answer_post))
        .route("/v1/export/usage", get(export::export_usage))
        .route("/v1/export/snapshots", get(export::export_snapshots));
    // Only where pages of others may call at all: nothing stands on the way of the others' requests.
    if !state.origins.is_empty() {
        calls = calls.layer(middleware::from_fn_with_state(state.origins.clone(), origin::share_with_pages));
    }
    let routes = calls
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(show_metrics))
        .with_state(Arc::new(state));
    if with_graphiql { routes.merge(graphiql::routes()) } else { routes }
}

async fn show_metrics(State(state): State<Arc<HttpState>>) -> Response {
    match state.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response(),
        Err(cause) => {
            error!(error = telemetry::explain(&cause), "cannot write the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
