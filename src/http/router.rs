//! Every route in one list.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::http::answer::refusal::Refusal;
use crate::http::edge::Edge;
use crate::http::routes::{GRAPHQL, Routes};
use crate::http::state::HttpState;
use crate::http::{export, graphiql, graphql, health, home, metrics};

/// All routes of the service; those of the IDE only with it.
pub fn routes(state: HttpState, with_graphiql: bool) -> Edge {
    let policy = Arc::clone(&state.policy);
    let state = Arc::new(state);
    let router = Router::new()
        .route(GRAPHQL, get(graphql::answer_get).post(graphql::answer_post))
        .route("/v1/export/usage", get(export::export_usage))
        .route("/v1/export/snapshots", get(export::export_snapshots))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::show_metrics))
        .fallback(async || Refusal::of_no_route().respond())
        .with_state(Arc::clone(&state));
    let router = if with_graphiql {
        router.merge(graphiql::routes()).route("/", get(home::show_with_graphiql))
    } else {
        router.route("/", get(home::show_without_graphiql))
    };
    Edge::new(Routes::with_graphql(router, state), policy)
}
