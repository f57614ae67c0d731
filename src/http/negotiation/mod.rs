//! What a caller accepts: media types and encodings (RFC 9110 section 12).

pub(in crate::http) mod accept;
pub(in crate::http) mod compressor;
pub(in crate::http) mod encoding;
mod quality;
