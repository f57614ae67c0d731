//! Connections whose clients stop taking what is sent to them.
//!
//! Nothing that is sent is held in memory beyond what the buffers on the way take, so whoever makes it waits for the client: an export keeps
//! its place, a subscription too. A client that takes nothing any more must not keep them for ever: its connection is cut, in the middle of
//! what was sent, and whatever made it ends as when a client goes away.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use tracing::info;

/// A listener whose connections are cut when nothing is taken of what is sent on them for some time.
#[derive(Debug)]
pub struct PatientListener<L> {
    listener: L,
    patience: Duration,
}

impl<L> PatientListener<L> {
    /// A listener that waits for its clients that long.
    pub fn new(listener: L, patience: Duration) -> Self {
        Self { listener, patience }
    }
}

impl<L: Listener<Addr = SocketAddr>> Listener for PatientListener<L> {
    type Io = PatientConnection<L::Io>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        let (connection, address) = self.listener.accept().await;
        (PatientConnection::new(connection, self.patience), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that is cut when nothing is taken of what is sent on it for some time.
#[derive(Debug)]
pub struct PatientConnection<C> {
    connection: C,
    patience: Duration,
    /// Whether the client is waited for.
    waiting: bool,
    /// When it has been waited for too long. Made when it is waited for the first time.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<C> PatientConnection<C> {
    fn new(connection: C, patience: Duration) -> Self {
        Self { connection, patience, waiting: false, deadline: None }
    }

    /// What came of sending, or that it has come to nothing for too long.
    fn watch<T>(&mut self, sent: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.waiting = false;
            return sent;
        }
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(patience)));
        if !self.waiting {
            self.waiting = true;
            deadline.as_mut().reset(Instant::now() + patience);
        }
        ready!(deadline.as_mut().poll(context));
        info!(after_s = patience.as_secs_f64(), "a client takes nothing of what is sent to it; its connection is cut");
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for PatientConnection<C> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for PatientConnection<C> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.connection).poll_write(context, bytes);
        self.watch(sent, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.connection).poll_write_vectored(context, buffers);
        self.watch(sent, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Whatever holds bytes back below waits as a write does.
        let sent = Pin::new(&mut self.connection).poll_flush(context);
        if sent.is_pending() { self.watch(sent, context) } else { sent }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::{advance, timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_waited_for_and_then_cut_off() {
        let (ours, _client) = duplex(10);
        let mut ours = PatientConnection::new(ours, PATIENCE);
        ours.write_all(&[0; 10]).await.unwrap();
        let began = Instant::now();
        assert_eq!(ours.write_all(&[0; 1]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_little_now_and_then_is_waited_for_as_long_as_it_does() {
        let (ours, mut client) = duplex(10);
        let mut ours = PatientConnection::new(ours, PATIENCE);
        ours.write_all(&[0; 10]).await.unwrap();
        let sending = tokio::spawn(async move { ours.write_all(&[0; 5]).await.map(|()| ours) });
        for _ in 0..5 {
            timeout(Duration::from_secs(59), std::future::pending::<()>()).await.unwrap_err();
            client.read_exact(&mut [0]).await.unwrap();
        }
        let mut ours = sending.await.unwrap().unwrap();
        // Between what is sent, nobody is waited for.
        advance(PATIENCE * 10).await;
        client.read_exact(&mut [0; 10]).await.unwrap();
        ours.write_all(&[0; 10]).await.unwrap();
    }
}
