//! The memory of answers that clients have not taken yet.
//!
//! Each answer has a limit, but a client may ask on a thousand connections, and then take a byte now and then. So what large answers take is
//! counted from when they are written until the last of their bytes is sent, and one is refused when there is no room for it. What the
//! answer cache keeps besides has a limit of its own.

use std::sync::Arc;

use axum::body::Bytes;

use crate::access::{ConcurrencyLimit, ConcurrencySettings, LimitReached, Permit, Principal};

/// Answers of fewer bytes are not counted: what their connections take is as much.
const COUNTED: usize = 16 * 1024;

/// What large answers take that are not sent yet, and what they may take.
#[derive(Debug)]
pub struct Unsent(ConcurrencyLimit);

/// The part of an answer. It is given back when its last clone is dropped.
#[derive(Clone, Debug)]
pub(in crate::http) struct Share {
    _permit: Arc<Permit>,
}

/// There is no room for another answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::http) enum Full {
    #[error(
        "answers to you that you have not taken yet hold as much as you may have of limits.unsent_bytes; take them first, or ask for less at a time"
    )]
    Own,
    #[error("answers that clients have not taken yet hold as much as limits.unsent_bytes allows; try again later")]
    Total,
}

impl Unsent {
    /// With room for so many bytes; for half of them to one principal.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(ConcurrencyLimit::new(ConcurrencySettings { name: "unsent_bytes", total: bytes, per_principal: bytes / 2 }))
    }

    /// The part of so many bytes; none of few.
    ///
    /// # Errors
    /// When there is no room for them.
    pub(in crate::http) fn share(&self, principal: &Principal, bytes: usize) -> Result<Option<Share>, Full> {
        if bytes < COUNTED {
            return Ok(None);
        }
        let permit = self.0.acquire_many(principal, bytes).map_err(|reached| match reached {
            LimitReached::Principal { .. } => Full::Own,
            LimitReached::Total { .. } => Full::Total,
        })?;
        Ok(Some(Share { _permit: Arc::new(permit) }))
    }
}

impl Share {
    /// The same bytes, which hold their part as long as anybody holds them.
    pub(in crate::http) fn attach(&self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Held { bytes, _share: self.clone() })
    }
}

struct Held {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_sent_takes_room_until_its_last_part_is_dropped() {
        let unsent = Unsent::new(160_000);
        let hold = |bytes: usize| {
            let share = unsent.share(&Principal::anybody(), bytes)?;
            let body = Bytes::from(vec![0; bytes]);
            Ok::<_, Full>((share.as_ref().map_or(body.clone(), |share| share.attach(body)), share))
        };
        let (first, share) = hold(48_000).unwrap();
        drop(share);
        let part = first.slice(44_000..);
        assert_eq!(hold(32_001).unwrap_err(), Full::Own);
        drop(first);
        assert_eq!(hold(32_001).unwrap_err(), Full::Own, "a part of it is left");
        let small: Vec<_> = (0..100).map(|_| hold(16_383).unwrap()).collect();
        drop(part);
        let (other, share) = hold(80_000).unwrap();
        let encoded = share.unwrap().attach(Bytes::from_static(b"short"));
        drop((other, small));
        assert_eq!(hold(32_001).unwrap_err(), Full::Own, "its encoded form is left");
        drop(encoded);
        hold(80_000).unwrap();
    }
}
