//! Answers by HTTP/2. Each has a flow control of its own, so one whose client takes nothing must be found by itself: the connection is
//! well as long as others go on.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use hyper::rt::Executor;
use parking_lot::Mutex;
use pin_project_lite::pin_project;

use super::pulse::Pulse;

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
}

/// Runs the answers of one connection by HTTP/2, each as a task.
#[derive(Clone, Debug)]
pub(super) struct StreamExecutor {
    pulse: Arc<Pulse>,
    /// The pulse of the request that the service was called with last. The library calls the service and then runs the answer, one request
    /// after the other.
    latest: Arc<Mutex<Option<Arc<StreamPulse>>>>,
}

impl StreamExecutor {
    pub(super) fn new(pulse: Arc<Pulse>) -> Self {
        Self { pulse, latest: Arc::default() }
    }

    /// A pulse for the request that begins now.
    pub(super) fn begin(&self) -> Arc<StreamPulse> {
        let pulse = Arc::new(StreamPulse::default());
        *self.latest.lock() = Some(Arc::clone(&pulse));
        if let Some(mut streams) = self.pulse.streams() {
            streams.push(Arc::clone(&pulse));
        }
        pulse
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for StreamExecutor {
    fn execute(&self, answering: F) {
        match self.latest.lock().take() {
            Some(pulse) => {
                let guard = Listed { connection: Arc::clone(&self.pulse), pulse: Arc::clone(&pulse) };
                tokio::spawn(Stoppable { answering, pulse, _guard: guard });
            }
            None => {
                tokio::spawn(answering);
            }
        }
    }
}

/// Takes the answer off the list of its connection.
struct Listed {
    connection: Arc<Pulse>,
    pulse: Arc<StreamPulse>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        if let Some(mut streams) = self.connection.streams() {
            streams.retain(|other| !Arc::ptr_eq(other, &self.pulse));
        }
    }
}

pin_project! {
    /// An answer that can be ended from outside.
    struct Stoppable<F> {
        #[pin]
        answering: F,
        pulse: Arc<StreamPulse>,
        _guard: Listed,
    }
}

impl<F: Future<Output = ()>> Future for Stoppable<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        this.pulse.waker.register(context.waker());
        // Dropping what sends resets the stream.
        if this.pulse.is_cut.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        this.answering.poll(context)
    }
}
