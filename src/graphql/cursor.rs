//! Opaque places in lists.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;

use crate::store::SnapshotKey;

/// A place in a list that can be handed out as text.
pub trait Cursor: Sized {
    /// The place as plain text.
    fn to_text(&self) -> String;
    /// The place that a plain text names.
    fn from_text(text: &str) -> Option<Self>;

    /// The place as an opaque text.
    fn encode(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.to_text())
    }

    /// The place that an opaque text names.
    fn decode(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        Self::from_text(std::str::from_utf8(&bytes).ok()?)
    }
}

impl Cursor for SnapshotKey {
    fn to_text(&self) -> String {
        format!("s:{}:{}", self.first_at.as_microsecond(), self.space_type)
    }

    fn from_text(text: &str) -> Option<Self> {
        let (first_at, space_type) = text.strip_prefix("s:")?.split_once(':')?;
        let first_at = Timestamp::from_microsecond(first_at.parse().ok()?).ok()?;
        Some(Self { first_at, space_type: space_type.parse().ok()? })
    }
}
