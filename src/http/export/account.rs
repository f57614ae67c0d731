//! The account of an export: what was taken of the file and how it ended, for the audit log and the figures.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::access::{PrincipalName, View};
use crate::export::{ExportKind, ExportPlan, Piece};
use crate::http::state::HttpState;
use crate::metrics::ExportMetrics;

/// Opened when an export begins. When nobody holds it any more the export is over: its place is free, and the audit log has a line that tells
/// how it ended.
pub(super) struct Account {
    principal: PrincipalName,
    kind: ExportKind,
    format: &'static str,
    tenants: usize,
    began: Instant,
    taken: Mutex<Taken>,
    place: Option<OwnedSemaphorePermit>,
    metrics: ExportMetrics,
    stop: CancellationToken,
}

/// What the client's connection took.
#[derive(Default)]
struct Taken {
    rows: u64,
    bytes: u64,
    bytes_sent: u64,
    end: Option<End>,
}

/// How it is known to have ended.
#[derive(Clone, Copy)]
enum End {
    Whole,
    Failed,
    TakenBack,
}

impl Account {
    /// Opens one, with a line in the audit log.
    pub fn open(state: &HttpState, view: &View, kind: ExportKind, plan: &ExportPlan, place: OwnedSemaphorePermit) -> Arc<Self> {
        let account = Self {
            principal: view.principal().name.clone(),
            kind,
            format: plan.format.name(),
            tenants: plan.tenants.len(),
            began: Instant::now(),
            taken: Mutex::default(),
            place: Some(place),
            metrics: state.metrics.exports.clone(),
            stop: state.stop.clone(),
        };
        let Self { principal, format, tenants, .. } = &account;
        let by = principal.means().name();
        info!(target: "quotagraph::audit", %principal, by, export = kind.name(), format, tenants, outcome = "STARTED", "export");
        Arc::new(account)
    }

    /// A piece was taken.
    pub fn count(&self, piece: &Piece) {
        let mut taken = self.taken.lock();
        taken.rows += piece.rows;
        taken.bytes += piece.bytes.len() as u64;
    }

    /// So many bytes of the body were taken, as they are sent.
    pub fn count_sent(&self, bytes: usize) {
        self.taken.lock().bytes_sent += bytes as u64;
    }

    /// All of it was taken.
    pub fn set_whole(&self) {
        self.taken.lock().end = Some(End::Whole);
    }

    /// It could not be finished.
    pub fn set_failed(&self) {
        self.taken.lock().end.get_or_insert(End::Failed);
    }

    /// Its caller may not have it any more.
    pub fn set_taken_back(&self) {
        self.taken.lock().end.get_or_insert(End::TakenBack);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.place.take();
        let Taken { rows, bytes, bytes_sent, end } = std::mem::take(self.taken.get_mut());
        let outcome = match end {
            Some(End::Whole) => "OK",
            Some(End::Failed) => "FAILED",
            Some(End::TakenBack) => "TAKEN_BACK",
            // Its client may have gone in that moment too; what it has is cut off in any case.
            None if self.stop.is_cancelled() => "CUT",
            None => "GONE",
        };
        let whole = matches!(end, Some(End::Whole));
        self.metrics.count(outcome, if whole { (rows, bytes) } else { (0, 0) });
        let Self { principal, kind, format, tenants, began, .. } = self;
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        info!(
            target: "quotagraph::audit", %principal, by = principal.means().name(), export = kind.name(), format, tenants, rows, bytes, bytes_sent, duration_ms, outcome,
            "export"
        );
    }
}
