//! Answers by HTTP/2. Each has a flow control of its own, so one whose client takes nothing must be found by itself: the connection is
//! well as long as others go on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::rt::Executor;
use parking_lot::Mutex;
use pin_project_lite::pin_project;

use super::pulse::Pulse;
use super::stream_pulse::StreamPulse;

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
        // Dropping what sends resets the stream.
        if this.pulse.poll_cut(context).is_ready() {
            return Poll::Ready(());
        }
        this.answering.poll(context)
    }
}
