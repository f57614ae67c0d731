//! What lists load, in batches: one statement for all tenants of a list, not one for each.

mod keys;

use std::collections::HashMap;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::dataloader::{DataLoader, Loader};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use jiff::Timestamp;

pub use self::keys::{AllocationKey, DaysKey, FleetKey, GrowthKey, Same, SeriesKey, SnapshotsKey, StatusKey};
use super::context::Asker;
use super::error::ApiError;
use crate::allocations::{AllocationAnswer, Allocations};
use crate::computing::Computing;
use crate::fleet::{Fleets, SeriesRequest};
use crate::koodrive::Failure;
use crate::past::{Part, Pieces, read_past};
use crate::quota::fleet::Daily;
use crate::quota::forecast::{MAX_DAYS, daily_values, marks};
use crate::quota::growth::{Growth, growth};
use crate::quota::usage::{Segment, UsageSeries};
use crate::quota::{TenantId, TimeRange};
use crate::store::{CollectionStatus, SharedStore, SnapshotPage, SnapshotQuery, StoreError};
use crate::supervisor::describe;
use crate::work::RUN;

/// Runs of snapshots that are read by one statement.
const RUNS_AT_ONCE: usize = 32 * 1024;

/// How long a batch waits for its other keys. The fields of a list are resolved in one go, so the shortest wait will do.
const GATHER: Duration = Duration::from_millis(1);

/// The loaders of a schema.
pub struct Loaders {
    allocations: Allocations,
    store: SharedStore,
    fleets: Fleets,
}

impl Loaders {
    /// Loaders over the cache, the store and the sums, which work on these threads.
    pub fn new(allocations: Allocations, store: SharedStore, fleets: Fleets, computing: Computing) -> DataLoader<Self> {
        // Nobody holds the task: it ends by itself, soon after all who asked have gone.
        let begin = move |loading| computing.begin(loading).detach();
        DataLoader::new(Self { allocations, store, fleets }, begin).delay(GATHER)
    }

    /// Reads once for all keys of a request that ask the same, and gives each of them what there is of it, or why not. What fails for some is no
    /// fault of the others, which may be of another request, and do not wait for them.
    #[expect(clippy::mutable_key_type, reason = "a request is known by its address")]
    async fn read_together<K, Q, V, R>(
        &self,
        keys: &[K],
        question: impl Fn(&K) -> (Asker, Q),
        read: impl Fn(Asker, Q, Vec<K>) -> R,
    ) -> HashMap<K, Result<V, ApiError>>
    where
        K: Clone + Eq + Hash,
        Q: Eq + Hash,
        R: Future<Output = Result<Vec<(K, V)>, StoreError>>,
    {
        let mut questions: HashMap<(Asker, Q), Vec<K>> = HashMap::new();
        for key in keys {
            questions.entry(question(key)).or_default().push(key.clone());
        }
        // Those of one request one after the other: what they hold meanwhile would add up.
        let mut of_askers: HashMap<Asker, Vec<(Q, Vec<K>)>> = HashMap::new();
        for ((asker, question), keys) in questions {
            of_askers.entry(asker).or_default().push((question, keys));
        }
        let read = &read;
        let reading = of_askers.into_iter().map(|(asker, questions)| async move {
            let mut loaded = Vec::new();
            for (question, keys) in questions {
                match read(asker.clone(), question, keys.clone()).await.map_err(|failed| asker.explain(failed)) {
                    Ok(found) => loaded.extend(found.into_iter().map(|(key, value)| (key, Ok(value)))),
                    Err(error) => loaded.extend(keys.into_iter().map(|key| (key, Err(error.clone())))),
                }
            }
            loaded
        });
        join_all(reading).await.into_iter().flatten().collect()
    }

    /// What a part of the past comes to, of each tenant that has any.
    async fn read_past<T: Send>(
        &self,
        asker: &Asker,
        tenants: &[TenantId],
        part: Part,
        each: impl FnMut(&[Segment]) -> T + Send,
    ) -> Result<Vec<(TenantId, T)>, StoreError> {
        read_past(self.store.as_ref(), tenants, part, asker.work(), Pieces::default(), each).await
    }
}

/// A batch whose loading panics fails as one, for all who wait for it: the library would leave them without an answer.
async fn caught<T>(loading: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let outcome = AssertUnwindSafe(loading).catch_unwind().await;
    outcome.unwrap_or_else(|panic| Err(ApiError::Internal(format!("loading panicked: {}", describe(&*panic)))))
}

impl Loader<AllocationKey> for Loaders {
    type Value = Result<AllocationAnswer, Arc<Failure>>;
    type Error = ApiError;

    async fn load(&self, keys: &[AllocationKey]) -> Result<HashMap<AllocationKey, Self::Value>, ApiError> {
        let demands: Vec<_> = keys.iter().map(|key| (Arc::clone(&key.watched), key.demand)).collect();
        caught(async { Ok(keys.iter().cloned().zip(self.allocations.get_many(&demands).await).collect()) }).await
    }
}

impl Loader<SeriesKey> for Loaders {
    type Value = Result<Arc<UsageSeries>, ApiError>;
    type Error = ApiError;

    async fn load(&self, keys: &[SeriesKey]) -> Result<HashMap<SeriesKey, Self::Value>, ApiError> {
        let read = |asker: Asker, Same(request): Same, keys: Vec<SeriesKey>| async move {
            let tenants: Vec<_> = keys.into_iter().map(|key| key.tenant).collect();
            let made = self.read_past(&asker, &tenants, request.part(), |known| Arc::new(request.series(known))).await?;
            let key = |tenant| SeriesKey { asker: asker.clone(), request: Same(Arc::clone(&request)), tenant };
            Ok(made.into_iter().map(|(tenant, series)| (key(tenant), series)).collect())
        };
        let question = |key: &SeriesKey| (key.asker.clone(), key.request.clone());
        caught(async { Ok(self.read_together(keys, question, read).await) }).await
    }
}

impl Loader<GrowthKey> for Loaders {
    type Value = Result<Option<Growth>, ApiError>;
    type Error = ApiError;

    async fn load(&self, keys: &[GrowthKey]) -> Result<HashMap<GrowthKey, Self::Value>, ApiError> {
        let read = |asker: Asker, (stretch, space_type): (TimeRange, Option<i32>), keys: Vec<GrowthKey>| async move {
            let tenants: Vec<_> = keys.into_iter().map(|key| key.tenant).collect();
            let part = Part { range: stretch, space_type, now: stretch.to };
            let made = self.read_past(&asker, &tenants, part, |known| growth(known, stretch)).await?;
            let key = |tenant| GrowthKey { asker: asker.clone(), tenant, stretch, space_type };
            Ok(made.into_iter().map(|(tenant, growth)| (key(tenant), growth)).collect())
        };
        let question = |key: &GrowthKey| (key.asker.clone(), (key.stretch, key.space_type));
        caught(async { Ok(self.read_together(keys, question, read).await) }).await
    }
}

impl Loader<DaysKey> for Loaders {
    type Value = Result<Arc<Daily>, ApiError>;
    type Error = ApiError;

    async fn load(&self, keys: &[DaysKey]) -> Result<HashMap<DaysKey, Self::Value>, ApiError> {
        let read = |asker: Asker, (now, space_type): (Timestamp, Option<i32>), keys: Vec<DaysKey>| async move {
            let tenants: Vec<_> = keys.into_iter().map(|key| key.tenant).collect();
            let from = marks(now, MAX_DAYS + 1).last().unwrap_or(now);
            let part = Part { range: TimeRange { from, to: now }, space_type, now };
            let made = self.read_past(&asker, &tenants, part, |known| Arc::new(days(known, now))).await?;
            let key = |tenant| DaysKey { asker: asker.clone(), tenant, now, space_type };
            Ok(made.into_iter().map(|(tenant, days)| (key(tenant), days)).collect())
        };
        let question = |key: &DaysKey| (key.asker.clone(), (key.now, key.space_type));
        caught(async { Ok(self.read_together(keys, question, read).await) }).await
    }
}

/// What a forecast rests on.
#[expect(clippy::cast_precision_loss, reason = "a forecast is an estimate")]
pub fn days(known: &[Segment], now: Timestamp) -> Daily {
    Daily { allocated_gb: daily_values(known, now), total_gb: known.last().map_or(0.0, |newest| newest.total_gb as f64) }
}

impl Loader<SnapshotsKey> for Loaders {
    type Value = Result<SnapshotPage, ApiError>;
    type Error = ApiError;

    async fn load(&self, keys: &[SnapshotsKey]) -> Result<HashMap<SnapshotsKey, Self::Value>, ApiError> {
        let read = |asker: Asker, query: SnapshotQuery, keys: Vec<SnapshotsKey>| async move {
            let tenants: Vec<_> = keys.into_iter().map(|key| key.tenant).collect();
            let mut pages = Vec::with_capacity(tenants.len());
            // A few at a time: what the database's rows take until they are read is a multiple of the runs.
            let at_once = (RUNS_AT_ONCE / query.limit.max(1) as usize).max(1);
            for tenants in tenants.chunks(at_once) {
                let found = asker.work().wait(self.store.snapshots(tenants, &query)).await?;
                asker.work().spend(RUN * found.iter().map(|(_, page)| page.runs.len()).sum::<usize>())?;
                let key = |tenant| SnapshotsKey { asker: asker.clone(), tenant, query: query.clone() };
                pages.extend(found.into_iter().map(|(tenant, page)| (key(tenant), page)));
            }
            Ok(pages)
        };
        let question = |key: &SnapshotsKey| (key.asker.clone(), key.query.clone());
        caught(async { Ok(self.read_together(keys, question, read).await) }).await
    }
}

impl Loader<StatusKey> for Loaders {
    type Value = Result<CollectionStatus, ApiError>;
    type Error = ApiError;

    async fn load(&self, keys: &[StatusKey]) -> Result<HashMap<StatusKey, Self::Value>, ApiError> {
        let read = |asker: Asker, (), keys: Vec<StatusKey>| async move {
            let tenants: Vec<_> = keys.into_iter().map(|key| key.tenant).collect();
            let found = asker.work().wait(self.store.collection_status(&tenants)).await?;
            Ok(found.into_iter().map(|(tenant, status)| (StatusKey { asker: asker.clone(), tenant }, status)).collect())
        };
        caught(async { Ok(self.read_together(keys, |key| (key.asker.clone(), ()), read).await) }).await
    }
}

impl Loader<FleetKey> for Loaders {
    type Value = Result<Arc<UsageSeries>, ApiError>;
    type Error = ApiError;

    /// The groups of a fleet ask for the same stretch, and are summed in one pass.
    async fn load(&self, keys: &[FleetKey]) -> Result<HashMap<FleetKey, Self::Value>, ApiError> {
        let read = |asker: Asker, request: SeriesRequest, keys: Vec<FleetKey>| async move {
            let ids = |key: &FleetKey| key.members.iter().map(|watched| watched.tenant.id.clone()).collect();
            let fleets: Vec<Vec<TenantId>> = keys.iter().map(ids).collect();
            let series = self.fleets.series(&fleets, &request, Arc::clone(asker.work())).await?;
            Ok(keys.into_iter().zip(series.into_iter().map(Arc::new)).collect())
        };
        let question = |key: &FleetKey| (key.asker.clone(), key.request.clone());
        caught(async { Ok(self.read_together(keys, question, read).await) }).await
    }
}
