//! Server-sent events, as graphql-sse has them in its distinct connections mode: each operation has a connection of its own, on which each
//! response is an event `next`, and the end an event `complete`.
//!
//! Events of a subscription have ids, so that a browser's `EventSource`, which tells the last one when it connects again, goes on after it.
//! When the service ends, the stream ends without `complete`: clients then connect again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, future, stream};
use jiff::Timestamp;
use tracing::error;

use super::HttpState;
use super::answer::Payload;
use super::execute::Operation;
use super::refusal::Refusal;
use super::unbuffered;
use crate::access::View;
use crate::graphql::Delivery;
use crate::quota::parse_instant;
use crate::telemetry::explain;

/// How often an idle connection shows that it lives; below what proxies take for dead.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Nobody on the way may keep events or gather them to compress them.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("no-cache, no-transform");

/// The last event. Browsers pass over an event without a line of data, and gateways read more than an empty line as JSON; the library writes no line
/// or two.
const COMPLETE: &[u8] = b"event: complete\ndata:\n\n";

/// Answers an operation by events.
pub(super) fn send_events(
    state: &Arc<HttpState>,
    view: View,
    operation: Operation,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let delivery = Delivery { resume_after: last_event(headers)?, ..Delivery::by("sse") };
    let place = Arc::clone(&delivery.place);
    let next = move |response| {
        let event = Event::default().event("next");
        let event = match place.lock().take() {
            Some(place) => event.id(place.to_string()),
            None => event,
        };
        match serde_json::to_string(&Payload(&response)) {
            Ok(payload) => event.data(payload),
            Err(cause) => {
                error!(error = explain(&cause), "cannot write an event");
                Event::default().comment("an event could not be written")
            }
        }
    };
    let events = operation.stream(state, view, delivery).map(next);
    let events = events.take_until(state.stop.clone().cancelled_owned()).map(Ok::<_, Infallible>);
    let response = Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE_EVERY)).into_response();
    let (mut head, body) = response.into_parts();
    head.headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
    head.headers.insert(unbuffered::HEADER.0, unbuffered::HEADER.1);
    let stop = state.stop.clone();
    let complete = stream::once(async move { (!stop.is_cancelled()).then_some(Ok(Bytes::from_static(COMPLETE))) });
    let body = Body::from_stream(body.into_data_stream().chain(complete.filter_map(future::ready)));
    Ok(Response::from_parts(head, body))
}

/// The place that a browser tells when it connects again.
fn last_event(headers: &HeaderMap) -> Result<Option<Timestamp>, Refusal> {
    let Some(id) = headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) else { return Ok(None) };
    let place = id.to_str().ok().and_then(parse_instant);
    place.map(Some).ok_or_else(|| Refusal::bad_request("Last-Event-ID: is not the id of an event of ours"))
}
