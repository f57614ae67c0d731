//! Closing so that the last words arrive.
//!
//! When a socket is closed while something of the client lies unread in it, the system resets the connection, and the client may never see
//! what was sent before: why its body is too large, or with which code its WebSocket was closed. So what is still coming is read and thrown
//! away for a moment (RFC 9112, section 9.6).

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::pulse::Order;
use super::stream::Stream;
use super::sweep::Place;

/// For how long at most, and for how many bytes.
const AT_MOST: Duration = Duration::from_secs(1);
const BYTES_AT_MOST: usize = 4 << 20;

/// Closes a connection of which everything is written. It keeps its place meanwhile.
pub(super) fn linger(stream: Stream, place: Place) {
    let Ok(runtime) = Handle::try_current() else { return };
    runtime.spawn(async move {
        let draining = async {
            match stream {
                Stream::Tcp(stream) => drain(stream).await,
                Stream::Unix(stream) => drain(stream).await,
            }
        };
        // Who was told to make room goes at once.
        let cut = poll_fn(|context| {
            place.pulse.register(context);
            if place.pulse.order() == Order::Cut { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::select! {
            _ = timeout(AT_MOST, draining) => {}
            () = cut => {}
        }
    });
}

async fn drain(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut thrown_away = 0;
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        thrown_away += count;
        if thrown_away > BYTES_AT_MOST {
            return;
        }
    }
}
