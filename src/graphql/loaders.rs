//! What lists load, in batches: one statement for all tenants of a list, not one for each.

use std::collections::HashMap;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::dataloader::{DataLoader, Loader};
use futures_util::FutureExt as _;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use tokio::time::{Instant, timeout_at};

use super::error::ApiError;
use crate::allocations::{Allocations, Answer, Demand};
use crate::fleet::{Fleets, SeriesRequest};
use crate::koodrive::Failure;
use crate::quota::usage::UsageSeries;
use crate::quota::{Run, TenantId, TimeRange};
use crate::store::{CollectionStatus, SharedStore, SnapshotPage, SnapshotQuery, StoreError};
use crate::supervisor::describe;
use crate::tenants::WatchedTenant;

/// How long a batch waits for its other keys. The fields of a list are resolved in one go, so the shortest wait will do.
const GATHER: Duration = Duration::from_millis(1);

/// The loaders of a schema.
pub struct Loaders {
    allocations: Allocations,
    store: SharedStore,
    fleets: Fleets,
    patience: Duration,
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
    /// Loaders over the cache, the store and the sums. A batch that reads the database is given up after `patience`; then nobody waits for it any
    /// more.
    pub fn new(allocations: Allocations, store: SharedStore, fleets: Fleets, patience: Duration) -> DataLoader<Self> {
        DataLoader::new(Self { allocations, store, fleets, patience }, tokio::spawn).delay(GATHER)
    }

    /// Reads the database once for all keys that ask the same, and gives each of them what there is of it, or why not: what fails for some is no
    /// fault of the others, which may be of another request.
    async fn read_together<K, Q, V, R>(
        &self,
        keys: &[K],
        question: impl Fn(&K) -> Q,
        read: impl Fn(Q, Vec<K>) -> R,
    ) -> HashMap<K, Result<V, ApiError>>
    where
        K: Clone + Eq + Hash,
        Q: Eq + Hash,
        R: Future<Output = Result<Vec<(K, V)>, StoreError>>,
    {
        let mut questions: HashMap<Q, Vec<K>> = HashMap::new();
        for key in keys {
            questions.entry(question(key)).or_default().push(key.clone());
        }
        let until = Instant::now() + self.patience;
        let mut loaded = HashMap::with_capacity(keys.len());
        for (question, keys) in questions {
            let found = timeout_at(until, read(question, keys.clone())).await;
            match found.unwrap_or(Err(StoreError::Slow(self.patience))).map_err(ApiError::from) {
                Ok(found) => loaded.extend(found.into_iter().map(|(key, value)| (key, Ok(value)))),
                Err(error) => loaded.extend(keys.into_iter().map(|key| (key, Err(error.clone())))),
            }
        }
        loaded
    }
}

/// A batch whose loading panics fails as one, for all who wait for it: the library would leave them without an answer.
async fn caught<T>(loading: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let outcome = AssertUnwindSafe(loading).catch_unwind().await;
    outcome.unwrap_or_else(|panic| Err(ApiError::Internal(format!("loading panicked: {}", describe(&*panic)))))
}

impl Loader<AllocationKey> for Loaders {
    type Value = Result<Answer, Arc<Failure>>;
    type Error = ApiError;

    async fn load(&self, keys: &[AllocationKey]) -> Result<HashMap<AllocationKey, Self::Value>, ApiError> {
        let demands: Vec<_> = keys.iter().map(|key| (Arc::clone(&key.watched), key.demand)).collect();
        caught(async { Ok(keys.iter().cloned().zip(self.allocations.get_many(&demands).await).collect()) }).await
    }
}

impl Loader<RunsKey> for Loaders {
    type Value = Result<Arc<Vec<Run>>, ApiError>;
    type Error = ApiError;

    async fn load(&self, keys: &[RunsKey]) -> Result<HashMap<RunsKey, Self::Value>, ApiError> {
        let question = |key: &RunsKey| (key.from, key.to, key.space_type);
        let read = |(from, to, space_type), keys: Vec<RunsKey>| async move {
            let tenants: Vec<_> = keys.into_iter().map(|key| key.tenant).collect();
            let found = self.store.runs(&tenants, TimeRange { from, to }, space_type).await?;
            Ok(found.into_iter().map(|(tenant, runs)| (RunsKey { tenant, from, to, space_type }, Arc::new(runs))).collect())
        };
        caught(async { Ok(self.read_together(keys, question, read).await) }).await
    }
}

impl Loader<SnapshotsKey> for Loaders {
    type Value = Result<SnapshotPage, ApiError>;
    type Error = ApiError;

    async fn load(&self, keys: &[SnapshotsKey]) -> Result<HashMap<SnapshotsKey, Self::Value>, ApiError> {
        let read = |query: SnapshotQuery, keys: Vec<SnapshotsKey>| async move {
            let tenants: Vec<_> = keys.into_iter().map(|key| key.tenant).collect();
            let found = self.store.snapshots(&tenants, &query).await?;
            Ok(found.into_iter().map(|(tenant, page)| (SnapshotsKey { tenant, query: query.clone() }, page)).collect())
        };
        caught(async { Ok(self.read_together(keys, |key| key.query.clone(), read).await) }).await
    }
}

impl Loader<StatusKey> for Loaders {
    type Value = Result<CollectionStatus, ApiError>;
    type Error = ApiError;

    async fn load(&self, keys: &[StatusKey]) -> Result<HashMap<StatusKey, Self::Value>, ApiError> {
        let read = |(), keys: Vec<StatusKey>| async move {
            let tenants: Vec<_> = keys.into_iter().map(|key| key.0).collect();
            let found = self.store.collection_status(&tenants).await?;
            Ok(found.into_iter().map(|(tenant, status)| (StatusKey(tenant), status)).collect())
        };
        caught(async { Ok(self.read_together(keys, |_| (), read).await) }).await
    }
}

impl Loader<FleetKey> for Loaders {
    type Value = Result<UsageSeries, ApiError>;
    type Error = ApiError;

    /// The groups of a fleet ask for the same stretch, and are summed in one pass.
    async fn load(&self, keys: &[FleetKey]) -> Result<HashMap<FleetKey, Self::Value>, ApiError> {
        let read = |request: SeriesRequest, keys: Vec<FleetKey>| async move {
            let ids = |key: &FleetKey| key.members.iter().map(|watched| watched.tenant.id.clone()).collect();
            let fleets: Vec<Vec<TenantId>> = keys.iter().map(ids).collect();
            Ok(keys.into_iter().zip(self.fleets.series(&fleets, &request).await?).collect())
        };
        caught(async { Ok(self.read_together(keys, |key| key.request.clone(), read).await) }).await
    }
}
