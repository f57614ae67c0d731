//! What lists load, in batches: one statement for all tenants of a list, not one for each.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::dataloader::{DataLoader, Loader};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

use super::error::ApiError;
use crate::allocations::{Allocations, Answer, Demand};
use crate::fleet::{Fleets, SeriesRequest};
use crate::koodrive::Failure;
use crate::quota::usage::UsageSeries;
use crate::quota::{Run, TenantId, TimeRange};
use crate::store::{CollectionStatus, SharedStore, SnapshotPage, SnapshotQuery};
use crate::tenants::WatchedTenant;

/// How long a batch waits for its other keys. The fields of a list are resolved in one go, so the shortest wait will do.
const GATHER: Duration = Duration::from_millis(1);

/// The loaders of a schema.
pub struct Loaders {
    allocations: Allocations,
    store: SharedStore,
    fleets: Fleets,
}

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

/// The runs of a tenant that may say something about a range.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunsKey {
    /// The tenant.
    pub tenant: TenantId,
    /// The range's start.
    pub from: Timestamp,
    /// The range's end.
    pub to: Timestamp,
    /// Only this space type.
    pub space_type: Option<i32>,
}

impl RunsKey {
    /// The runs that may say something about a stretch that ends now, in whole hours: each tenant of a list takes its own now, and
    /// yet they shall be loaded together.
    pub fn until_now(tenant: &TenantId, stretch: TimeRange, space_type: Option<i32>) -> Self {
        let hour = |at: Timestamp, mode| {
            let rounding = TimestampRound::new().smallest(Unit::Hour).mode(mode);
            at.round(rounding).unwrap_or(at)
        };
        let (from, to) = (hour(stretch.from, RoundMode::Floor), hour(stretch.to, RoundMode::Ceil));
        Self { tenant: tenant.clone(), from, to, space_type }
    }
}

/// A page of a tenant's snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotsKey {
    /// The tenant.
    pub tenant: TenantId,
    /// Which page.
    pub query: SnapshotQuery,
}

/// The status of a tenant's collection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StatusKey(pub TenantId);

/// The series of a fleet.
#[derive(Clone, Debug)]
pub struct FleetKey {
    /// The tenants.
    pub members: Arc<[Arc<WatchedTenant>]>,
    /// What of them.
    pub request: SeriesRequest,
}

impl PartialEq for FleetKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.members, &other.members) && self.request == other.request
    }
}

impl Eq for FleetKey {}

impl Hash for FleetKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.members).hash(state);
        self.request.hash(state);
    }
}

impl Loaders {
    /// Loaders over the cache, the store and the sums.
    pub fn new(allocations: Allocations, store: SharedStore, fleets: Fleets) -> DataLoader<Self> {
        DataLoader::new(Self { allocations, store, fleets }, tokio::spawn).delay(GATHER)
    }
}

impl Loader<AllocationKey> for Loaders {
    type Value = Result<Answer, Arc<Failure>>;
    type Error = ApiError;

    async fn load(&self, keys: &[AllocationKey]) -> Result<HashMap<AllocationKey, Self::Value>, ApiError> {
        let demands: Vec<_> = keys.iter().map(|key| (Arc::clone(&key.watched), key.demand)).collect();
        Ok(keys.iter().cloned().zip(self.allocations.get_many(&demands).await).collect())
    }
}

impl Loader<RunsKey> for Loaders {
    type Value = Arc<Vec<Run>>;
    type Error = ApiError;

    async fn load(&self, keys: &[RunsKey]) -> Result<HashMap<RunsKey, Self::Value>, ApiError> {
        let mut stretches: HashMap<_, Vec<TenantId>> = HashMap::new();
        for key in keys {
            stretches.entry((key.from, key.to, key.space_type)).or_default().push(key.tenant.clone());
        }
        let mut loaded = HashMap::with_capacity(keys.len());
        for ((from, to, space_type), tenants) in stretches {
            for (tenant, runs) in self.store.runs(&tenants, TimeRange { from, to }, space_type).await? {
                loaded.insert(RunsKey { tenant, from, to, space_type }, Arc::new(runs));
            }
        }
        Ok(loaded)
    }
}

impl Loader<SnapshotsKey> for Loaders {
    type Value = SnapshotPage;
    type Error = ApiError;

    async fn load(&self, keys: &[SnapshotsKey]) -> Result<HashMap<SnapshotsKey, Self::Value>, ApiError> {
        let mut queries: HashMap<&SnapshotQuery, Vec<TenantId>> = HashMap::new();
        for key in keys {
            queries.entry(&key.query).or_default().push(key.tenant.clone());
        }
        let mut loaded = HashMap::with_capacity(keys.len());
        for (query, tenants) in queries {
            for (tenant, page) in self.store.snapshots(&tenants, query).await? {
                loaded.insert(SnapshotsKey { tenant, query: query.clone() }, page);
            }
        }
        Ok(loaded)
    }
}

impl Loader<StatusKey> for Loaders {
    type Value = CollectionStatus;
    type Error = ApiError;

    async fn load(&self, keys: &[StatusKey]) -> Result<HashMap<StatusKey, Self::Value>, ApiError> {
        let tenants: Vec<_> = keys.iter().map(|key| key.0.clone()).collect();
        let statuses = self.store.collection_status(&tenants).await?;
        Ok(statuses.into_iter().map(|(tenant, status)| (StatusKey(tenant), status)).collect())
    }
}

impl Loader<FleetKey> for Loaders {
    type Value = UsageSeries;
    type Error = ApiError;

    /// The groups of a fleet ask for the same stretch, and are summed in one pass.
    async fn load(&self, keys: &[FleetKey]) -> Result<HashMap<FleetKey, Self::Value>, ApiError> {
        let mut requests: HashMap<&SeriesRequest, Vec<&FleetKey>> = HashMap::new();
        for key in keys {
            requests.entry(&key.request).or_default().push(key);
        }
        let mut loaded = HashMap::with_capacity(keys.len());
        for (request, keys) in requests {
            let ids = |key: &&FleetKey| key.members.iter().map(|watched| watched.tenant.id.clone()).collect();
            let fleets: Vec<Vec<TenantId>> = keys.iter().map(ids).collect();
            loaded.extend(keys.into_iter().cloned().zip(self.fleets.series(&fleets, request).await?));
        }
        Ok(loaded)
    }
}
