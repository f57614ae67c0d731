//! A finished answer and its encoded forms.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::OnceCell;

use super::{AnswerKey, Present, Validity};

/// In how many encodings a finished answer can be kept.
pub const ENCODINGS: usize = 3;

/// What an entry takes besides its bytes, about.
const OVERHEAD: usize = 300;

/// The encoded forms of an answer, each made once and waited for by all who want it meanwhile.
type Encoded = [OnceCell<Bytes>; ENCODINGS];

/// A finished answer. Cheap to clone; clones are the same answer.
#[derive(Clone, Debug)]
pub struct Finished {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    key: AnswerKey,
    body: Bytes,
    validity: Validity,
    /// Only of answers that somebody wanted encoded: most are too short.
    encoded: OnceLock<Box<Encoded>>,
}

impl Finished {
    pub(super) fn new(key: AnswerKey, body: Bytes, validity: Validity) -> Self {
        Self { shared: Arc::new(Shared { key, body, validity, encoded: OnceLock::new() }) }
    }

    /// The body, ready to be sent.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.shared.body
    }

    /// How long the answer will still be fresh if nothing changes; `None` when it does not depend on time.
    #[must_use]
    pub fn remaining_freshness(&self, now: Timestamp) -> Option<SignedDuration> {
        self.shared.validity.remaining_freshness(now)
    }

    pub(super) fn key(&self) -> &AnswerKey {
        &self.shared.key
    }

    pub(super) fn holds(&self, present: Present) -> bool {
        self.shared.validity.holds(present)
    }

    /// Whether the other one is this very answer, and not just an equal one.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Where the body in an encoding is, or will be.
    pub(super) fn encoded(&self, encoding: usize) -> &OnceCell<Bytes> {
        &self.shared.encoded.get_or_init(Box::default)[encoding]
    }

    /// What the answer takes with the forms that it has now, in bytes.
    pub(super) fn weight(&self) -> u32 {
        let Shared { key, body, validity, encoded } = &*self.shared;
        let of_forms =
            |forms: &Encoded| forms.iter().filter_map(OnceCell::get).map(Bytes::len).sum::<usize>() + size_of::<Encoded>();
        let encoded = encoded.get().map_or(0, |forms| of_forms(forms));
        u32::try_from(key.request.len() + body.len() + validity.weight() + encoded + OVERHEAD).unwrap_or(u32::MAX)
    }
}
