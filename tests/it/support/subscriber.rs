//! Subscribers: a WebSocket that speaks `graphql-transport-ws`, and a reader of server-sent events.

use std::collections::VecDeque;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::app::TestApp;
use super::process::{patiently, until};

/// A WebSocket.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// What came while something else was waited for.
    came: VecDeque<Value>,
    subscriptions: u32,
}

impl Socket {
    /// Opens a WebSocket with these headers besides those that it needs. The subprotocol is ours unless a header names one.
    pub async fn open(app: &TestApp, headers: &[(&'static str, &str)]) -> Result<Self, tungstenite::Error> {
        let mut request = format!("{}/graphql", app.base.replacen("http", "ws", 1)).into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (stream, _) = patiently("a WebSocket", tokio_tungstenite::connect_async_with_config(request, None, true)).await?;
        Ok(Self { stream, came: VecDeque::new(), subscriptions: 0 })
    }

    /// The same, let in with a payload.
    pub async fn init(app: &TestApp, payload: Value) -> Self {
        let mut socket = Self::open(app, &[]).await.unwrap();
        socket.say(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.hear().await, json!({ "type": "connection_ack" }));
        socket
    }

    pub async fn say(&mut self, message: Value) {
        self.say_text(&message.to_string()).await;
    }

    pub async fn say_text(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.unwrap();
    }

    /// Says who calls. Whether the connection is acknowledged, and not closed.
    pub async fn is_let_in(&mut self, payload: Value) -> bool {
        let init = json!({ "type": "connection_init", "payload": payload });
        // What is closed already cannot be written to.
        let _ = self.stream.send(Message::text(init.to_string())).await;
        self.receive().await.is_ok_and(|message| message["type"] == "connection_ack")
    }

    /// The next message.
    pub async fn hear(&mut self) -> Value {
        match self.came.pop_front() {
            Some(came) => came,
            None => self.receive().await.unwrap_or_else(|closed| panic!("closed: {closed:?}")),
        }
    }

    /// The next message, or the code and the reason with which the server closes.
    pub async fn try_hear(&mut self) -> Result<Value, (u16, String)> {
        self.receive().await
    }

    /// The code and the reason with which the server closes; what comes before is passed over.
    pub async fn closing(mut self) -> (u16, String) {
        loop {
            if let Err(closed) = self.receive().await {
                return closed;
            }
        }
    }

    /// The same, where nothing may come before.
    pub async fn closing_next(mut self) -> (u16, String) {
        assert!(self.came.is_empty(), "{:?}", self.came);
        self.receive().await.expect_err("a message came before the end")
    }

    /// Closes the connection in order. Gives the code that the server answers with.
    pub async fn close(mut self) -> u16 {
        self.stream.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })).await.unwrap();
        self.closing().await.0
    }

    async fn receive(&mut self) -> Result<Value, (u16, String)> {
        patiently("a message", async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                    Some(Ok(Message::Close(Some(frame)))) => return Err((frame.code.into(), frame.reason.to_string())),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    other => panic!("{other:?}"),
                }
            }
        })
        .await
    }

    /// Begins an operation, and waits until it has begun. Gives its id.
    pub async fn subscribe(&mut self, query: &str) -> String {
        self.subscriptions += 1;
        let id = self.subscriptions.to_string();
        self.say(json!({ "type": "subscribe", "id": id, "payload": { "query": query } })).await;
        self.say(json!({ "type": "ping", "payload": { "of": id } })).await;
        loop {
            let message = self.receive().await.unwrap();
            if message["type"] == "pong" && message["payload"]["of"] == id {
                return id;
            }
            self.came.push_back(message);
        }
    }

    /// The change in the next message, which must be an event.
    pub async fn change(&mut self) -> Value {
        let mut message = self.hear().await;
        assert_eq!((&message["type"], message["payload"].get("errors")), (&json!("next"), None), "{message}");
        message["payload"]["data"]["spaceAllocationChanged"].take()
    }
}

/// A stream of server-sent events.
pub struct Events {
    response: reqwest::Response,
    text: String,
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentEvent {
    pub event: String,
    pub id: Option<String>,
    /// `None` when there is no line of data, which keeps browsers from telling the event.
    pub data: Option<String>,
}

impl Events {
    /// The answer to an operation that is posted, whatever it is.
    pub async fn post(app: &TestApp, query: &str, headers: &[(&'static str, &str)]) -> reqwest::Response {
        let body = json!({ "query": query }).to_string();
        let mut request = app.client.post(format!("{}/graphql", app.base)).header(CONTENT_TYPE, "application/json").body(body);
        if headers.iter().all(|(name, _)| *name != "accept") {
            request = request.header(ACCEPT, "text/event-stream");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        patiently("an answer", request.send()).await.unwrap()
    }

    pub fn of(response: reqwest::Response) -> Self {
        assert_eq!((response.status().as_u16(), &response.headers()[CONTENT_TYPE]), (200, &"text/event-stream".parse().unwrap()));
        Self { response, text: String::new() }
    }

    /// Subscribes, and waits until the subscription has begun, as one more than there were.
    pub async fn subscribe(app: &TestApp, query: &str, headers: &[(&'static str, &str)]) -> Self {
        let before = open(app, "sse");
        let events = Self::of(Self::post(app, query, headers).await);
        until("the subscription", async || open(app, "sse") > before).await;
        events
    }

    /// The next event; `None` at the end. The first id, which comes with no event, is passed over.
    pub async fn next(&mut self) -> Option<SentEvent> {
        loop {
            let block = self.next_block().await?;
            if !block.event.is_empty() {
                return Some(block);
            }
        }
    }

    /// What comes next, be it an id alone.
    pub async fn next_block(&mut self) -> Option<SentEvent> {
        loop {
            if let Some((block, _)) = self.text.split_once("\n\n") {
                let mut event = SentEvent::default();
                for line in block.lines() {
                    match line.split_once(':').map(|(name, value)| (name, value.strip_prefix(' ').unwrap_or(value))) {
                        Some(("event", value)) => value.clone_into(&mut event.event),
                        Some(("id", value)) => event.id = Some(value.to_owned()),
                        Some(("data", value)) => event.data.get_or_insert_default().push_str(value),
                        Some(("", _)) => {}
                        _ => panic!("{line}"),
                    }
                }
                let length = block.len() + 2;
                self.text.drain(..length);
                if event != SentEvent::default() {
                    return Some(event);
                }
                continue;
            }
            let bytes = patiently("an event", self.response.chunk()).await.ok()??;
            self.text += std::str::from_utf8(&bytes).unwrap();
        }
    }

    /// The change in the next event.
    pub async fn change(&mut self) -> Value {
        let event = self.next().await.unwrap();
        assert_eq!(event.event, "next");
        let mut payload: Value = serde_json::from_str(&event.data.unwrap()).unwrap();
        assert!(payload.get("errors").is_none(), "{payload}");
        payload["data"]["spaceAllocationChanged"].take()
    }
}

/// How many subscriptions are open by a transport.
pub fn open(app: &TestApp, transport: &'static str) -> i64 {
    app.handle.metrics().subscriptions.count_open(transport)
}
