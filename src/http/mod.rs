//! The public side: every route in one list.

mod accept;
mod answer;
mod answer_cache;
mod caller;
mod connection;
mod cors;
mod credentials;
mod documents;
mod edge;
mod encoding;
mod events;
mod execute;
mod export;
mod fault;
mod forwarded;
mod graphiql;
mod graphql;
mod health;
mod home;
mod hosts;
mod json_object;
mod manifest;
mod media_type;
mod metrics;
mod origin;
mod refusal;
mod request;
mod respond;
mod routes;
mod security_headers;
mod socket;
mod unbuffered;
mod unsent;
mod variables;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::answer_cache::AnswerCache;
pub use self::documents::{DocumentSettings, Documents};
pub use self::edge::Edge;
use self::edge::Policy;
pub use self::export::Exports;
pub use self::health::Readiness;
pub use self::hosts::Hosts;
pub use self::manifest::ManifestError;
pub use self::metrics::metrics_routes;
pub use self::origin::AllowedOrigins;
use self::refusal::Refusal;
pub use self::unsent::Unsent;
use crate::access::{ConcurrencyLimit, Gate};
use crate::computing::Computing;
use crate::graphql::{Budget, KnownDocuments, Schema, TextLimits};
use crate::metrics::Metrics;
use crate::store::Answering;
use crate::work::Work;

/// What the routes work with.
pub struct HttpState {
    /// The executable schema.
    pub schema: Schema,
    /// The documents that were seen before; the schema knows them too.
    pub known: KnownDocuments,
    /// Finished answers.
    pub kept: AnswerCache,
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
    pub limits: RequestLimits,
    /// How long each operation waits for the database in all.
    pub database: Arc<Answering>,
    /// Where answers are made that take long.
    pub computing: Computing,
    /// The origins whose pages may call.
    pub origins: AllowedOrigins,
    /// The hosts by which the service may be called.
    pub hosts: Hosts,
    /// The proxies whose word on the caller is taken.
    pub trusted_proxies: Arc<[IpNet]>,
    /// The orderly end of the service: streams of events end with it.
    pub stop: CancellationToken,
    /// The WebSocket connections, which no longer belong to the server that accepted them.
    pub sockets: TaskTracker,
    /// Whose `WebSocket`s are open.
    pub open_sockets: ConcurrencyLimit,
    /// What answers take that are not sent yet.
    pub unsent: Unsent,
}

/// Limits on single requests.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// A request body's size at most, in bytes.
    pub body_bytes: usize,
    /// Operations of one request at most; 0 refuses lists of them.
    pub batch: usize,
    /// What the texts of documents and JSON may have.
    pub text: TextLimits,
    /// Bytes of an answer at most, or of the answers to a list of operations together.
    pub answer_bytes: usize,
    /// What may be read and computed for it, likewise: see [`crate::work`].
    pub work: usize,
    /// The complexity of the operations of a list together.
    pub complexity: usize,
    /// How long a request may be worked on.
    pub timeout: Duration,
}

impl HttpState {
    /// What the answer to a request may take.
    fn budget(&self) -> Budget {
        Budget::new(self.limits.answer_bytes, Work::new(self.limits.work, Arc::clone(&self.database)))
    }
}

/// All routes of the service; those of the IDE only with it.
pub fn routes(state: HttpState, with_graphiql: bool) -> Edge {
    let (hosts, origins) = (state.hosts.clone(), state.origins.clone());
    let policy = Policy { hosts, origins, trusted_proxies: Arc::clone(&state.trusted_proxies) };
    let state = Arc::new(state);
    let router = Router::new()
        .route(routes::GRAPHQL, get(graphql::answer_get).post(graphql::answer_post))
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
    Edge::new(routes::Routes::with_graphql(router, state), policy)
}
