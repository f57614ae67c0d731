//! What the routes work with.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{ConcurrencyLimit, Gate};
use crate::computing::Computing;
use crate::graphql::{Budget, KnownDocuments, Schema};
use crate::http::answer::cache::AnswerCache;
use crate::http::answer::unsent::Unsent;
use crate::http::edge::policy::Policy;
use crate::http::export::permits::Exports;
use crate::http::limits::RequestLimits;
use crate::http::readiness::Readiness;
use crate::http::request::documents::Documents;
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
    /// Who may call.
    pub policy: Arc<Policy>,
    /// The orderly end of the service: streams of events end with it.
    pub stop: CancellationToken,
    /// The WebSocket connections, which no longer belong to the server that accepted them.
    pub sockets: TaskTracker,
    /// Whose `WebSocket`s are open.
    pub open_sockets: ConcurrencyLimit,
    /// What answers take that are not sent yet.
    pub unsent: Unsent,
}

impl HttpState {
    /// What the answer to a request may take.
    pub(super) fn budget(&self) -> Budget {
        Budget::new(self.limits.answer_bytes, Work::new(self.limits.work, Arc::clone(&self.database)))
    }
}
