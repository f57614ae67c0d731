//! One connection, from its first message to its end.

use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use serde_json::value::to_raw_value;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::operations::Operations;
use super::protocol::{ClientMessage, Close, ServerMessage, parse};
use crate::access::{self, Lapse, Permit, View};
use crate::graphql::{Delivery, code, coded_error};
use crate::http::answer::Told;
use crate::http::answer::refusal::Refusal;
use crate::http::execute::Operation;
use crate::http::request::credentials::HeldCredentials;
use crate::http::request::{LONG, Params};
use crate::http::state::HttpState;
use crate::listener::Trust;

/// How long a client may take to say who it is.
const INIT_PATIENCE: Duration = Duration::from_secs(10);

/// How often a connection is tried. One that gives no sign of life in between is dropped.
const ALIVE_EVERY: Duration = Duration::from_secs(30);

/// How long a client may take to agree that the connection is closed.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// Operations under way on one connection at most.
const OPERATIONS: usize = 100;

/// Why a session ends.
enum End {
    /// The server closes the connection.
    Close(Close),
    /// The client closes it.
    Closed,
    /// The client cannot be reached.
    Gone,
}

/// What a client does that is not let in.
impl From<access::AccessError> for Close {
    fn from(refusal: access::AccessError) -> Self {
        match refusal {
            // Its credentials may be good: a client that is told otherwise throws them away.
            access::AccessError::IssuerAway(_) | access::AccessError::RateLimited(_) => Self::TryLater(refusal.to_string()),
            access::AccessError::Unauthenticated { .. } => Self::Forbidden(refusal.of_payload()),
        }
    }
}

impl From<Lapse> for Close {
    fn from(lapse: Lapse) -> Self {
        match lapse {
            Lapse::Unverifiable => Self::TryLater(lapse.to_string()),
            Lapse::Expired | Lapse::Withdrawn => Self::Forbidden(lapse.to_string()),
        }
    }
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

/// A connection's state. The socket is apart, so that it can be read while operations are waited for.
pub(super) struct Session {
    state: Arc<HttpState>,
    address: IpAddr,
    held: HeldCredentials,
    /// The caller, once it was let in.
    view: Option<View>,
    operations: Operations,
    /// What takes long on this connection is done one after the other: answers that are not taken yet do not add up.
    lane: Arc<Semaphore>,
    /// Its place among the `WebSocket`s that may be open. Until its client is known, the listener counts it as a connection that waits.
    permit: Option<Permit>,
    /// To be given once the caller was let in.
    trust: Option<Trust>,
}

impl Session {
    pub(super) fn new(state: Arc<HttpState>, address: IpAddr, held: HeldCredentials, trust: Option<Trust>) -> Self {
        let lane = Arc::new(Semaphore::new(1));
        Self { state, address, held, view: None, operations: Operations::default(), lane, permit: None, trust }
    }

    /// Serves the connection to its end.
    pub(super) async fn run(mut self, mut socket: WebSocket) {
        let end = self.serve(&mut socket).await;
        // What is subscribed to ends now, not when the client has agreed.
        drop(self);
        finish(socket, end).await;
    }

    /// Serves until there is a reason to end.
    async fn serve(&mut self, socket: &mut WebSocket) -> End {
        let stop = self.state.stop.clone();
        // A client that takes nothing is cut off by the listener in time; the end of the service waits no longer than for any other client.
        let overdue = async {
            stop.cancelled().await;
            sleep(CLOSE_PATIENCE).await;
        };
        tokio::select! {
            biased;
            served = AssertUnwindSafe(self.try_serve(socket)).catch_unwind() => match served {
                Ok(Err(end)) => end,
                Ok(Ok(never)) => match never {},
                // The hook has logged it.
                Err(_) => End::Close(Close::Internal),
            },
            () = overdue => End::Gone,
        }
    }

    async fn try_serve(&mut self, socket: &mut WebSocket) -> Result<Infallible, End> {
        let stop = self.state.stop.clone();
        let init_deadline = Instant::now() + INIT_PATIENCE;
        let mut alive = interval_at(Instant::now() + ALIVE_EVERY, ALIVE_EVERY);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut was_heard = true;
        let mut rights = self.state.gate.watch();
        loop {
            let rest = self.view.as_ref().and_then(|view| view.remaining(self.state.kept.clock.now()));
            tokio::select! {
                () = stop.cancelled() => return Err(Close::GoingAway.into()),
                (id, response) = self.operations.next() => self.pass_on(socket, &id, response).await?,
                message = socket.recv() => {
                    was_heard = true;
                    match message {
                        Some(Ok(Message::Text(text))) => self.read(socket, text).await?,
                        Some(Ok(Message::Binary(_))) => return Err(Close::Invalid("messages are text".to_owned()).into()),
                        // Nothing more is read until the answer is sent: whoever takes no answers must not fill memory with them.
                        Some(Ok(Message::Ping(_))) => socket.flush().await.map_err(|_| End::Gone)?,
                        Some(Ok(Message::Pong(_))) => {}
                        Some(Ok(Message::Close(_))) => return Err(End::Closed),
                        Some(Err(cause)) => return Err(Close::of_error(cause).map_or(End::Gone, End::Close)),
                        None => return Err(End::Gone),
                    }
                }
                () = tokio::time::sleep_until(init_deadline), if self.view.is_none() => return Err(Close::InitTimeout.into()),
                () = tokio::time::sleep(rest.unwrap_or_default()), if rest.is_some() => self.renew()?,
                _ = rights.changed() => self.renew()?,
                _ = alive.tick() => {
                    if !was_heard {
                        return Err(End::Gone);
                    }
                    was_heard = false;
                    self.renew()?;
                    send(socket, Message::Ping(axum::body::Bytes::new())).await?;
                }
            }
        }
    }

    async fn read(&mut self, socket: &mut WebSocket, text: Utf8Bytes) -> Result<(), End> {
        let limits = self.state.limits.text;
        let message = if text.len() < LONG {
            parse(&text, limits)
        } else {
            self.state.computing.briefly(move || parse(&text, limits)).await.unwrap_or(Err(Close::GoingAway))
        };
        self.take(socket, message?).await
    }

    /// Looks at what the caller may see now; ends when its credentials are no longer valid.
    fn renew(&mut self) -> Result<(), Close> {
        match &mut self.view {
            Some(view) => Ok(self.state.gate.renew(view)?),
            None => Ok(()),
        }
    }

    async fn take(&mut self, socket: &mut WebSocket, message: ClientMessage) -> Result<(), End> {
        match message {
            ClientMessage::ConnectionInit { payload } => {
                if self.view.is_some() {
                    return Err(Close::InitTwice.into());
                }
                let held = std::mem::take(&mut self.held);
                let held = match &payload {
                    Some(payload) => held.with_payload(payload),
                    None => held,
                };
                let admitted = self.state.gate.admit(held.borrow(), self.address).await;
                let view = admitted.map_err(Close::from)?;
                self.permit = Some(self.state.open_sockets.acquire(view.principal()).map_err(Close::LimitReached)?);
                self.view = Some(view);
                if let Some(trust) = self.trust.take() {
                    trust.give();
                }
                say(socket, &ServerMessage::ConnectionAck).await
            }
            ClientMessage::Ping { payload } => say(socket, &ServerMessage::Pong { payload: payload.as_deref() }).await,
            ClientMessage::Pong => Ok(()),
            ClientMessage::Subscribe { id, payload } => self.begin(socket, id, payload).await,
            ClientMessage::Complete { id } => {
                self.operations.remove(&id);
                Ok(())
            }
        }
    }

    /// Begins an operation. Its first response is made now if it can be: a subscription has begun when the next message is read.
    async fn begin(&mut self, socket: &mut WebSocket, id: String, params: Params) -> Result<(), End> {
        self.renew()?;
        let Some(view) = &self.view else { return Err(Close::Unauthorized.into()) };
        if self.operations.contains(&id) {
            return Err(Close::Taken(id).into());
        }
        let admitted = self.admit_again(view);
        let prepared = match admitted {
            Ok(view) => {
                let prepared = Operation::prepare(&self.state, params).await;
                prepared.and_then(|operation| self.check_room(&operation).map(|()| (operation, view)))
            }
            Err(refusal) => Err(refusal),
        };
        let (operation, view) = match prepared {
            Ok(prepared) => prepared,
            Err(refusal) => {
                let error = coded_error(refusal.message, refusal.code);
                let errors = to_raw_value(&[error]).map_err(|_| End::Gone)?;
                return say(socket, &ServerMessage::Error { id: &id, payload: &errors }).await;
            }
        };
        let weight = operation.weight();
        let delivery = Delivery { lane: Arc::clone(&self.lane), ..Delivery::by("websocket") };
        let mut responses = operation.stream(&self.state, view, delivery);
        let first = responses.next().now_or_never();
        self.operations.insert(id.clone(), responses, weight);
        if let Some(first) = first {
            self.pass_on(socket, &id, first).await?;
        }
        Ok(())
    }

    /// Counts an operation, and lets the caller in again.
    fn admit_again(&self, view: &View) -> Result<View, Refusal> {
        let view = self.state.gate.admit_again(view)?;
        if self.operations.len() >= OPERATIONS {
            let sentence = format!("{OPERATIONS} operations are under way on this connection, as many as may be");
            return Err(Refusal { code: code::RATE_LIMITED, ..Refusal::bad_request(sentence) });
        }
        Ok(view)
    }

    /// Whether there is room for an operation besides those that are under way.
    fn check_room(&self, operation: &Operation) -> Result<(), Refusal> {
        if self.operations.weight() + operation.weight() <= Operation::HELD_BYTES {
            return Ok(());
        }
        let sentence = "the documents and the variables of the operations under way on this connection hold more than is kept; end one \
                        first, or send fewer values";
        Err(Refusal { code: code::RATE_LIMITED, ..Refusal::bad_request(sentence) })
    }

    /// Passes a response of an operation on; `None` when the operation is over.
    async fn pass_on(&mut self, socket: &mut WebSocket, id: &str, response: Option<Told>) -> Result<(), End> {
        let Some(response) = response else {
            self.operations.remove(id);
            return say(socket, &ServerMessage::Complete { id }).await;
        };
        if response.has_errors {
            // A caller whose credentials are no longer valid is told by the end of the connection, and by nothing else: so its client comes back.
            self.renew()?;
        }
        let Told { payload, errors, share, .. } = response;
        if let Some(errors) = &errors {
            self.operations.remove(id);
            return say(socket, &ServerMessage::Error { id, payload: errors }).await;
        }
        let message = write(&ServerMessage::Next { id, payload: &payload })?;
        // It is held once while it is sent.
        drop(payload);
        let sent = send(socket, message).await;
        drop(share);
        sent
    }
}

/// Closes a connection that is not served.
pub(super) async fn refuse(socket: WebSocket, reason: Close) {
    finish(socket, reason.into()).await;
}

/// Closes the connection as it ended, and gives the client a moment to agree.
async fn finish(mut socket: WebSocket, end: End) {
    let closing = async {
        match end {
            End::Gone => return,
            // What answers the client's close goes out while its end is waited for.
            End::Closed => {}
            End::Close(close) => {
                if socket.send(Message::Close(Some(close.into()))).await.is_err() {
                    return;
                }
            }
        }
        while let Some(Ok(_)) = socket.recv().await {}
    };
    let _ = timeout(CLOSE_PATIENCE, closing).await;
}

async fn say(socket: &mut WebSocket, message: &ServerMessage<'_>) -> Result<(), End> {
    send(socket, write(message)?).await
}

fn write(message: &ServerMessage<'_>) -> Result<Message, End> {
    serde_json::to_string(message).map(|text| Message::Text(text.into())).map_err(|_| End::Gone)
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), End> {
    socket.send(message).await.map_err(|_| End::Gone)
}
