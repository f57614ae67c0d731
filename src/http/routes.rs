//! The routes, of which the one that nearly all requests take is found without a detour.
//!
//! A router clones boxed services, looks for patterns and notes their parameters. That costs a repeated query a seventh of all that it
//! costs, so `POST /graphql` is told apart before it, by comparing two texts.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use axum::{Extension, Router};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pin_project_lite::pin_project;
use tower_service::Service as _;

use crate::http::edge::connection::Connection;
use crate::http::graphql::answer_post;
use crate::http::state::HttpState;

/// The path of GraphQL.
pub(super) const GRAPHQL: &str = "/graphql";

/// All routes. Cheap to clone; clones are the same.
#[derive(Clone)]
pub(super) struct Routes {
    router: Router,
    /// What answers `POST /graphql`, where that is a route.
    graphql: Option<Arc<HttpState>>,
}

impl Routes {
    /// The routes of a router, and before them `POST /graphql`.
    pub fn with_graphql(router: Router, state: Arc<HttpState>) -> Self {
        Self { router, graphql: Some(state) }
    }

    /// Answers a request that came by this connection.
    pub fn answer(&self, mut request: Request, connection: Connection) -> Routed {
        match &self.graphql {
            Some(state) if *request.method() == Method::POST && request.uri().path() == GRAPHQL => {
                Routed::Graphql { answer: answer_post(State(Arc::clone(state)), Extension(connection), request).boxed() }
            }
            _ => {
                request.extensions_mut().insert(connection);
                Routed::Other { answer: self.router.clone().call(request) }
            }
        }
    }
}

impl From<Router> for Routes {
    fn from(router: Router) -> Self {
        Self { router, graphql: None }
    }
}

pin_project! {
    /// An answer that is being made.
    #[project = RoutedProjection]
    pub(super) enum Routed {
        Graphql { answer: BoxFuture<'static, Response> },
        Other { #[pin] answer: RouteFuture<Infallible> },
    }
}

impl Future for Routed {
    type Output = Response;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        match self.project() {
            RoutedProjection::Graphql { answer } => answer.as_mut().poll(context),
            RoutedProjection::Other { answer } => answer.poll(context).map(|routed| routed.unwrap_or_else(|never| match never {})),
        }
    }
}
