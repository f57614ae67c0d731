//! One connection, from the handshake to its end.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::answering::{Answering, Routes};
use super::framing::HEAD_BYTES;
use super::pulse::{Order, Phase, Pulse};
use super::streams::StreamExecutor;
use super::wire::{Watched, Wire};
use crate::telemetry;

/// Requests under way on one connection by HTTP/2; what RFC 9113 recommends at least, and what browsers are content with.
const STREAMS: u32 = 100;

/// Bytes of a request's headers by HTTP/2, unpacked. A query in an address fits in.
const HEADER_LIST_BYTES: u32 = 64 * 1024;

/// Bytes that a client may send on a stream, and on all of a connection, before they are read.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// Bytes of one answer by HTTP/2 that are held for a client that does not take them.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Streams that a client opened and reset before anybody looked, and streams that it broke, before it is sent away (CVE-2023-44487).
const RESET_STREAMS: usize = 20;
const BROKEN_STREAMS: usize = 100;

/// How often a client by HTTP/2 is asked for a sign of life, and how long it has for that.
const ALIVE_EVERY: Duration = Duration::from_secs(30);
const ALIVE_PATIENCE: Duration = Duration::from_secs(20);

/// Serves a connection to its end.
pub(super) async fn serve<S: Routes>(
    stream: Watched,
    pulse: Arc<Pulse>,
    peer: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    routes: S,
) {
    let answer_fault = routes.answers_faults_by();
    let wire = match tls {
        None => Wire::plain(stream, Arc::clone(&pulse), answer_fault),
        Some(config) => {
            let mut handshake = pin!(TlsAcceptor::from(config).accept(stream));
            let shaken = poll_fn(|context| {
                pulse.register(context);
                if pulse.order() == Order::Cut {
                    return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()));
                }
                handshake.as_mut().poll(context)
            });
            match shaken.await {
                Ok(stream) => {
                    pulse.enter(Phase::Head);
                    Wire::tls(stream, Arc::clone(&pulse), answer_fault)
                }
                Err(cause) => return debug!(error = telemetry::explain(&cause), "a TLS handshake failed"),
            }
        }
    };
    let streams = StreamExecutor::new(Arc::clone(&pulse));
    let builder = builder(streams.clone());
    let answering = Answering { routes, answer_fault, peer, pulse: Arc::clone(&pulse), streams };
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(wire), answering));
    let mut registered_under = None;
    let mut is_finishing = false;
    let served = poll_fn(|context| {
        // Each order takes the waker with it, so the next one needs it again.
        let order = Some(pulse.order());
        if registered_under != order {
            registered_under = order;
            pulse.register(context);
        }
        if pulse.order() == Order::Cut {
            return Poll::Ready(Ok(()));
        }
        // Who has only just connected has sent a request already, or is about to: it is waited for, for a moment.
        let is_time = |is_finishing: bool| !is_finishing && pulse.order() == Order::Finish && !pulse.awaits_head();
        if is_time(is_finishing) {
            is_finishing = true;
            connection.as_mut().graceful_shutdown();
        }
        let polled = Pin::as_mut(&mut connection).poll(context);
        // It may have come and been answered in this very moment.
        if polled.is_pending() && is_time(is_finishing) {
            is_finishing = true;
            connection.as_mut().graceful_shutdown();
            return Pin::as_mut(&mut connection).poll(context);
        }
        polled
    });
    if let Err(cause) = served.await {
        debug!(error = telemetry::explain(&*cause), "a connection ended early");
    }
}

fn builder(streams: StreamExecutor) -> Builder<StreamExecutor> {
    let mut builder = Builder::new(streams);
    builder.http1().title_case_headers(true).max_buf_size(HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_LIST_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(BROKEN_STREAMS)
        .keep_alive_interval(ALIVE_EVERY)
        .keep_alive_timeout(ALIVE_PATIENCE);
    builder
}
