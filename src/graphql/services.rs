//! What resolvers work with, besides the caller's [`View`](crate::access::View), which is the only way to a tenant.

use crate::access::{Allowance, ConcurrencyLimit};
use crate::allocations::Allocations;
use crate::clock::SharedClock;
use crate::computing::Computing;
use crate::feed::Feed;
use crate::fleet::Fleets;
use crate::metrics::SubscriptionMetrics;
use crate::quota::TenantId;
use crate::store::SharedStore;

/// The parts that resolvers use, shared by all requests.
pub struct Services {
    /// The cache in front of the upstream.
    pub allocations: Allocations,
    /// Sums over many tenants.
    pub fleets: Fleets,
    /// Where long work is done.
    pub computing: Computing,
    /// The history.
    pub store: SharedStore,
    /// The time.
    pub clock: SharedClock,
    /// The tenant that is meant when none is named.
    pub default_tenant: Option<TenantId>,
    /// Items on a page at most.
    pub page_size: usize,
    /// How often a tenant may be refreshed.
    pub refreshes: Allowance<TenantId>,
    /// What is observed from now on, and what was.
    pub feed: Feed,
    /// Who is subscribed.
    pub subscribers: ConcurrencyLimit,
    /// The figures of subscriptions.
    pub metrics: SubscriptionMetrics,
}

/// Points of a series at most.
pub const MAX_POINTS: usize = 10_000;
