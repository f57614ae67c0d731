//! Between the library and the routes: each request of a connection is checked, counted as under way until its answer is taken, and kept
//! from harming others when it panics.

use std::any::Any;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::Service;
use pin_project_lite::pin_project;

use super::arriving::Arriving;
use super::framing::Announced;
use super::head::{self, BadHead};
use super::pulse::{Phase, Pulse};
use super::stream_pulse::StreamPulse;
use super::streams::StreamExecutor;

/// A request that no route answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its head is not right.
    Head(BadHead),
    /// What answered it panicked; the log has the panic.
    Panic,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: SocketAddr,
    /// To be given when it proves who it is. `None` when that was done before on this connection.
    pub trust: Option<Trust>,
}

/// Makes a connection one whose client has proved who it is. Until it is given, a connection that waits for its client is the first to make
/// room for others, and what may be sent on one that becomes a WebSocket is little.
#[derive(Clone, Debug)]
pub struct Trust(Arc<Pulse>);

impl Trust {
    /// The client has proved who it is.
    pub fn give(&self) {
        self.0.trust();
    }
}

/// Writes the answer to a fault, whole.
pub type AnswerFault = fn(Fault) -> Response<Body>;

/// What answers requests. Clones are the same; each connection has one.
pub trait Routes: Clone + Send + Sync + 'static {
    /// An answer that is being made.
    type Answer: Future<Output = Response<Body>> + Send;

    /// Answers a request of this peer.
    fn answer(&self, request: Request<Body>, peer: Peer) -> Self::Answer;

    /// What writes the answers to faults.
    fn answers_faults_by(&self) -> AnswerFault;
}

/// Answers the requests of one connection.
pub(super) struct Answering<S> {
    pub(super) routes: S,
    pub(super) answer_fault: AnswerFault,
    pub(super) peer: SocketAddr,
    pub(super) pulse: Arc<Pulse>,
    pub(super) streams: StreamExecutor,
}

impl<S: Routes> Service<Request<Incoming>> for Answering<S> {
    type Response = Response<Watched>;
    type Error = Infallible;
    type Future = Answer<S::Answer>;

    fn call(&self, mut request: Request<Incoming>) -> Answer<S::Answer> {
        let mut under_way = UnderWay { pulse: Arc::clone(&self.pulse), stream: None, is_whole: false };
        if request.version() == Version::HTTP_2 {
            self.pulse.speaks_http2();
            under_way.stream = Some(self.streams.begin());
        }
        let announced = announced(&request);
        let beginning = self.pulse.begin(&request, announced);
        // What wants to be something else than HTTP has extensions from the library, and is trusted only as that.
        let trust = (!self.pulse.is_trusted() || !request.extensions().is_empty()).then(|| Trust(Arc::clone(&self.pulse)));
        let checked =
            head::check(&mut request, (announced == Announced::Chunked && under_way.stream.is_none()).then_some(beginning.seen));
        let state = match checked {
            Ok(()) => {
                let stream = under_way.stream.as_ref();
                let request = request.map(|body| {
                    if beginning.is_whole {
                        Body::new(body)
                    } else {
                        Body::new(Arriving::new(body, Arc::clone(&self.pulse), stream.cloned()))
                    }
                });
                let peer = Peer { address: self.peer, trust };
                match catch_unwind(AssertUnwindSafe(|| self.routes.answer(request, peer))) {
                    Ok(routed) => State::Routed { routed },
                    Err(panic) => State::of_panic(panic),
                }
            }
            Err(bad) => State::Refused { fault: Fault::Head(bad) },
        };
        Answer { state, on_fault: self.answer_fault, under_way: Some(under_way) }
    }
}

/// The body that comes with a request.
fn announced(request: &Request<Incoming>) -> Announced {
    let body = request.body();
    if body.is_end_stream() { Announced::Length(0) } else { body.size_hint().exact().map_or(Announced::Chunked, Announced::Length) }
}

pin_project! {
    /// An answer that is being made.
    pub(super) struct Answer<F> {
        #[pin]
        state: State<F>,
        on_fault: AnswerFault,
        under_way: Option<UnderWay>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Routed { #[pin] routed: F },
        Refused { fault: Fault },
    }
}

impl<F> State<F> {
    /// The hook has logged the panic. What it was about is not for clients.
    fn of_panic(panic: Box<dyn Any + Send>) -> Self {
        drop(panic);
        Self::Refused { fault: Fault::Panic }
    }
}

impl<F: Future<Output = Response<Body>>> Future for Answer<F> {
    type Output = Result<Response<Watched>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let response = match this.state.as_mut().project() {
            StateProjection::Routed { routed } => match catch_unwind(AssertUnwindSafe(|| routed.poll(context))) {
                Ok(polled) => ready!(polled),
                Err(panic) => {
                    this.state.set(State::of_panic(panic));
                    (this.on_fault)(Fault::Panic)
                }
            },
            StateProjection::Refused { fault } => {
                let mut response = (this.on_fault)(*fault);
                // Where the next request begins is not to be relied on, after a head that was not right.
                if matches!(fault, Fault::Head(_)) && this.under_way.as_ref().is_some_and(|under_way| under_way.stream.is_none()) {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                response
            }
        };
        let under_way = this.under_way.take();
        if response.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(under_way) = &under_way
        {
            under_way.pulse.enter(Phase::Upgraded);
        }
        Poll::Ready(Ok(response.map(|body| Watched { rest: Bytes::new(), body, under_way })))
    }
}

/// A request that is under way, until it is let go of.
#[derive(Debug)]
struct UnderWay {
    pulse: Arc<Pulse>,
    /// By HTTP/2, where it is one of several.
    stream: Option<Arc<StreamPulse>>,
    is_whole: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.pulse.end(!self.is_whole);
    }
}

/// Bytes of an answer that are given to HTTP/2 at once. It takes all of a piece as soon as the client takes a byte of it, so pieces are
/// small.
const PIECE_BYTES: usize = 16 * 1024;

/// The body of an answer, watched as it is taken.
#[derive(Debug)]
pub(super) struct Watched {
    body: Body,
    /// What is left of the last piece, by HTTP/2.
    rest: Bytes,
    under_way: Option<UnderWay>,
}

impl Watched {
    /// The next piece. By HTTP/2 large ones are cut, and so is the last byte: an answer counts as taken when the client has made room for the
    /// last piece's first byte.
    fn cut(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        let Ok(mut data) = frame.into_data() else { return Frame::data(Bytes::new()) };
        if data.len() > 1 {
            self.rest = data.split_off(PIECE_BYTES.min(data.len() - 1));
        }
        Frame::data(data)
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let stream = this.under_way.as_ref().and_then(|under_way| under_way.stream.clone());
        if let Some(stream) = &stream {
            stream.is_taken();
            if !this.rest.is_empty() {
                let rest = std::mem::take(&mut this.rest);
                let piece = this.cut(Frame::data(rest));
                stream.offer(this.under_way.as_ref().map_or(0, |under_way| under_way.pulse.now()));
                return Poll::Ready(Some(Ok(piece)));
            }
        }
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut this.body).poll_frame(context)));
        let polled = match polled {
            Ok(polled) => ready!(polled),
            Err(_) => Some(Err(axum::Error::new("the answer could not be made"))),
        };
        // The connection, or the stream by HTTP/2, is broken off: half an answer must not look whole.
        if let (Some(Err(_)), None, Some(under_way)) = (&polled, &stream, &this.under_way) {
            under_way.pulse.break_off();
        }
        match (polled, stream) {
            (Some(Ok(frame)), Some(stream)) if frame.is_data() => {
                let piece = this.cut(frame);
                if let Some(under_way) = &this.under_way {
                    stream.offer(under_way.pulse.now());
                }
                Poll::Ready(Some(Ok(piece)))
            }
            (None, _) => {
                if let Some(under_way) = &mut this.under_way {
                    under_way.is_whole = true;
                }
                Poll::Ready(None)
            }
            (frame, _) => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        match hint.exact() {
            Some(exact) => SizeHint::with_exact(exact + rest),
            None => hint,
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.is_end_stream()
            && let Some(under_way) = &mut self.under_way
        {
            under_way.is_whole = true;
        }
    }
}
