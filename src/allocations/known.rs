//! The newest known allocation of each tenant, in memory.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use moka::notification::RemovalCause;
use moka::ops::compute::{CompResult, Op};
use moka::sync::Cache;

use super::demand::{AllocationAnswer, Demand, Source};
use super::settings::Settings;
use super::version::Version;
use crate::clock::SharedClock;
use crate::quota::{SpaceAllocation, TenantId};
use crate::tenants::WatchedTenant;

/// A tenant and the generation of its credential: what is known under a former one is never found again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    tenant: TenantId,
    generation: u64,
}

impl Key {
    pub(super) fn of(watched: &WatchedTenant) -> Self {
        Self { tenant: watched.tenant.id.clone(), generation: watched.account.generation }
    }
}

/// The newest known allocation of a tenant.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) allocation: Arc<SpaceAllocation>,
    /// Whether it came from the database.
    stored: bool,
    version: Version,
}

/// What is known, and how it answers demands.
pub(super) struct KnownAllocations {
    kept: Cache<Key, Known>,
    /// Counts the changes of any tenant's known values.
    figures: AtomicU64,
    clock: SharedClock,
    settings: Settings,
}

impl KnownAllocations {
    pub(super) fn new(settings: Settings, clock: SharedClock) -> Self {
        let forget = |_: Arc<Key>, known: Known, cause: RemovalCause| {
            if cause != RemovalCause::Replaced {
                known.version.revoke();
            }
        };
        let kept = Cache::builder().max_capacity(settings.max_tenants).eviction_listener(forget).build();
        Self { kept, figures: AtomicU64::new(0), clock, settings }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Known> {
        self.kept.get(key)
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.kept.contains_key(key)
    }

    /// How many tenants are known, about.
    pub(super) fn len(&self) -> u64 {
        self.kept.entry_count()
    }

    /// The version of all known values together: another one as soon as any of them has changed.
    pub(super) fn figures_version(&self) -> u64 {
        self.figures.load(Ordering::Acquire)
    }

    /// Forgets all others.
    pub(super) fn retain(&self, in_use: &HashSet<Key>) {
        let former: Vec<_> = self.kept.iter().map(|(key, _)| key).filter(|key| !in_use.contains(key.as_ref())).collect();
        for key in former {
            self.kept.invalidate(key.as_ref());
        }
    }

    /// Whether a value is within the fresh limit.
    pub(super) fn is_fresh(&self, known: &Known) -> bool {
        self.age(known) <= self.settings.fresh_for
    }

    /// Something when the known value of a tenant is within the fresh limit.
    pub(super) fn fresh(&self, key: &Key) -> Option<()> {
        self.kept.get(key).filter(|known| self.is_fresh(known)).map(drop)
    }

    /// Keeps the newer one of what is known and what came.
    pub(super) fn remember(&self, key: Key, allocation: &Arc<SpaceAllocation>, stored: bool) {
        let mut changed = false;
        let outcome = self.kept.entry(key).and_compute_with(|old| {
            let old = old.map(moka::Entry::into_value);
            let version = match &old {
                Some(old) if old.allocation.observed_at() >= allocation.observed_at() => return Op::Nop,
                Some(old) => {
                    changed = old.allocation.by_type() != allocation.by_type();
                    old.version.next(changed)
                }
                None => {
                    changed = true;
                    Version::first()
                }
            };
            if changed {
                // Before the values can be read: nobody reads them under a former version.
                self.figures.fetch_add(1, Ordering::AcqRel);
            }
            Op::Put(Known { allocation: Arc::clone(allocation), stored, version })
        });
        if let CompResult::Inserted(entry) | CompResult::ReplacedWith(entry) = outcome {
            entry.value().version.publish();
            if changed {
                // And after: whoever noted the version between and read the former values notes that they have changed.
                self.figures.fetch_add(1, Ordering::AcqRel);
            }
        }
    }

    fn fresh_until(&self, allocation: &SpaceAllocation, max_age: Option<SignedDuration>) -> Timestamp {
        let limit = max_age.map_or(self.settings.fresh_for, |age| age.min(self.settings.fresh_for));
        allocation.observed_at().saturating_add(limit).unwrap_or(Timestamp::MAX)
    }

    /// An allocation that was fetched for this answer.
    pub(super) fn live(&self, key: &Key, allocation: Arc<SpaceAllocation>, max_age: Option<SignedDuration>) -> AllocationAnswer {
        let known = self.kept.get(key).filter(|known| Arc::ptr_eq(&known.allocation, &allocation));
        let fresh_until = self.fresh_until(&allocation, max_age);
        AllocationAnswer { allocation, source: Source::Live, version: known.map(|known| known.version), fresh_until }
    }

    fn age(&self, known: &Known) -> SignedDuration {
        age(known.allocation.observed_at(), self.clock.now())
    }

    /// The known value as an answer, if the demand allows its age.
    pub(super) fn acceptable(&self, known: &Known, demand: Demand) -> Option<AllocationAnswer> {
        if demand.max_age == Some(SignedDuration::ZERO) {
            return None;
        }
        let limit = demand.max_age.unwrap_or(self.settings.stale_for.max(self.settings.fresh_for));
        (self.age(known) <= limit).then(|| self.last_known(known, demand.max_age))
    }

    /// The known value as an answer, of whatever age. One that is older than its reader demands is stale, however fresh it may be for others; a
    /// demand for a live one is met by none.
    pub(super) fn last_known(&self, known: &Known, max_age: Option<SignedDuration>) -> AllocationAnswer {
        let age = self.age(known);
        let source = match (max_age, known.stored) {
            (Some(limit), _) if limit.is_zero() || age > limit => Source::Stale,
            (_, true) => Source::Stored,
            (_, false) if age <= self.settings.fresh_for => Source::Cache,
            (_, false) => Source::Stale,
        };
        AllocationAnswer {
            allocation: Arc::clone(&known.allocation),
            source,
            version: Some(known.version.clone()),
            fresh_until: self.fresh_until(&known.allocation, max_age),
        }
    }
}

/// An age is never negative: an instant ahead of our clock (another replica's is a little fast) counts as now.
fn age(observed_at: Timestamp, now: Timestamp) -> SignedDuration {
    now.duration_since(observed_at).max(SignedDuration::ZERO)
}
