//! The signals by which a process is told to end.

use std::future::poll_fn;
use std::io;
use std::process::ExitCode;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ask for an orderly end.
pub(super) const END: [SignalKind; 2] = [SignalKind::terminate(), SignalKind::interrupt()];
/// The same for a process that has nothing to read again, so that it also ends with its terminal.
pub(super) const END_OR_HANG_UP: [SignalKind; 3] = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];

/// Signals that are waited for. From its making on they no longer end the process by themselves, and none is missed.
#[derive(Debug)]
pub(super) struct Signals(Vec<(SignalKind, Signal)>);

impl Signals {
    /// Begins to listen.
    pub(super) fn listen(kinds: &[SignalKind]) -> io::Result<Self> {
        kinds.iter().map(|kind| Ok((*kind, signal(*kind)?))).collect::<io::Result<_>>().map(Self)
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> SignalKind {
        poll_fn(|context| {
            for (kind, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(*kind);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// The exit code of a process that a signal ended, by the convention of shells.
pub(super) fn exit_code_of(kind: SignalKind) -> ExitCode {
    ExitCode::from(u8::try_from(128 + kind.as_raw_value()).unwrap_or(u8::MAX))
}
