//! The messages, and the codes with which a connection is closed.

use std::io;

use axum::extract::ws::{CloseFrame, Utf8Bytes};
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tungstenite::error::ProtocolError;

use crate::access::LimitReached;
use crate::graphql::TextLimits;
use crate::http::request::json_object::FromObject;
use crate::http::request::{Object, Params};
use crate::shown;

/// What a client says.
#[derive(Debug)]
pub(super) enum ClientMessage {
    ConnectionInit {
        payload: Option<Object>,
    },
    /// The payload is an object, and goes back byte for byte.
    Ping {
        payload: Option<Box<RawValue>>,
    },
    Pong,
    Subscribe {
        id: String,
        payload: Params,
    },
    Complete {
        id: String,
    },
}

/// What the server says.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerMessage<'a> {
    ConnectionAck,
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<&'a RawValue>,
    },
    Next {
        id: &'a str,
        payload: &'a RawValue,
    },
    /// The operation was not executed.
    Error {
        id: &'a str,
        payload: &'a RawValue,
    },
    Complete {
        id: &'a str,
    },
}

/// Why a connection is closed by the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// The service ends.
    GoingAway,
    /// The caller cannot be let in at the moment, and may come back; the sentence says why.
    TryLater(String),
    /// There are as many connections as may be; the sentence says whose.
    LimitReached(LimitReached),
    /// A message is not understood; the sentence says why.
    Invalid(String),
    /// An operation came before the connection was acknowledged.
    Unauthorized,
    /// The caller is not let in, or no longer; the sentence says why. Clients ask for new credentials and come back.
    Forbidden(String),
    /// Another subprotocol.
    Subprotocol,
    /// No `connection_init` came in time.
    InitTimeout,
    /// An operation has the id of another one under way.
    Taken(String),
    /// A second `connection_init`.
    InitTwice,
    /// A message or a frame is larger than may be.
    TooLarge,
    /// More came before `connection_init` than that needs.
    TooMuch,
    /// A text is not UTF-8.
    NotUtf8,
    /// What came is no WebSocket's frame; the sentence says why.
    Protocol(String),
    /// Something failed that the log knows of.
    Internal,
}

impl Close {
    /// How a connection is closed on which nothing can be read any more; `None` when there is nobody to tell.
    pub(super) fn of_error(error: axum::Error) -> Option<Self> {
        let error = error.into_inner().downcast::<tungstenite::Error>().ok()?;
        match *error {
            tungstenite::Error::Capacity(_) => Some(Self::TooLarge),
            tungstenite::Error::Io(cause) if cause.kind() == io::ErrorKind::QuotaExceeded => Some(Self::TooMuch),
            tungstenite::Error::Utf8(_) => Some(Self::NotUtf8),
            tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
            tungstenite::Error::Protocol(broken) => Some(Self::Protocol(broken.to_string())),
            _ => None,
        }
    }
}

/// The reason of a close frame in bytes at most (RFC 6455, section 5.5, less the code).
const REASON_BYTES: usize = 123;

impl From<Close> for CloseFrame {
    fn from(close: Close) -> Self {
        // The texts of graphql-ws, where it has one.
        let (code, mut reason) = match close {
            Close::GoingAway => (1001, "the service is stopping".to_owned()),
            // Of the registry of RFC 6455: "try again later". Clients come back by themselves.
            Close::TryLater(why) => (1013, why),
            Close::LimitReached(reached) => (1013, reached.to_string()),
            Close::Invalid(why) => (4400, why),
            Close::Unauthorized => (4401, "Unauthorized".to_owned()),
            Close::Forbidden(why) => (4403, why),
            Close::Subprotocol => (4406, "Subprotocol not acceptable; graphql-transport-ws is".to_owned()),
            Close::InitTimeout => (4408, "Connection initialisation timeout".to_owned()),
            Close::Taken(id) => (4409, format!("Subscriber for {id} already exists")),
            Close::InitTwice => (4429, "Too many initialisation requests".to_owned()),
            // Of RFC 6455, section 7.4.1.
            Close::TooLarge => (1009, "the message is larger than limits.body_bytes".to_owned()),
            Close::TooMuch => (1009, "less may be sent before connection_init".to_owned()),
            Close::NotUtf8 => (1007, "the message is not UTF-8".to_owned()),
            Close::Protocol(why) => (1002, why),
            Close::Internal => (1011, "an internal error occurred".to_owned()),
        };
        reason.truncate(reason.floor_char_boundary(REASON_BYTES));
        Self { code, reason: Utf8Bytes::from(reason) }
    }
}

/// Characters of an operation's id at most. Clients send numbers and UUIDs.
const ID_CHARS: usize = 128;

/// The kinds of messages.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum MessageType {
    ConnectionInit,
    Ping,
    Pong,
    Subscribe,
    Complete,
}

/// A message whose payload is not read yet: what it means depends on the kind.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: MessageType,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// Understands a message.
pub(super) fn parse(text: &str, limits: TextLimits) -> Result<ClientMessage, Close> {
    limits.check_json("the message", text.as_bytes()).map_err(Close::Invalid)?;
    read(text).map_err(|cause| Close::Invalid(format!("the message is not understood: {}", shown::cut(&cause.to_string()))))
}

fn read(text: &str) -> serde_json::Result<ClientMessage> {
    let FromObject(Message { kind, id, payload }) = serde_json::from_str(text)?;
    let id = || match id.map(|id| serde_json::from_str::<String>(id.get())) {
        None => Err(serde_json::Error::missing_field("id")),
        Some(Ok(id)) if id.chars().nth(ID_CHARS).is_some() => {
            Err(serde_json::Error::custom(format!("the id has more than {ID_CHARS} characters")))
        }
        Some(id) => id,
    };
    let object = |payload: Option<&RawValue>| payload.map(|payload| serde_json::from_str::<Object>(payload.get())).transpose();
    Ok(match kind {
        MessageType::ConnectionInit => ClientMessage::ConnectionInit { payload: object(payload)? },
        MessageType::Ping => match payload {
            Some(payload) if !payload.get().starts_with('{') => {
                return Err(serde_json::Error::custom("the payload is no JSON object"));
            }
            payload => ClientMessage::Ping { payload: payload.map(ToOwned::to_owned) },
        },
        MessageType::Pong => ClientMessage::Pong,
        MessageType::Subscribe => {
            let id = id()?;
            let payload = payload.ok_or_else(|| serde_json::Error::missing_field("payload"))?;
            let FromObject(payload) = serde_json::from_str(payload.get())?;
            ClientMessage::Subscribe { id, payload }
        }
        MessageType::Complete => ClientMessage::Complete { id: id()? },
    })
}
