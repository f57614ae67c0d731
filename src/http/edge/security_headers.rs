//! The headers that every answer has.

use axum::http::{HeaderMap, HeaderValue, header};

/// Adds them.
pub(in crate::http) fn add(headers: &mut HeaderMap, is_tls: bool) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_tls {
        // Browsers that have called over our TLS do so for a year (RFC 6797).
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}
