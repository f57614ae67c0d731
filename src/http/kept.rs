//! Finished answers in front of execution.

use axum::body::Bytes;

use super::accept::MediaType;
use crate::access::View;
use crate::allocations::Allocations;
use crate::answers::{AnswerKey, Answers, Finished, Ingredients, Present};
use crate::clock::SharedClock;

/// The finished answers and what tells whether they are valid.
#[derive(Clone)]
pub struct Kept {
    /// The answers.
    pub answers: Answers,
    /// What is known of the tenants.
    pub allocations: Allocations,
    /// The time.
    pub clock: SharedClock,
}

impl Kept {
    /// The finished answer to a request to the letter, or the key under which its answer is to be kept.
    pub(super) fn find(&self, view: &View, media_type: MediaType, request: Bytes) -> Result<Finished, AnswerKey> {
        let key = Answers::key(view, media_type as u8, request);
        self.answers.get(&key, self.present(view)).ok_or(key)
    }

    /// Keeps an answer if its ingredients allow.
    pub(super) fn keep(&self, key: AnswerKey, body: &Bytes, ingredients: &Ingredients, view: &View) {
        self.answers.put(key, body, ingredients, self.present(view));
    }

    fn present(&self, view: &View) -> Present {
        Present { now: self.clock.now(), tenants: view.generation(), figures: self.allocations.figures_version() }
    }
}
