//! What can be asked of the loaders.

use std::hash::Hash;
use std::sync::Arc;

use jiff::Timestamp;

use crate::allocations::Demand;
use crate::fleet::SeriesRequest;
use crate::graphql::context::Asker;
use crate::graphql::usage_request::UsageRequest;
use crate::quota::{TenantId, TimeRange};
use crate::store::SnapshotQuery;
use crate::tenants::WatchedTenant;

/// An allocation on a tenant, as one reader demands it.
#[derive(Clone)]
pub struct AllocationKey {
    /// The tenant.
    pub watched: Arc<WatchedTenant>,
    /// The demand.
    pub demand: Demand,
}

impl PartialEq for AllocationKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.watched, &other.watched) && self.demand == other.demand
    }
}

impl Eq for AllocationKey {}

impl Hash for AllocationKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.watched.tenant.id.hash(state);
        self.demand.hash(state);
    }
}

/// The series of a tenant.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SeriesKey {
    /// Who asks.
    pub asker: Asker,
    /// What is asked; the same one for all tenants of a list.
    pub request: Same,
    /// The tenant.
    pub tenant: TenantId,
}

/// What is asked of several tenants: equal to itself alone.
#[derive(Clone)]
pub struct Same(pub Arc<UsageRequest>);

impl PartialEq for Same {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Same {}

impl Hash for Same {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

/// The growth of a tenant.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GrowthKey {
    /// Who asks.
    pub asker: Asker,
    /// The tenant.
    pub tenant: TenantId,
    /// The stretch, which ends now.
    pub stretch: TimeRange,
    /// Only this space type.
    pub space_type: Option<i32>,
}

/// The days of a tenant that a forecast rests on.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DaysKey {
    /// Who asks.
    pub asker: Asker,
    /// The tenant.
    pub tenant: TenantId,
    /// When the days end.
    pub now: Timestamp,
    /// Only this space type.
    pub space_type: Option<i32>,
}

/// A page of a tenant's snapshots.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SnapshotsKey {
    /// Who asks.
    pub asker: Asker,
    /// The tenant.
    pub tenant: TenantId,
    /// Which page.
    pub query: SnapshotQuery,
}

/// The status of a tenant's collection.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StatusKey {
    /// Who asks.
    pub asker: Asker,
    /// The tenant.
    pub tenant: TenantId,
}

/// The series of a fleet.
#[derive(Clone)]
pub struct FleetKey {
    /// Who asks.
    pub asker: Asker,
    /// The tenants.
    pub members: Arc<[Arc<WatchedTenant>]>,
    /// What of them.
    pub request: SeriesRequest,
}

impl PartialEq for FleetKey {
    fn eq(&self, other: &Self) -> bool {
        self.asker == other.asker && Arc::ptr_eq(&self.members, &other.members) && self.request == other.request
    }
}

impl Eq for FleetKey {}

impl Hash for FleetKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.members).hash(state);
        self.request.hash(state);
    }
}
