//! What one answer by HTTP/2 is at, as far as its client takes it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

/// What an answer is at.
#[derive(Debug, Default)]
pub(super) struct StreamPulse {
    /// The tick from which on the client has to take what was made last, plus one; 0 while it is being made.
    offered: AtomicU32,
    /// The tick at which the request began of whose body more is waited for, plus one; 0 when none is.
    body_since: AtomicU32,
    is_cut: AtomicBool,
    waker: AtomicWaker,
}

impl StreamPulse {
    /// A piece was made, and the client has to take it.
    pub(super) fn offer(&self, now: u32) {
        self.offered.store(now.wrapping_add(1).max(1), Ordering::Relaxed);
    }

    /// The client took what there was; the next piece is being made.
    pub(super) fn is_taken(&self) {
        self.offered.store(0, Ordering::Relaxed);
    }

    /// For how many ticks the client has not taken the last piece.
    pub(super) fn stalled_for(&self, now: u32) -> Option<u32> {
        let since = self.offered.load(Ordering::Relaxed);
        (since != 0).then(|| now.wrapping_sub(since.wrapping_sub(1)))
    }

    /// Notes whether more of the request's body is waited for; from which tick on, plus one, or 0.
    pub(super) fn awaits_body(&self, since: u32) {
        self.body_since.store(since, Ordering::Relaxed);
    }

    /// For how many ticks the request has waited for its body, if it does.
    pub(super) fn awaits_body_for(&self, now: u32) -> Option<u32> {
        let since = self.body_since.load(Ordering::Relaxed);
        (since != 0).then(|| now.wrapping_sub(since.wrapping_sub(1)))
    }

    /// Ends the answer, which resets its stream. `false` when that was done before.
    pub(super) fn cut(&self) -> bool {
        let is_first = !self.is_cut.swap(true, Ordering::Relaxed);
        self.waker.wake();
        is_first
    }

    /// Ready once the answer is to end.
    pub(super) fn poll_cut(&self, context: &Context<'_>) -> Poll<()> {
        self.waker.register(context.waker());
        if self.is_cut.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }
}
