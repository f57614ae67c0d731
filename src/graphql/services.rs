//! What resolvers work with.

use std::sync::Arc;

use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::error::ApiError;
use crate::allocations::Allocations;
use crate::clock::SharedClock;
use crate::quota::TenantId;
use crate::store::SharedStore;
use crate::tenants::Tenants;

/// The parts that resolvers use, shared by all requests.
pub struct Services {
    /// Who is watched.
    pub tenants: Arc<Tenants>,
    /// The cache in front of the upstream.
    pub allocations: Allocations,
    /// The history.
    pub store: SharedStore,
    /// The time.
    pub clock: SharedClock,
    /// The tenant that is meant when none is named.
    pub default_tenant: Option<TenantId>,
    /// Items on a page at most.
    pub page_size: usize,
    /// How often a tenant may be refreshed.
    pub refreshes: RefreshLimit,
}

/// Points of a series at most.
pub const MAX_POINTS: usize = 10_000;

/// Limits refreshes, per tenant.
pub struct RefreshLimit {
    limiter: RateLimiter<TenantId, HashMapStateStore<TenantId>, InjectedClock, NoOpMiddleware<Nanos>>,
    clock: InjectedClock,
}

impl RefreshLimit {
    /// So many refreshes a minute and tenant, all of them at once if nobody asked before.
    #[must_use]
    pub fn per_minute(refreshes: std::num::NonZeroU32, clock: SharedClock) -> Self {
        let clock = InjectedClock(clock);
        Self { limiter: RateLimiter::hashmap_with_clock(Quota::per_minute(refreshes), clock.clone()), clock }
    }

    /// Takes one refresh of the tenant's allowance.
    ///
    /// # Errors
    /// When it is used up, with the time until the next one.
    pub fn take(&self, tenant: &TenantId) -> Result<(), ApiError> {
        self.limiter.check_key(tenant).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            ApiError::RateLimited(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
        })
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
