//! Who calls, as far as the connection and the request's headers tell.

use axum::http::request::Parts;

use crate::access::View;
use crate::http::answer::refusal::Refusal;
use crate::http::edge::connection::Connection;
use crate::http::edge::foreign_page::refuse_foreign_page;
use crate::http::edge::forwarded::client_address;
use crate::http::request::credentials::in_headers;
use crate::http::state::HttpState;

/// Lets the caller in, before anything of the request is read.
pub(super) async fn admit(state: &HttpState, connection: &Connection, head: &Parts) -> Result<View, Refusal> {
    refuse_foreign_page(&state.policy, connection, head)?;
    let address = client_address(connection.peer, &head.headers, &state.policy.trusted_proxies);
    let view = state.gate.admit(in_headers(&head.headers), address).await?;
    if let Some(trust) = &connection.trust {
        trust.give();
    }
    Ok(view)
}
