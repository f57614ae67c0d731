//! Answers that are made while they are sent.

use axum::http::{HeaderName, HeaderValue};

/// Tells nginx not to gather the answer before it passes it on: whoever makes it would not notice how fast the client takes it, and events
/// would come late. Others pass on what comes anyway.
pub(in crate::http) const HEADER: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
