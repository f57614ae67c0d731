//! Limits on how often: failed authentication per address, requests per principal, refreshes per tenant.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::clock::SharedClock;

/// How often keys that are back at their full allowance are forgotten: once in so many takes.
const FORGET_EVERY: u32 = 4096;

/// An allowance for each key. Memory is bounded by the keys that were busy lately.
#[derive(Debug)]
pub struct Allowance<K: Clone + Eq + Hash> {
    limiter: RateLimiter<K, HashMapStateStore<K>, InjectedClock, NoOpMiddleware<Nanos>>,
    clock: InjectedClock,
    takes: AtomicU32,
}

impl<K: Clone + Eq + Hash> Allowance<K> {
    fn new(quota: Quota, clock: SharedClock) -> Self {
        let clock = InjectedClock(clock);
        Self { limiter: RateLimiter::hashmap_with_clock(quota, clock.clone()), clock, takes: AtomicU32::new(0) }
    }

    /// So many a minute, all of them at once if nobody asked before.
    #[must_use]
    pub fn per_minute(count: NonZeroU32, clock: SharedClock) -> Self {
        Self::new(Quota::per_minute(count), clock)
    }

    /// So many a second.
    #[must_use]
    pub fn per_second(count: NonZeroU32, clock: SharedClock) -> Self {
        Self::new(Quota::per_second(count), clock)
    }

    /// Takes one of the key's allowance.
    ///
    /// # Errors
    /// When it is used up: the whole seconds until the next one.
    pub fn take(&self, key: &K) -> Result<(), u64> {
        if self.takes.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(key).map_err(|not_until| whole_seconds(not_until.wait_time_from(GovernorClock::now(&self.clock))))
    }
}

/// The service's clock as the limiter wants it.
#[derive(Clone, Debug)]
struct InjectedClock(SharedClock);

impl GovernorClock for InjectedClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let since_epoch = self.0.now().duration_since(jiff::Timestamp::UNIX_EPOCH);
        Nanos::new(u64::try_from(since_epoch.as_nanos()).unwrap_or(0))
    }
}

/// Whole seconds for a `Retry-After`, rounded up.
pub(super) fn whole_seconds(wait: std::time::Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
