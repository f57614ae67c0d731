//! A WebSocket on which anything is said.
//!
//! A line is a message, as text if it is UTF-8. Its first byte can have it said otherwise: 1 in pieces, of as many bytes as the second byte says,
//! with a ping after each; 2 as a frame of its own that begins with the second byte; 3 as the payload of a ping; 4 as a close
//! frame, code first; 5 as bytes on the wire that need be no frame.

use std::collections::HashSet;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::answer::check_errors;

/// How the client and the service part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// All that the client says are messages: the service answers a last ping, or closes and says why.
    Orderly,
    /// The client breaks the protocol, or off.
    Broken,
}

/// Says each line and reads until the service closes the connection or shows, by answering a ping, that it has read all.
pub async fn say_all(address: &str, input: &[u8]) {
    let mut request = format!("ws://{address}/graphql").into_client_request().expect("an address");
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().expect("a header"));
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.expect("a WebSocket");
    let mut manner = Manner::Orderly;
    for line in input.split(|byte| *byte == b'\n') {
        match say(&mut socket, line).await {
            Ok(Manner::Orderly) => {}
            Ok(Manner::Broken) => manner = Manner::Broken,
            // A connection that is closed already tells why when it is read.
            Err(_) => break,
        }
    }
    if manner == Manner::Broken {
        let _ = socket.get_mut().shutdown().await;
    } else {
        let _ = socket.send(Message::Ping("the end".into())).await;
    }
    listen(socket, ids(input).as_ref(), manner).await;
}

async fn say(socket: &mut WebSocketStream<TcpStream>, line: &[u8]) -> Result<Manner, Error> {
    let text = |bytes: &[u8]| OpCode::Data(if str::from_utf8(bytes).is_ok() { Data::Text } else { Data::Binary });
    match line {
        [1, size, message @ ..] => {
            let mut pieces = message.chunks(usize::from(*size).max(1)).peekable();
            let mut opcode = text(message);
            while let Some(piece) = pieces.next() {
                socket.send(Message::Frame(Frame::message(piece.to_vec(), opcode, pieces.peek().is_none()))).await?;
                socket.send(Message::Ping("a piece".into())).await?;
                opcode = OpCode::Data(Data::Continue);
            }
            Ok(Manner::Orderly)
        }
        [2, kind, payload @ ..] => {
            socket.send(frame(*kind, payload)).await?;
            Ok(Manner::Broken)
        }
        [3, payload @ ..] if payload.len() <= 125 => {
            socket.send(Message::Ping(payload.to_vec().into())).await?;
            Ok(Manner::Orderly)
        }
        [4, payload @ ..] => {
            socket.send(frame(0x88, payload)).await?;
            Ok(Manner::Broken)
        }
        [5, bytes @ ..] => {
            socket.flush().await?;
            socket.get_mut().write_all(bytes).await?;
            Ok(Manner::Broken)
        }
        message => {
            let message = match str::from_utf8(message) {
                Ok(text) => Message::text(text),
                Err(_) => Message::binary(message.to_vec()),
            };
            socket.send(message).await?;
            Ok(Manner::Orderly)
        }
    }
}

/// A frame that begins with this byte (RFC 6455, section 5.2).
fn frame(first: u8, payload: &[u8]) -> Message {
    let [is_final, rsv1, rsv2, rsv3] = [0x80, 0x40, 0x20, 0x10].map(|bit| first & bit != 0);
    let header = FrameHeader { is_final, rsv1, rsv2, rsv3, opcode: OpCode::from(first & 0xF), mask: None };
    Message::Frame(Frame::from_payload(header, payload.to_vec().into()))
}

/// The ids that anything in the input may give to an operation.
fn ids(input: &[u8]) -> Option<HashSet<String>> {
    let mut ids = HashSet::new();
    for line in input.split(|byte| *byte == b'\n') {
        match line.first() {
            Some(1) => ids.extend(id_of(line.get(2..).unwrap_or_default())),
            // Frames of any kind may be pieces of a message.
            Some(2 | 5) => return None,
            _ => ids.extend(id_of(line)),
        }
    }
    Some(ids)
}

fn id_of(message: &[u8]) -> Option<String> {
    let message: Value = serde_json::from_slice(message).ok()?;
    message["id"].as_str().map(str::to_owned)
}

async fn listen(mut socket: WebSocketStream<TcpStream>, ids: Option<&HashSet<String>>, manner: Manner) {
    let mut is_acknowledged = false;
    while let Some(message) = socket.next().await {
        match message {
            Ok(Message::Text(text)) => check_message(&text, ids, &mut is_acknowledged),
            Ok(Message::Close(close)) => {
                let code = close.as_ref().map_or(1005, |close| u16::from(close.code));
                assert_ne!(code, 1011, "a fault of ours: {close:?}");
                return;
            }
            Ok(Message::Pong(payload)) if payload == "the end".as_bytes() => return,
            Ok(_) => {}
            Err(_) if manner == Manner::Broken => return,
            Err(error) => panic!("the connection broke without a close frame: {error}"),
        }
    }
}

fn check_message(text: &str, ids: Option<&HashSet<String>>, is_acknowledged: &mut bool) {
    let message: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:.500}"));
    match message["type"].as_str() {
        Some("connection_ack") => assert!(!std::mem::replace(is_acknowledged, true), "acknowledged twice"),
        Some("pong") => return,
        Some("complete") => {}
        Some("next") => check_errors(&message["payload"]),
        Some("error") => check_errors(&serde_json::json!({ "errors": message["payload"] })),
        _ => panic!("a message that the protocol does not have: {text:.500}"),
    }
    assert!(*is_acknowledged, "before the connection was acknowledged: {text:.500}");
    if let Some(ids) = ids
        && message["type"] != "connection_ack"
    {
        assert!(message["id"].as_str().is_some_and(|id| ids.contains(id)), "an id that nobody gave: {text:.500}");
    }
}
