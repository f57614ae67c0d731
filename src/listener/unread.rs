//! What is answered to a head that the library could not read. It writes such answers by itself, a status and nothing more; they are written
//! anew here, with a sentence and with the headers of every other answer.

use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderValue, Response, StatusCode, header};
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;

use super::head::BadHead;

/// What the answers have that were not written by the library.
const OURS: &[u8] = b"X-Content-Type-Options";

/// What was wrong with the head to which the library writes this; `None` when what is written is not an answer of its own.
pub(super) fn fault_of(written: &[u8]) -> Option<BadHead> {
    // "HTTP/1.1 400 …"
    if written.get(9) != Some(&b'4') || !written.starts_with(b"HTTP/1.") || written.windows(OURS.len()).any(|part| part == OURS) {
        return None;
    }
    let (status, sentence) = match written.get(9..12)? {
        b"400" => (StatusCode::BAD_REQUEST, "the head of the request cannot be read: its first line or a header is malformed"),
        b"414" => (StatusCode::URI_TOO_LONG, "the target of the request is too long; send the query by POST"),
        b"431" => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the request has too many headers, or too large ones; send fewer"),
        _ => return None,
    };
    Some(BadHead { status, sentence })
}

/// The answer as it is sent instead of what the library has written. The connection closes after it.
pub(super) fn write(response: Response<Body>, instead_of: &[u8]) -> Vec<u8> {
    let (mut head, body) = response.into_parts();
    debug_assert!(body.size_hint().exact().is_some(), "such answers are made already");
    let body = body.collect().now_or_never().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    head.headers.insert(header::CONTENT_LENGTH, body.len().into());
    let mut lines = instead_of.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    if let Some(date) = lines.find_map(|line| HeaderValue::from_bytes(line.strip_prefix(b"Date: ")?).ok()) {
        head.headers.insert(header::DATE, date);
    }
    let mut written =
        format!("HTTP/1.1 {} {}\r\n", head.status.as_str(), head.status.canonical_reason().unwrap_or_default()).into_bytes();
    for (name, value) in &head.headers {
        let mut starts = true;
        written.extend(name.as_str().bytes().map(|byte| {
            let letter = if starts { byte.to_ascii_uppercase() } else { byte };
            starts = byte == b'-';
            letter
        }));
        written.extend_from_slice(b": ");
        written.extend_from_slice(value.as_bytes());
        written.extend_from_slice(b"\r\n");
    }
    written.extend_from_slice(b"\r\n");
    written.extend_from_slice(&body);
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_without_our_headers_are_written_by_the_library() {
        for (written, expected) in [
            ("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", Some(400)),
            ("HTTP/1.0 414 URI Too Long\r\nConnection: close\r\n\r\n", Some(414)),
            ("HTTP/1.1 431 Request Header Fields Too Large\r\n\r\n", Some(431)),
            ("HTTP/1.1 400 Bad Request\r\nX-Content-Type-Options: nosniff\r\n\r\n", None),
            ("HTTP/1.1 404 Not Found\r\n\r\n", None),
            ("HTTP/1.1 200 OK\r\n\r\n", None),
            ("HTTP/1.1 4", None),
            ("", None),
        ] {
            let found = fault_of(written.as_bytes()).map(|fault| fault.status.as_u16());
            assert_eq!(found, expected, "{written}");
        }
    }
}
