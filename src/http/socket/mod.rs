//! GraphQL over WebSocket: the subprotocol `graphql-transport-ws`, as graphql-ws describes it (`PROTOCOL.md` of its repository).

mod operations;
mod protocol;
mod session;

use std::sync::Arc;

use axum::extract::{FromRequestParts as _, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use self::protocol::Close;
use self::session::{Session, refuse};
use crate::http::answer::refusal::Refusal;
use crate::http::edge::connection::Connection;
use crate::http::edge::foreign_page::refuse_foreign_page;
use crate::http::edge::forwarded::client_address;
use crate::http::request::credentials::HeldCredentials;
use crate::http::state::HttpState;
use crate::request_id;

/// The name of the subprotocol.
const SUBPROTOCOL: &str = "graphql-transport-ws";

/// Bytes that are read at once. The library's default would take 128 KiB for every connection, idle or not.
const READ_BUFFER_BYTES: usize = 4096;

/// Whether a request wants to become a WebSocket.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// What is told to a client whose handshake lost its `Upgrade` on the way here: proxies drop it, unless they are told not to. Without this
/// it would look like a query that says nothing, one without credentials, or, since such proxies change `Host` too, one of a foreign page.
pub(super) fn explain_lost_upgrade(headers: &HeaderMap, refusal: Refusal) -> Refusal {
    let would_say = [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
    if !headers.contains_key(header::SEC_WEBSOCKET_KEY) || !would_say.contains(&refusal.status) {
        return refusal;
    }
    Refusal {
        header: Some((header::UPGRADE, HeaderValue::from_static("websocket"))),
        ..Refusal::new(
            StatusCode::UPGRADE_REQUIRED,
            "the headers Upgrade and Connection of this WebSocket's handshake were lost on the way; have the proxy pass them on (in \
             nginx: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade, proxy_set_header Connection \"upgrade\"; in \
             Apache: upgrade=websocket)",
        )
    }
}

/// Makes a request a WebSocket. Browsers let pages connect anywhere, so foreign ones are kept out here. Credentials are asked for after
/// that: browsers cannot send headers along, so they may come with the first message.
pub(super) async fn connect(state: Arc<HttpState>, connection: Connection, mut head: Parts) -> Response {
    if let Err(refusal) = refuse_foreign_page(&state.policy, &connection, &head) {
        return refusal.respond();
    }
    let mut upgrade = match WebSocketUpgrade::from_request_parts(&mut head, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let speaks_ours = upgrade.requested_protocols().any(|name| name.as_bytes() == SUBPROTOCOL.as_bytes());
    if speaks_ours {
        upgrade.set_selected_protocol(HeaderValue::from_static(SUBPROTOCOL));
    }
    let address = client_address(connection.peer, &head.headers, &state.policy.trusted_proxies);
    let credentials = HeldCredentials::of(&head.headers);
    let (limit, running) = (state.limits.body_bytes, state.sockets.token());
    let upgrade = upgrade.read_buffer_size(READ_BUFFER_BYTES).write_buffer_size(0).max_message_size(limit).max_frame_size(limit);
    // Browsers do not tell a page why it may not connect, but why a connection is closed.
    let carrier = request_id::Carrier::current();
    upgrade.on_upgrade(move |socket| {
        carrier.carry(async move {
            if speaks_ours {
                Session::new(state, address, credentials, connection.trust).run(socket).await;
            } else {
                refuse(socket, Close::Subprotocol).await;
            }
            drop(running);
        })
    })
}
