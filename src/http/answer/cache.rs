//! Finished answers in front of execution.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::Method;

use crate::access::View;
use crate::allocations::Allocations;
use crate::answers::{AnswerKey, Answers, Dependencies, Finished, Present};
use crate::clock::SharedClock;
use crate::http::answer::{Answer, Keeping};
use crate::http::negotiation::accept::MediaType;

/// The finished answers and what tells whether they are valid.
#[derive(Clone)]
pub struct AnswerCache {
    pub answers: Answers,
    /// What is known of the tenants.
    pub allocations: Allocations,
    /// The time.
    pub clock: SharedClock,
}

impl AnswerCache {
    /// The finished answer to a request, byte for byte the same, by trusted documents of this version, or the key under which its answer is to be kept.
    pub(in crate::http) fn find(
        &self,
        view: &View,
        method: &Method,
        media_type: MediaType,
        documents: u64,
        request: Bytes,
    ) -> Result<Answer, AnswerKey> {
        // The address of a GET and the body of a POST are two languages.
        let form = 2 * u8::from(*method == Method::GET) + media_type as u8;
        let key = Answers::key(view, form, documents, request);
        match self.answers.get(&key, self.present(view)) {
            Some(finished) => {
                let keeping = self.remaining_freshness(&finished);
                Ok(Answer::finished(finished, keeping))
            }
            None => Err(key),
        }
    }

    /// Keeps the answer to a query if its dependencies allow, and notes what its caller may keep.
    pub(in crate::http) fn keep(&self, key: AnswerKey, answer: &mut Answer, dependencies: &Dependencies, view: &View) {
        answer.finished = self.answers.put(key, &answer.body, dependencies, self.present(view));
        answer.keeping = match &answer.finished {
            Some(finished) => self.remaining_freshness(finished),
            None if dependencies.is_live() => Keeping::Never,
            None => Keeping::Revalidated,
        };
    }

    /// How long a caller may keep a finished answer. One that does not depend on time ends with the tenants, which nobody foresees.
    fn remaining_freshness(&self, finished: &Finished) -> Keeping {
        let rest = finished.remaining_freshness(self.clock.now()).and_then(|rest| Duration::try_from(rest).ok());
        rest.map_or(Keeping::Revalidated, Keeping::For)
    }

    fn present(&self, view: &View) -> Present {
        Present { now: self.clock.now(), tenants: view.generation(), figures: self.allocations.figures_version() }
    }
}
