//! The bodies of requests that are still on their way, so that it is known which connections wait for their clients.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::pulse::Pulse;
use super::stream_pulse::StreamPulse;

/// The body of a request of which something is to come.
#[derive(Debug)]
pub(super) struct Arriving {
    body: Incoming,
    /// The tick at which the request began, plus one. A client that sends a byte now and then has no more time for it.
    since: u32,
    pulse: Arc<Pulse>,
    /// By HTTP/2.
    stream: Option<Arc<StreamPulse>>,
}

impl Arriving {
    pub(super) fn new(body: Incoming, pulse: Arc<Pulse>, stream: Option<Arc<StreamPulse>>) -> Self {
        Self { body, since: pulse.now().wrapping_add(1).max(1), pulse, stream }
    }

    fn awaits(&self, awaits: bool) {
        let since = if awaits { self.since } else { 0 };
        match &self.stream {
            Some(stream) => stream.awaits_body(since),
            None => self.pulse.awaits_body(since),
        }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.awaits(polled.is_pending());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.awaits(false);
    }
}
