//! A WebSocket on which anything is said.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::answer::check_errors;

/// Says each line and reads until the service closes the connection or shows, by answering a ping, that it has read all.
pub async fn say_all(address: &str, input: &[u8]) {
    let mut request = format!("ws://{address}/graphql").into_client_request().expect("an address");
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().expect("a header"));
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.expect("a WebSocket");
    for line in input.split(|byte| *byte == b'\n') {
        let message = match str::from_utf8(line) {
            Ok(text) => Message::text(text),
            Err(_) => Message::binary(line.to_vec()),
        };
        // A connection that is closed already tells why when it is read.
        if socket.send(message).await.is_err() {
            break;
        }
    }
    let _ = socket.send(Message::Ping("the end".into())).await;
    while let Some(message) = socket.next().await {
        match message {
            Ok(Message::Text(text)) => check_message(&text),
            Ok(Message::Close(close)) => {
                let code = close.as_ref().map_or(1005, |close| u16::from(close.code));
                assert_ne!(code, 1011, "a fault of ours: {close:?}");
                return;
            }
            Ok(Message::Pong(payload)) if payload == "the end".as_bytes() => return,
            Ok(_) => {}
            Err(error) => panic!("the connection broke without a close frame: {error}"),
        }
    }
}

fn check_message(text: &str) {
    let message: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:.500}"));
    match message["type"].as_str() {
        Some("connection_ack" | "pong" | "complete") => {}
        Some("next") => check_errors(&message["payload"]),
        Some("error") => check_errors(&serde_json::json!({ "errors": message["payload"] })),
        _ => panic!("a message that the protocol does not have: {text:.500}"),
    }
}
