//! A listener whose connections are TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};
use tracing::debug;

use super::Certificate;
use crate::telemetry;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// TLS on top of another listener.
#[derive(Debug)]
pub struct TlsListener<L> {
    listener: L,
    certificate: Certificate,
}

impl<L> TlsListener<L> {
    /// A listener that shows this certificate.
    pub fn new(listener: L, certificate: Certificate) -> Self {
        Self { listener, certificate }
    }
}

impl<L: Listener<Addr = SocketAddr>> Listener for TlsListener<L> {
    type Io = TlsConnection<L::Io>;
    type Addr = SocketAddr;

    /// The handshake is left to whoever reads first, so that a slow one delays nobody else.
    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        let (connection, address) = self.listener.accept().await;
        let accept = TlsAcceptor::from(self.certificate.current()).accept(connection);
        (TlsConnection(State::Handshake(Box::new((accept, Box::pin(sleep(HANDSHAKE_TIMEOUT)))))), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection with TLS.
pub struct TlsConnection<C>(State<C>);

enum State<C> {
    Handshake(Box<(Accept<C>, Pin<Box<Sleep>>)>),
    Open(Box<TlsStream<C>>),
    Failed,
}

impl<C: AsyncRead + AsyncWrite + Unpin> TlsConnection<C> {
    /// The stream, once the handshake is over.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Pin<&mut TlsStream<C>>>> {
        if let State::Handshake(handshake) = &mut self.0 {
            let (accept, deadline) = &mut **handshake;
            let outcome = match Pin::new(accept).poll(context) {
                Poll::Ready(outcome) => outcome,
                Poll::Pending => {
                    ready!(deadline.as_mut().poll(context));
                    Err(io::ErrorKind::TimedOut.into())
                }
            };
            match outcome {
                Ok(stream) => self.0 = State::Open(Box::new(stream)),
                Err(cause) => {
                    debug!(error = telemetry::explain(&cause), "a TLS handshake failed");
                    self.0 = State::Failed;
                    return Poll::Ready(Err(cause));
                }
            }
        }
        Poll::Ready(self.open().ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }

    fn open(&mut self) -> Option<Pin<&mut TlsStream<C>>> {
        match &mut self.0 {
            State::Open(stream) => Some(Pin::new(&mut **stream)),
            State::Handshake(_) | State::Failed => None,
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsConnection<C> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(context))?.poll_read(context, buffer)
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsConnection<C> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(context))?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(context))?.poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open().map_or(Poll::Ready(Ok(())), |stream| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open().map_or(Poll::Ready(Ok(())), |stream| stream.poll_shutdown(context))
    }
}
