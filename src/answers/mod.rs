//! Finished answers of repeated queries, and the rule by which they are valid.
//!
//! **Promise.** A caller never gets an answer from here that executing the document now would not give it, but for `source`, which
//! tells how the answer was made.
//!
//! **Key.** What the caller may see and do, the media type, the version of the trusted documents, and the request byte for byte. Callers who see different things never
//! share an answer; a request that differs in a space only is executed once more. Each operation of a list is a request of its own here: it has the
//! answer of a lone one, and gives it its own.
//!
//! **Dependencies.** While a document is executed its resolvers note what they use ([`Dependencies`]):
//!
//! | used | the answer is valid while |
//! |---|---|
//! | allocated, total, utilization of a tenant | the tenant's values are the same, however often they were sampled since |
//! | `observedAt` of a tenant | its newest sample is the same |
//! | figures of all tenants, for a filter or an order | no tenant's values have changed |
//! | any tenant's name, labels or existence | the tenants are the same ones |
//! | an allocation at all | it is within the fresh limit and the `maxAge` that was asked for |
//! | history, the collection's status | never: it moves with the clock |
//!
//! Answers with errors, of mutations, and of demands for a live answer are never kept.
//!
//! **Dropping.** An answer is not searched for when something changes; it is found invalid when it is asked for. That costs a few loads of
//! counters for each dependency, and nothing when samples come in. What is never asked for again goes when the memory is needed: the
//! bytes that are kept are bounded.
//!
//! **Encodings.** An answer is encoded once for each encoding that somebody asks for. The encoded bytes are kept with the answer, go with it, and
//! count within the bound: the answer is weighed anew when it gets another form.

mod caller_scope;
mod dependencies;
mod finished;

use bytes::Bytes;
use foldhash::fast::RandomState;
use jiff::Timestamp;
use moka::ops::compute::Op;

use self::caller_scope::CallerScope;
pub use self::dependencies::{Dependencies, Validity};
pub use self::finished::{ENCODINGS, Finished};
use crate::access::View;
use crate::metrics::AnswerMetrics;

/// The largest answer that is kept, in bytes.
const LARGEST: usize = 1 << 20;

/// A request as far as its answer depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AnswerKey {
    scope: CallerScope,
    form: u8,
    documents: u64,
    request: Bytes,
}

/// The finished answers. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Answers {
    finished: moka::sync::Cache<AnswerKey, Finished, RandomState>,
    metrics: AnswerMetrics,
}

/// What the present is like, for judging whether answers are valid.
#[derive(Clone, Copy, Debug)]
pub struct Present {
    /// The time.
    pub now: Timestamp,
    /// The generation of the tenants that are watched.
    pub tenants: u64,
    /// The version of all tenants' values together.
    pub figures: u64,
}

impl Answers {
    /// Keeps answers of so many bytes together at most.
    #[must_use]
    pub fn new(bytes_at_most: u64, metrics: AnswerMetrics) -> Self {
        let weigh = |_: &AnswerKey, finished: &Finished| finished.weight();
        let finished =
            moka::sync::Cache::builder().max_capacity(bytes_at_most).weigher(weigh).build_with_hasher(RandomState::default());
        Self { finished, metrics }
    }

    /// The key of a request, as a view of the tenants and a form of the answer make it. `form` tells media types apart, `documents` the versions
    /// of the documents that requests name without sending them; taken before the request's own is looked up.
    #[must_use]
    pub fn key(view: &View, form: u8, documents: u64, request: Bytes) -> AnswerKey {
        AnswerKey { scope: CallerScope::of(view.principal()), form, documents, request }
    }

    /// The answer to a request, if there is one that is valid in the present.
    #[must_use]
    pub fn get(&self, key: &AnswerKey, present: Present) -> Option<Finished> {
        match self.finished.get(key) {
            Some(finished) if finished.holds(present) => {
                self.metrics.hits.inc();
                Some(finished)
            }
            Some(_) => {
                self.metrics.outdated.inc();
                None
            }
            None => {
                self.metrics.misses.inc();
                None
            }
        }
    }

    /// Keeps an answer, if its dependencies allow and it is valid in the present, whose `tenants` are those that its view was taken from.
    /// Gives back what could be kept, too large or not.
    pub fn put(&self, key: AnswerKey, body: &Bytes, dependencies: &Dependencies, present: Present) -> Option<Finished> {
        let validity = dependencies.validity(present.tenants).filter(|validity| validity.holds(present))?;
        // A copy: the request is a part of the connection's buffer, which would be kept whole.
        let key = AnswerKey { request: Bytes::copy_from_slice(&key.request), ..key };
        let finished = Finished::new(key, body.clone(), validity);
        if body.len() <= LARGEST {
            self.finished.insert(finished.key().clone(), finished.clone());
        }
        Some(finished)
    }

    /// The body of an answer in an encoding, a number below [`ENCODINGS`] of the caller's choice. It is made when it is asked for the first
    /// time, and kept as long as the answer is.
    ///
    /// # Errors
    /// That of `encode`; the next one who asks tries again.
    pub async fn encoded<E>(
        &self,
        finished: &Finished,
        encoding: usize,
        encode: impl AsyncFnOnce(Bytes) -> Result<Bytes, E>,
    ) -> Result<Bytes, E> {
        let form = finished.encoded(encoding);
        if let Some(encoded) = form.get() {
            return Ok(encoded.clone());
        }
        let mut made = false;
        let encoded = form.get_or_try_init(async || {
            let encoded = encode(finished.body().clone()).await?;
            made = true;
            Ok(encoded)
        });
        let encoded = encoded.await?.clone();
        if made {
            self.metrics.encodings.inc();
            self.weigh_anew(finished);
        }
        Ok(encoded)
    }

    /// Counts what an answer has become, if it is still kept.
    fn weigh_anew(&self, finished: &Finished) {
        self.finished.entry_by_ref(finished.key()).and_compute_with(|entry| match entry {
            Some(entry) if entry.value().is(finished) => Op::Put(finished.clone()),
            _ => Op::Nop,
        });
    }

    /// How many bytes the answers take, about.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.finished.weighted_size()
    }
}

#[cfg(test)]
mod tests;
