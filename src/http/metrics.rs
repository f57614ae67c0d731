//! `/metrics`: the figures for Prometheus and whatever reads what it reads.
//!
//! On the service's own address they are for callers with the role `METRICS`; on the address of `[metrics]` for whoever reaches it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use ipnet::IpNet;
use tracing::error;

use crate::access::Role;
use crate::http::answer::refusal::Refusal;
use crate::http::caller::admit;
use crate::http::edge::Edge;
use crate::http::edge::connection::Connection;
use crate::http::edge::hosts::Hosts;
use crate::http::edge::origin::AllowedOrigins;
use crate::http::edge::policy::Policy;
use crate::http::negotiation::accept::Exposition;
use crate::http::state::HttpState;
use crate::metrics::Metrics;
use crate::telemetry;

/// The routes of an address that has the figures alone.
pub fn metrics_routes(metrics: Arc<Metrics>, hosts: Hosts, trusted_proxies: Arc<[IpNet]>) -> Edge {
    let routes = Router::new().route("/metrics", get(show_to_anybody)).with_state(metrics);
    Edge::new(routes.into(), Arc::new(Policy { hosts, origins: AllowedOrigins::default(), trusted_proxies }))
}

async fn show_to_anybody(State(metrics): State<Arc<Metrics>>, headers: HeaderMap) -> Response {
    show(&metrics, &headers)
}

/// `GET /metrics`, for callers who may.
pub(super) async fn show_metrics(
    State(state): State<Arc<HttpState>>,
    Extension(connection): Extension<Connection>,
    request: Request,
) -> Response {
    let (head, _) = request.into_parts();
    let admitted = admit(&state, &connection, &head).await.and_then(|view| view.require(Role::Metrics).map_err(Refusal::from));
    match admitted {
        Ok(()) => show(&state.metrics, &head.headers),
        Err(refusal) => {
            state.metrics.http.count_error(refusal.code);
            refusal.respond()
        }
    }
}

fn show(metrics: &Metrics, headers: &HeaderMap) -> Response {
    let form = Exposition::of(headers);
    let written = match form {
        Exposition::OpenMetrics => metrics.encode(),
        Exposition::Text => metrics.encode_as_text(),
    };
    match written {
        Ok(text) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static(form.content_type())),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
                (header::VARY, HeaderValue::from_static("Accept")),
            ];
            (headers, text).into_response()
        }
        Err(cause) => {
            error!(error = telemetry::explain(&cause), "cannot write the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
