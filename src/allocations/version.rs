//! Whether what an answer was made from is still what is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the changes of one tenant's known allocation. Never counts back.
#[derive(Debug, Default)]
pub(super) struct Counters {
    value: AtomicU64,
    sample: AtomicU64,
}

/// The version of a known allocation: how many changes of its tenant came before it. Cheap to clone and to compare.
#[derive(Clone, Debug)]
pub struct Version {
    counters: Arc<Counters>,
    value: u64,
    sample: u64,
}

impl Version {
    /// The first that is known of a tenant.
    pub(super) fn first() -> Self {
        Self { counters: Arc::default(), value: 0, sample: 0 }
    }

    /// The version of the next sample; `changed` when its values are others. Until [`Version::publish`] neither is current: between the two,
    /// the old one may be read although the new one is there already.
    pub(super) fn next(&self, changed: bool) -> Self {
        Self { counters: Arc::clone(&self.counters), value: self.value + u64::from(changed), sample: self.sample + 1 }
    }

    /// Makes this the current version. To be called once the allocation can be read.
    pub(super) fn publish(&self) {
        self.counters.value.fetch_max(self.value, Ordering::AcqRel);
        self.counters.sample.fetch_max(self.sample, Ordering::AcqRel);
    }

    /// Makes no version of the tenant current any more: what is known of it is forgotten, and later changes would not be counted here.
    pub(super) fn revoke(&self) {
        self.counters.value.store(u64::MAX, Ordering::Release);
        self.counters.sample.store(u64::MAX, Ordering::Release);
    }

    /// Whether the values are still the known ones.
    #[must_use]
    pub fn is_current_value(&self) -> bool {
        self.counters.value.load(Ordering::Acquire) == self.value
    }

    /// Whether the sample is still the newest one, also if a newer one has the same values.
    #[must_use]
    pub fn is_current_sample(&self) -> bool {
        self.counters.sample.load(Ordering::Acquire) == self.sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_equal_sample_ends_the_sample_and_not_the_value() {
        let first = Version::first();
        assert!(first.is_current_value() && first.is_current_sample());
        let equal = first.next(false);
        equal.publish();
        assert!(first.is_current_value() && !first.is_current_sample());
        let other = equal.next(true);
        assert!(!other.is_current_value(), "not published yet");
        other.publish();
        assert!(!first.is_current_value() && !equal.is_current_value() && other.is_current_value() && other.is_current_sample());
        other.revoke();
        assert!(!other.is_current_value() && !other.is_current_sample());
        first.publish();
        assert!(!first.is_current_value(), "what is revoked stays so");
    }
}
