//! The body of an export while it is made.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures_util::stream::try_unfold;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::account::Account;
use crate::access::{Lapse, Role, View};
use crate::export::{ExportError, ExportPlan, Piece, Written};
use crate::graphql::ApiError;
use crate::http::answer::refusal::Refusal;
use crate::http::negotiation::compressor::Compressor;
use crate::http::negotiation::encoding::Encoding;
use crate::http::state::HttpState;
use crate::request_id::carry;
use crate::telemetry::explain;

type Outcome = Result<Written, ExportError>;

/// Pieces that are made ahead of the client.
const AHEAD: usize = 2;

/// Starts an export and gives its body as soon as its first piece is there. It is made no faster than the client takes it, and ends when
/// the client goes away.
pub(super) async fn start(
    state: &HttpState,
    plan: ExportPlan,
    view: View,
    encoding: Option<Encoding>,
    account: Arc<Account>,
) -> Result<Body, Refusal> {
    let (to, mut pieces) = mpsc::channel(AHEAD);
    let store = Arc::clone(&state.exports.store);
    let (gate, taken_back) = (Arc::clone(&state.gate), CancellationToken::new());
    // Holds the account too: an export is over when nothing works for it any more.
    let (keeping, told_taken_back) = (Arc::clone(&account), taken_back.clone());
    let running = tokio::spawn(carry(async move {
        // Not the tenants that are no longer watched count, but those that the caller may no longer see.
        let wanted = plan.tenants.clone();
        let may = move |view: &View| view.may(Role::Export) && wanted.iter().all(|tenant| view.shows(tenant));
        let outcome = tokio::select! {
            outcome = plan.run(store, to, |_| ()) => outcome,
            () = gate.until_taken_back(view, may) => {
                keeping.set_taken_back();
                told_taken_back.cancel();
                Err(ExportError::TakenBack)
            }
        };
        if let Err(ExportError::Store(_) | ExportError::Encoding(_)) = &outcome {
            keeping.set_failed();
        }
        outcome
    }));
    let first = pieces.recv().await;
    let running = if first.is_some() { Some(running) } else { ended(running.await)? };
    let compressor = encoding.map(Compressor::new).transpose().map_err(|cause| ApiError::Internal(explain(&cause)))?;
    Ok(Body::from_stream(carry(try_unfold(File { first, pieces, compressor, running, account, taken_back }, File::next))))
}

/// Of an export that ended without a piece: nothing is left to wait for when the file is an empty one.
fn ended(outcome: Result<Outcome, JoinError>) -> Result<Option<JoinHandle<Outcome>>, ApiError> {
    match outcome {
        Ok(Ok(_)) => Ok(None),
        Ok(Err(ExportError::Store(cause))) => Err(cause.into()),
        Ok(Err(ExportError::TakenBack)) => Err(ApiError::Lapsed(Lapse::Withdrawn)),
        Ok(Err(cause)) => Err(ApiError::Internal(explain(&cause))),
        Err(cause) => Err(ApiError::Internal(explain(&cause))),
    }
}

/// What is still to be sent.
struct File {
    first: Option<Piece>,
    pieces: mpsc::Receiver<Piece>,
    compressor: Option<Compressor>,
    /// `None` after its end.
    running: Option<JoinHandle<Outcome>>,
    account: Arc<Account>,
    /// What was made already is not sent either.
    taken_back: CancellationToken,
}

impl File {
    /// The next piece. An error breaks the connection off: the client misses the end of the body.
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let piece = self.make().await.inspect_err(|cause| {
            self.account.set_failed();
            error!(error = explain(cause), "an export failed");
        })?;
        let Some(bytes) = piece else {
            self.account.set_whole();
            return Ok(None);
        };
        self.account.count_sent(bytes.len());
        Ok(Some((bytes, self)))
    }

    /// The next piece as it is sent; `None` at the end.
    async fn make(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if self.taken_back.is_cancelled() {
                return Err(io::Error::other(ExportError::TakenBack));
            }
            let piece = match self.first.take() {
                Some(first) => Some(first),
                None => self.pieces.recv().await,
            };
            if let Some(piece) = &piece {
                self.account.count(piece);
            }
            let encoded = match (piece, self.compressor.take()) {
                (Some(piece), None) => piece.bytes,
                (Some(piece), Some(mut compressor)) => {
                    let (compressor, encoded) =
                        spawn_blocking(move || compressor.add(&piece.bytes).map(|encoded| (compressor, encoded))).await??;
                    self.compressor = Some(compressor);
                    encoded
                }
                (None, compressor) => {
                    if let Some(running) = self.running.take() {
                        running.await?.map_err(io::Error::other)?;
                    }
                    match compressor {
                        Some(compressor) => compressor.finish()?,
                        None => return Ok(None),
                    }
                }
            };
            if !encoded.is_empty() {
                return Ok(Some(encoded));
            }
        }
    }
}
