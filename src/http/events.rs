//! Server-sent events, as graphql-sse has them in its distinct connections mode: each operation has a connection of its own, on which each
//! response is an event `next`, and the end an event `complete`.
//!
//! Events of a subscription have ids, so that a browser's `EventSource`, which tells the last one when it connects again, goes on after it. The
//! first id comes at once, with an event that has neither a name nor data: clients take its id and tell nobody (the one of browsers tells
//! listeners of `message`, which nobody listens for where events have names).
//! When the service ends, or the credentials of the caller are no longer valid, the stream ends without `complete`: clients then connect again.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::access::{Gate, View};
use crate::graphql::{Delivery, code};
use crate::http::answer::Told;
use crate::http::answer::refusal::Refusal;
use crate::http::answer::unbuffered;
use crate::http::execute::Operation;
use crate::http::state::HttpState;
use crate::quota::parse_instant;
use crate::request_id::carry;

/// How often an idle connection shows that it lives; below what proxies take for dead.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// A comment, by which it does.
const ALIVE: &[u8] = b":\n\n";

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Nobody on the way may keep events or gather them to compress them.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("no-cache, no-transform");

/// The last event. Browsers pass over an event without a line of data, and gateways read more than an empty line as JSON.
const COMPLETE: &[u8] = b"event: complete\ndata:\n\n";

/// Answers an operation by events.
pub(super) fn send_events(
    state: &Arc<HttpState>,
    view: View,
    operation: Operation,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    if operation.weight() > Operation::HELD_BYTES {
        let sentence = "the document and the variables hold more than is kept for a stream of events; send fewer values";
        return Err(Refusal { code: code::QUERY_TOO_COMPLEX, ..Refusal::bad_request(sentence) });
    }
    let delivery = Delivery { resume_after: last_event(headers)?, ..Delivery::by("sse") };
    let is_subscription = operation.is_subscription();
    let (begins_after, place) = (Arc::clone(&delivery.begins_after), Arc::clone(&delivery.place));
    let responses = operation.stream(state, view.clone(), delivery);
    let (gate, stop) = (Arc::clone(&state.gate), state.stop.clone());
    let sending = Sending { responses, begins_after, place, gate, view, stop, is_subscription, is_over: false };
    let events = stream::unfold(sending, Sending::next).take_until(state.stop.clone().cancelled_owned());
    let mut response = Response::new(Body::from_stream(carry(events.map(Ok::<_, Infallible>))));
    response.headers_mut().insert(header::CONTENT_TYPE, EVENT_STREAM);
    response.headers_mut().insert(header::CACHE_CONTROL, CACHE_CONTROL);
    response.headers_mut().insert(unbuffered::HEADER.0, unbuffered::HEADER.1);
    Ok(response)
}

/// An operation that is answered by events.
struct Sending {
    responses: BoxStream<'static, Told>,
    /// Where the subscription began, as soon as it has and until it was told.
    begins_after: Arc<Mutex<Option<Timestamp>>>,
    /// The place of the response that came last.
    place: Arc<Mutex<Option<Timestamp>>>,
    gate: Arc<Gate>,
    view: View,
    stop: CancellationToken,
    is_subscription: bool,
    is_over: bool,
}

impl Sending {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if self.is_over {
            return None;
        }
        let response = poll_fn(|context| match self.responses.poll_next_unpin(context) {
            Poll::Ready(response) => Poll::Ready(Ok(response)),
            Poll::Pending => self.begins_after.lock().take().map_or(Poll::Pending, |place| Poll::Ready(Err(place))),
        });
        let event = match timeout(ALIVE_EVERY, response).await {
            Err(_) => Bytes::from_static(ALIVE),
            // Some clients take the id of an event with data only, be it an empty line.
            Ok(Err(begins_after)) => format!("id: {begins_after}\ndata:\n\n").into(),
            Ok(Ok(Some(response))) if response.has_errors && self.gate.renew(&mut self.view).is_err() => return None,
            // A subscription goes on after the last event that was told, when its client comes back.
            Ok(Ok(Some(response))) if response.is_lost && self.is_subscription => return None,
            Ok(Ok(Some(response))) => self.tell(response),
            Ok(Ok(None)) if self.stop.is_cancelled() => return None,
            Ok(Ok(None)) => {
                self.is_over = true;
                Bytes::from_static(COMPLETE)
            }
        };
        Some((event, self))
    }

    fn tell(&self, response: Told) -> Bytes {
        // The first event tells a place, too.
        self.begins_after.lock().take();
        let id = self.place.lock().take().map(|place| format!("id: {place}\n")).unwrap_or_default();
        // JSON as it is written here has no line breaks.
        let event = Bytes::from(format!("event: next\n{id}data: {}\n\n", response.payload.get()));
        match response.share {
            Some(share) => share.attach(event),
            None => event,
        }
    }
}

/// The place that a browser tells when it connects again.
fn last_event(headers: &HeaderMap) -> Result<Option<Timestamp>, Refusal> {
    let Some(id) = headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) else { return Ok(None) };
    let place = id.to_str().ok().and_then(parse_instant);
    place.map(Some).ok_or_else(|| Refusal::bad_request("Last-Event-ID: is not the id of an event of ours"))
}
