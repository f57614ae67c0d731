//! The body of an export while it is made.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use futures_util::stream::try_unfold;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tracing::{error, info};

use super::compressor::Compressor;
use super::{Encoding, HttpState, Refusal};
use crate::export::{ExportError, Plan, Written};
use crate::graphql::ApiError;
use crate::telemetry::explain;

type Outcome = Result<Written, ExportError>;

/// Pieces that are made ahead of the client.
const AHEAD: usize = 2;

/// Starts an export and gives its body as soon as its first piece is there. It is made no faster than the client takes it, and ends when
/// the client goes away.
pub(super) async fn start(
    state: &Arc<HttpState>,
    plan: Plan,
    encoding: Option<Encoding>,
    permit: OwnedSemaphorePermit,
) -> Result<Body, Refusal> {
    let (to, mut pieces) = mpsc::channel(AHEAD);
    let store = Arc::clone(&state.exports.store);
    let metrics = state.metrics.exports.clone();
    let running = tokio::spawn(async move {
        let _permit = permit;
        let (started, kind, format) = (Instant::now(), plan.kind().name(), plan.format.name());
        let tenants = plan.tenants.len();
        let outcome = plan.run(store, to, |_| ()).await;
        let (told, written) = tell(&outcome);
        metrics.count(told, written.rows, written.bytes);
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        info!(export = kind, format, tenants, rows = written.rows, bytes = written.bytes, duration_ms, outcome = told, "export");
        outcome
    });
    let first = pieces.recv().await;
    let running = if first.is_some() { Some(running) } else { ended(running.await)? };
    let compressor = encoding.map(Compressor::new).transpose().map_err(|cause| ApiError::Internal(explain(&cause)))?;
    Ok(Body::from_stream(try_unfold(File { first, pieces, compressor, running }, File::next)))
}

/// Of an export that ended without a piece: nothing is left to wait for when the file is an empty one.
fn ended(outcome: Result<Outcome, JoinError>) -> Result<Option<JoinHandle<Outcome>>, ApiError> {
    match outcome {
        Ok(Ok(_)) => Ok(None),
        Ok(Err(ExportError::Store(cause))) => Err(cause.into()),
        Ok(Err(cause)) => Err(ApiError::Internal(explain(&cause))),
        Err(cause) => Err(ApiError::Internal(explain(&cause))),
    }
}

/// What is still to be sent.
struct File {
    first: Option<Bytes>,
    pieces: mpsc::Receiver<Bytes>,
    compressor: Option<Compressor>,
    /// `None` after its end.
    running: Option<JoinHandle<Outcome>>,
}

impl File {
    /// The next piece. An error breaks the connection off: the client misses the end of the body.
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        loop {
            let piece = match self.first.take() {
                Some(first) => Some(first),
                None => self.pieces.recv().await,
            };
            let encoded = match (piece, self.compressor.take()) {
                (Some(piece), None) => piece,
                (Some(piece), Some(mut compressor)) => {
                    let (compressor, encoded) =
                        spawn_blocking(move || compressor.add(&piece).map(|encoded| (compressor, encoded))).await??;
                    self.compressor = Some(compressor);
                    encoded
                }
                (None, compressor) => {
                    if let Some(running) = self.running.take()
                        && let Err(cause) = running.await?
                    {
                        error!(error = explain(&cause), "an export broke off");
                        return Err(io::Error::other(cause));
                    }
                    match compressor {
                        Some(compressor) => compressor.finish()?,
                        None => return Ok(None),
                    }
                }
            };
            if !encoded.is_empty() {
                return Ok(Some((encoded, self)));
            }
        }
    }
}

fn tell(outcome: &Outcome) -> (&'static str, Written) {
    match outcome {
        Ok(written) => ("OK", *written),
        Err(ExportError::Gone) => ("GONE", Written::default()),
        Err(ExportError::Store(_) | ExportError::Encoding(_)) => ("FAILED", Written::default()),
    }
}
