//! Writing an answer: media type, encoding, how long clients may keep it, and for GET by which tag (RFC 9110 section 13, RFC 9111 section 5.2).

use std::io;
use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};
use tracing::error;

use crate::answers::Finished;
use crate::http::answer::{Answer, Keeping};
use crate::http::negotiation::accept::MediaType;
use crate::http::negotiation::encoding::{Encoding, LONG};
use crate::http::state::HttpState;
use crate::telemetry::explain;

/// What of a request decides about the answer to a GET, besides its address.
const VARY: &str = "Accept, Accept-Encoding, Authorization, X-Api-Key";

/// Writes the answer as the caller likes it best. A finished one is encoded once and then kept so.
pub(in crate::http) async fn respond(
    answer: Answer,
    media_type: MediaType,
    headers: &HeaderMap,
    method: &Method,
    state: &HttpState,
) -> Response {
    let Answer { status, body, headers: mut to, keeping, finished, share } = answer;
    let encoding = Encoding::negotiate(headers, body.len());
    // Gateways read it off the answer to a POST, too.
    to.insert(header::CACHE_CONTROL, cache_control(keeping));
    if keeping != Keeping::Never && *method == Method::GET {
        let tag = match body.len() {
            // What is long is gone through elsewhere; where the process ends meanwhile, nobody will ask by the tag.
            LONG.. => {
                let body = body.clone();
                let tag = state.computing.run(async move { entity_tag(&body, media_type, encoding) }).await;
                tag.unwrap_or(HeaderValue::from_static("\"\""))
            }
            _ => entity_tag(&body, media_type, encoding),
        };
        let known = knows(headers, &tag);
        to.insert(header::VARY, HeaderValue::from_static(VARY));
        to.insert(header::ETAG, tag);
        if known {
            return write(StatusCode::NOT_MODIFIED, to, Bytes::new());
        }
    }
    to.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type.content_type()));
    let Some(encoding) = encoding else { return write(status, to, body) };
    // On the heap: encoders are large, and most answers are sent without one but would be moved with the room for it.
    match Box::pin(encode(body, encoding, finished, state)).await {
        Ok(encoded) => {
            to.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
            let encoded = match share {
                Some(share) => share.attach(encoded),
                None => encoded,
            };
            write(status, to, encoded)
        }
        Err(cause) => {
            error!(error = explain(&cause), "an answer could not be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn encode(body: Bytes, encoding: Encoding, finished: Option<Finished>, state: &HttpState) -> io::Result<Bytes> {
    let encode = async |body| encoding.encode(body, &state.computing).await;
    match finished {
        Some(finished) => state.kept.answers.encoded(&finished, encoding as usize, encode).await,
        None => encode(body).await,
    }
}

fn write(status: StatusCode, headers: HeaderMap, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn cache_control(keeping: Keeping) -> HeaderValue {
    match keeping {
        Keeping::Never => HeaderValue::from_static("no-store"),
        Keeping::Revalidated => HeaderValue::from_static("private, no-cache"),
        // Whole seconds, rounded down: nothing is kept longer than it holds.
        Keeping::For(rest) => match usize::try_from(rest.as_secs()).ok().and_then(|seconds| MAX_AGES.get(seconds)) {
            Some(usual) => usual.clone(),
            None => max_age(rest.as_secs()),
        },
    }
}

/// The values for ages up to a quarter of an hour, written once: every answer has one.
static MAX_AGES: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| (0..=900).map(max_age).collect());

fn max_age(seconds: u64) -> HeaderValue {
    HeaderValue::try_from(format!("private, max-age={seconds}")).unwrap_or(HeaderValue::from_static("no-store"))
}

/// A strong tag: it differs wherever a byte of the body or its form differs.
fn entity_tag(body: &[u8], media_type: MediaType, encoding: Option<Encoding>) -> HeaderValue {
    let hash = Sha256::new().chain_update(media_type.content_type()).chain_update(body).finalize();
    let form = encoding.map_or("", Encoding::name);
    HeaderValue::try_from(format!("\"{}{form}\"", hex::encode(&hash[..16]))).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Whether the caller has what the tag names. Weak tags do: they are compared without their mark.
fn knows(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let tags = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    tags.map(str::trim).any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == tag.as_bytes())
}

/// The answer to a caller who accepts no media type that there is.
pub(in crate::http) fn not_acceptable() -> Response {
    let sentence = "accept application/graphql-response+json, application/json or text/event-stream";
    (StatusCode::NOT_ACCEPTABLE, sentence).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn freshness_is_told_in_whole_seconds_rounded_down() {
        for (keeping, expected) in [
            (Keeping::Never, "no-store"),
            (Keeping::Revalidated, "private, no-cache"),
            (Keeping::For(Duration::from_millis(300_999)), "private, max-age=300"),
            (Keeping::For(Duration::from_millis(999)), "private, max-age=0"),
            (Keeping::For(Duration::from_mins(15)), "private, max-age=900"),
            (Keeping::For(Duration::from_secs(901)), "private, max-age=901"),
            (Keeping::For(Duration::from_hours(240)), "private, max-age=864000"),
        ] {
            assert_eq!(cache_control(keeping), expected);
        }
    }

    #[test]
    fn a_tag_is_known_as_strong_or_weak_alone_or_in_a_list() {
        let tag = HeaderValue::from_static("\"abc\"");
        for (values, expected) in [
            (&["\"abc\""][..], true),
            (&["W/\"abc\""], true),
            (&["\"x\", \"abc\""], true),
            (&["\"x\"", "\"abc\""], true),
            (&["*"], true),
            (&["\"abcd\""], false),
            (&["abc"], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::IF_NONE_MATCH, value.parse().unwrap());
            }
            assert_eq!(knows(&headers, &tag), expected, "{values:?}");
        }
    }
}
