//! The bytes of a connection, below and above TLS, watched on their way.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::answering::{AnswerFault, Fault};
use super::linger::linger;
use super::pulse::{Order, Phase, Pulse};
use super::stream::Stream;
use super::sweep::Place;
use super::unread;
use crate::telemetry;

/// What connects to a client, with its place among the connections that may be open. When it is let go of before the client has said its
/// last, it lingers.
#[derive(Debug)]
pub(super) struct Transport {
    /// `None` while it is dropped.
    open: Option<(Stream, Place)>,
    /// Whether the client has said its last, or is gone.
    is_over: bool,
}

impl Transport {
    pub(super) fn new(stream: Stream, place: Place) -> Self {
        Self { open: Some((stream, place)), is_over: false }
    }

    /// Calls what is called of the stream, and notes whether the client is gone.
    fn with<O>(&mut self, call: impl FnOnce(&mut Stream) -> Poll<io::Result<O>>) -> Poll<io::Result<O>> {
        let Some((stream, _)) = &mut self.open else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let outcome = call(stream);
        if matches!(outcome, Poll::Ready(Err(_))) {
            self.is_over = true;
        }
        outcome
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        let Some((stream, place)) = self.open.take() else { return };
        if place.pulse.is_worthless() {
            // The system would go on to send what it holds, megabytes for as long as a client likes.
            if let Stream::Tcp(stream) = &stream
                && let Err(cause) = stream.set_zero_linger()
            {
                debug!(error = telemetry::explain(&cause), "a connection cannot be reset");
            }
            return;
        }
        if !self.is_over && place.pulse.order() < Order::Cut {
            linger(stream, place);
        }
    }
}

/// Calls the same method of whichever stream it is.
macro_rules! either {
    ($self:expr, $method:ident($($argument:expr),*)) => {
        match $self {
            Stream::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            Stream::Unix(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.with(|stream| either!(stream, poll_read(context, buffer)));
        if read.is_ready() && buffer.filled().len() == before {
            self.is_over = true;
        }
        read
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| either!(stream, poll_write(context, bytes)))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| either!(stream, poll_write_vectored(context, buffers)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| either!(stream, poll_flush(context)))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| either!(stream, poll_shutdown(context)))
    }
}

/// A transport that notes when its client takes nothing, and that breaks off when it is told to.
#[derive(Debug)]
pub(super) struct Watched<T = Transport> {
    transport: T,
    pulse: Arc<Pulse>,
}

impl<T> Watched<T> {
    pub(super) fn new(transport: T, pulse: Arc<Pulse>) -> Self {
        Self { transport, pulse }
    }

    /// Before anything is done: whether the connection was told to break off.
    fn check(&self) -> io::Result<()> {
        if self.pulse.order() == Order::Cut { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    /// Whoever waits is woken by orders. A connection that is HTTP has a task that is registered already.
    fn wait<O>(&self, outcome: Poll<O>, context: &Context<'_>) -> Poll<O> {
        if outcome.is_pending() && self.pulse.phase() == Phase::Upgraded {
            self.pulse.register(context);
        }
        outcome
    }

    fn watch<O>(&self, sent: Poll<io::Result<O>>, context: &Context<'_>) -> Poll<io::Result<O>> {
        self.pulse.takes(sent.is_ready());
        self.wait(sent, context)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        let read = Pin::new(&mut self.transport).poll_read(context, buffer);
        self.wait(read, context)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        let sent = Pin::new(&mut self.transport).poll_write(context, bytes);
        self.watch(sent, context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.check()?;
        let sent = Pin::new(&mut self.transport).poll_write_vectored(context, bytes);
        self.watch(sent, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket holds nothing back.
        Pin::new(&mut self.transport).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(context)
    }
}

/// A connection as HTTP sees it. What is read tells when the head of a request begins.
#[derive(Debug)]
pub(super) struct Wire {
    layer: Layer,
    pulse: Arc<Pulse>,
    /// Whether the head that makes it a WebSocket was written.
    is_switched: bool,
    answer_fault: AnswerFault,
}

#[derive(Debug)]
enum Layer {
    Plain(Watched),
    Tls(Box<TlsStream<Watched>>),
}

/// Calls the same method of whichever layer it is.
macro_rules! layer {
    ($self:expr, $method:ident($($argument:expr),*)) => {
        match &mut $self.layer {
            Layer::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Layer::Tls(stream) => Pin::new(&mut **stream).$method($($argument),*),
        }
    };
}

impl Wire {
    pub(super) fn plain(stream: Watched, pulse: Arc<Pulse>, answer_fault: AnswerFault) -> Self {
        Self { layer: Layer::Plain(stream), pulse, is_switched: false, answer_fault }
    }

    pub(super) fn tls(stream: TlsStream<Watched>, pulse: Arc<Pulse>, answer_fault: AnswerFault) -> Self {
        Self { layer: Layer::Tls(Box::new(stream)), pulse, is_switched: false, answer_fault }
    }
}

/// Names of headers as the library writes them, and as RFC 6455 does. Case means nothing in HTTP, but the Python client gql takes only the latter.
const SOCKET_NAMES: (&[u8], &[u8]) = (b"\r\nSec-Websocket-", b"\r\nSec-WebSocket-");

impl Wire {
    /// Whether what is written now is the head that makes this a WebSocket.
    fn switches(&self) -> bool {
        self.pulse.phase() == Phase::Upgraded && !self.is_switched
    }

    /// Writes that head.
    fn switch(&mut self, context: &mut Context<'_>, head: &[u8]) -> Poll<io::Result<usize>> {
        let (from, to) = SOCKET_NAMES;
        let mut head = head.to_vec();
        for place in 0..head.len() {
            if head[place..].starts_with(from) {
                head[place..place + to.len()].copy_from_slice(to);
            }
        }
        let written = layer!(self, poll_write(context, &head));
        // It fits into what an empty socket takes at once.
        self.is_switched = written.is_ready();
        written
    }

    /// Writes what is answered instead of what the library answers by itself; `None` when it does not.
    fn refuse(&mut self, context: &mut Context<'_>, written: &[u8]) -> Option<Poll<io::Result<usize>>> {
        if self.pulse.is_serving() {
            return None;
        }
        let fault = unread::fault_of(written)?;
        let answer = unread::write((self.answer_fault)(Fault::Head(fault)), written);
        // It fits, too, and nothing comes after it.
        Some(layer!(self, poll_write(context, &answer)).map_ok(|_| written.len()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = layer!(self, poll_read(context, buffer));
        let Some(came) = buffer.filled().get(before..).filter(|came| !came.is_empty()) else { return read };
        if self.pulse.hear(came) { read } else { Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into())) }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.switches() {
            return self.switch(context, bytes);
        }
        if let Some(refused) = self.refuse(context, bytes) {
            return refused;
        }
        layer!(self, poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.switches() {
            let first = buffers.iter().find(|buffer| !buffer.is_empty());
            return self.switch(context, first.map_or(&[], |first| first));
        }
        if let [only] = buffers
            && let Some(refused) = self.refuse(context, only)
        {
            return refused;
        }
        layer!(self, poll_write_vectored(context, buffers))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.layer {
            Layer::Plain(stream) => stream.is_write_vectored(),
            Layer::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        layer!(self, poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        layer!(self, poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::super::pulse::Ticks;
    use super::*;

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_noted_until_it_takes_something() {
        let ticks = Arc::new(Ticks::default());
        let pulse = Arc::new(Pulse::new(Arc::clone(&ticks), Phase::Head));
        let (ours, mut client) = duplex(10);
        let mut ours = Watched::new(ours, Arc::clone(&pulse));
        ours.write_all(&[0; 10]).await.unwrap();
        assert_eq!(pulse.stalled_for(ticks.tick()), None);
        assert!(ours.write_all(&[0; 5]).now_or_never().is_none());
        for _ in 0..6 {
            ticks.tick();
        }
        let now = ticks.tick();
        assert_eq!(pulse.stalled_for(now), Some(7));
        client.read_exact(&mut [0; 10]).await.unwrap();
        ours.write_all(&[0; 5]).await.unwrap();
        assert_eq!(pulse.stalled_for(now), None);
    }

    #[tokio::test]
    async fn what_is_told_to_break_off_fails_whoever_reads_or_writes() {
        let pulse = Arc::new(Pulse::new(Arc::default(), Phase::Upgraded));
        let (ours, _client) = duplex(10);
        let mut ours = Watched::new(ours, Arc::clone(&pulse));
        let reading = tokio::spawn(async move {
            let error = ours.read(&mut [0; 1]).await.unwrap_err();
            (error.kind(), ours.write(&[0; 1]).await.unwrap_err().kind())
        });
        tokio::task::yield_now().await;
        pulse.tell(Order::Cut);
        assert_eq!(reading.await.unwrap(), (io::ErrorKind::TimedOut, io::ErrorKind::TimedOut));
    }
}
