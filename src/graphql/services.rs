//! What resolvers work with, besides the caller's [`View`](crate::access::View), which is the only way to a tenant.

use crate::access::Allowance;
use crate::allocations::Allocations;
use crate::clock::SharedClock;
use crate::fleet::Fleets;
use crate::quota::TenantId;
use crate::store::SharedStore;

/// The parts that resolvers use, shared by all requests.
pub struct Services {
    /// The cache in front of the upstream.
    pub allocations: Allocations,
    /// Sums over many tenants.
    pub fleets: Fleets,
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
}

/// Points of a series at most.
pub const MAX_POINTS: usize = 10_000;
