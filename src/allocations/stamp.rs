//! Whether what an answer was made from is still what is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the changes of one tenant's known allocation. Never counts back.
#[derive(Debug, Default)]
pub(super) struct Versions {
    value: AtomicU64,
    sample: AtomicU64,
}

/// A known allocation's place in the changes of its tenant's. Cheap to clone and to ask.
#[derive(Clone, Debug)]
pub struct Stamp {
    versions: Arc<Versions>,
    value: u64,
    sample: u64,
}

impl Stamp {
    /// The first that is known of a tenant.
    pub(super) fn first() -> Self {
        Self { versions: Arc::default(), value: 0, sample: 0 }
    }

    /// The stamp of the next sample; `changed` when its values are others. Until [`Stamp::publish`] neither holds: between the two,
    /// the old one may be read although the new one is there already.
    pub(super) fn next(&self, changed: bool) -> Self {
        Self { versions: Arc::clone(&self.versions), value: self.value + u64::from(changed), sample: self.sample + 1 }
    }

    /// Makes this the stamp that holds. To be called once the allocation can be read.
    pub(super) fn publish(&self) {
        self.versions.value.fetch_max(self.value, Ordering::AcqRel);
        self.versions.sample.fetch_max(self.sample, Ordering::AcqRel);
    }

    /// Makes no stamp of the tenant hold any more: what is known of it is forgotten, and later changes would not be counted here.
    pub(super) fn revoke(&self) {
        self.versions.value.store(u64::MAX, Ordering::Release);
        self.versions.sample.store(u64::MAX, Ordering::Release);
    }

    /// Whether the values are still the known ones.
    #[must_use]
    pub fn value_holds(&self) -> bool {
        self.versions.value.load(Ordering::Acquire) == self.value
    }

    /// Whether the sample is still the newest one, also if a newer one has the same values.
    #[must_use]
    pub fn sample_holds(&self) -> bool {
        self.versions.sample.load(Ordering::Acquire) == self.sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_equal_sample_ends_the_sample_and_not_the_value() {
        let first = Stamp::first();
        assert!(first.value_holds() && first.sample_holds());
        let equal = first.next(false);
        equal.publish();
        assert!(first.value_holds() && !first.sample_holds());
        let other = equal.next(true);
        assert!(!other.value_holds(), "not published yet");
        other.publish();
        assert!(!first.value_holds() && !equal.value_holds() && other.value_holds() && other.sample_holds());
        other.revoke();
        assert!(!other.value_holds() && !other.sample_holds());
        first.publish();
        assert!(!first.value_holds(), "what is revoked stays so");
    }
}
