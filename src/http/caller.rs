//! Who calls, as far as the connection and the request's headers tell.

use axum::http::request::Parts;

use super::HttpState;
use super::connection::Connection;
use super::credentials::in_headers;
use super::forwarded::client_address;
use super::origin::refuse_foreign_page;
use super::refusal::Refusal;
use crate::access::View;

/// Lets the caller in, before anything of the request is read.
pub(super) async fn admit(state: &HttpState, connection: &Connection, head: &Parts) -> Result<View, Refusal> {
    refuse_foreign_page(state, connection, head)?;
    let address = client_address(connection.peer, &head.headers, &state.trusted_proxies);
    let view = state.gate.admit(in_headers(&head.headers), address).await?;
    if let Some(trust) = &connection.trust {
        trust.give();
    }
    Ok(view)
}
