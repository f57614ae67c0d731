//! `/v1/export/usage` and `/v1/export/snapshots`: history out as a file, piece by piece.
//!
//! The caller comes in by the same gate as to `/graphql` and needs the role `EXPORT`. What can be refused is refused before the file
//! begins, as an error with its code. When the history cannot be read any further after that, the connection is broken off, so that
//! nobody takes what came for the whole. Over HTTP/1.0 that cannot be noticed, since there the end of the connection is the end of the
//! file; so nothing is exported over it.

mod account;
mod file;
pub(super) mod permits;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::response::Response;
use futures_util::stream;
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;

use self::account::Account;
use crate::access::{Role, View};
use crate::export::{ExportKind, ExportPlan, Params};
use crate::graphql::code;
use crate::http::answer::refusal::Refusal;
use crate::http::answer::respond::respond;
use crate::http::answer::unbuffered;
use crate::http::caller::admit;
use crate::http::edge::connection::Connection;
use crate::http::negotiation::accept::MediaType;
use crate::http::negotiation::encoding::Encoding;
use crate::http::state::HttpState;

/// `GET /v1/export/usage`
pub(super) async fn export_usage(
    State(state): State<Arc<HttpState>>,
    Extension(connection): Extension<Connection>,
    request: Request,
) -> Response {
    export(&state, connection, request, ExportKind::Usage).await
}

/// `GET /v1/export/snapshots`
pub(super) async fn export_snapshots(
    State(state): State<Arc<HttpState>>,
    Extension(connection): Extension<Connection>,
    request: Request,
) -> Response {
    export(&state, connection, request, ExportKind::Snapshots).await
}

async fn export(state: &Arc<HttpState>, connection: Connection, request: Request, kind: ExportKind) -> Response {
    let (head, _) = request.into_parts();
    let file = async {
        let view = admit(state, &connection, &head).await?;
        require_marked_end(head.version)?;
        let plan = plan(&view, head.uri.query().unwrap_or_default(), kind, state.exports.clock.now())?;
        let encoding = if plan.format.is_compressed() { None } else { Encoding::negotiate(&head.headers, usize::MAX) };
        let headers = headers(&plan, encoding);
        if head.method == Method::HEAD {
            // Nothing is made that nobody gets. How long the file would be is not known.
            return Ok((headers, Body::from_stream(stream::empty::<Result<Bytes, Infallible>>())));
        }
        let account = Account::open(state, &view, kind, &plan, permit(state)?);
        file::start(state, plan, view, encoding, account).await.map(|body| (headers, body))
    };
    match file.await {
        Ok((headers, body)) => {
            let mut response = Response::new(body);
            *response.headers_mut() = headers;
            response
        }
        Err(refusal) => {
            state.metrics.http.count_error(refusal.code);
            respond(refusal.answer(), MediaType::Json, &head.headers, &head.method, state).await
        }
    }
}

/// Refuses a request whose answer would have no end that can be told from a cut. Resetting the connection would not do: not every connection
/// can be reset (a Unix socket cannot), not everything on the way passes a reset on, and nobody resets it when the process is killed.
fn require_marked_end(version: Version) -> Result<(), Refusal> {
    if version >= Version::HTTP_11 {
        return Ok(());
    }
    Err(Refusal {
        header: Some((header::UPGRADE, HeaderValue::from_static("HTTP/1.1"))),
        ..Refusal::new(
            StatusCode::UPGRADE_REQUIRED,
            "exports need HTTP/1.1 or newer, since over HTTP/1.0 a file that was cut off looks like a whole one; where a proxy asks \
             so, tell it to use HTTP/1.1 (in nginx: proxy_http_version 1.1)",
        )
    })
}

/// Understands the parameters. Only what the caller may see is there.
fn plan(view: &View, query: &str, kind: ExportKind, now: Timestamp) -> Result<ExportPlan, Refusal> {
    view.require(Role::Export)?;
    let visible = view.all();
    let visible: Vec<_> = visible.iter().map(|watched| &watched.tenant).collect();
    let planned = Params::from_query(query, kind).and_then(|params| params.plan(kind, &visible, now));
    planned.map_err(|invalid| Refusal::bad_request(invalid.to_string()))
}

fn permit(state: &HttpState) -> Result<OwnedSemaphorePermit, Refusal> {
    Arc::clone(&state.exports.permits).try_acquire_owned().map_err(|_| Refusal {
        code: code::RATE_LIMITED,
        header: Some((header::RETRY_AFTER, HeaderValue::from_static("10"))),
        ..Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "as many exports run as may run at the same time (limits.exports); try again in 10 s",
        )
    })
}

fn headers(plan: &ExportPlan, encoding: Option<Encoding>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(plan.format.media_type()));
    // The name has letters, digits and a few marks only.
    let disposition = format!("attachment; filename=\"{}\"", plan.file_name());
    headers
        .insert(header::CONTENT_DISPOSITION, HeaderValue::try_from(disposition).unwrap_or(HeaderValue::from_static("attachment")));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert(unbuffered::HEADER.0, unbuffered::HEADER.1);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding, Authorization, X-Api-Key"));
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
    }
    headers
}
