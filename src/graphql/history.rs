//! Reading the history for a request: what its fields share, and what a failure nulls.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use async_graphql::Context;
use async_graphql::dataloader::{DataLoader, Loader};
use jiff::Timestamp;
use parking_lot::Mutex;

use super::budget::Budget;
use super::error::ApiError;
use super::loaders::Loaders;
use super::services::Services;
use super::types::UsageRequest;
use crate::store::StoreError;
use crate::work::Work;

/// What all fields of a request share that read the history.
#[derive(Default)]
pub struct Shared {
    work: OnceLock<Arc<Work>>,
    /// What all fields that waited too long are told.
    exhausted: OnceLock<ApiError>,
    moment: Mutex<Moment>,
}

/// What holds for one answer, and not for the next event of a subscription.
#[derive(Default)]
struct Moment {
    now: Option<Timestamp>,
    /// The series that were asked for, by their arguments: those of a list are the same for all of its entries.
    series: HashMap<String, Result<Arc<UsageRequest>, ApiError>>,
}

/// Who asks for something: a request. One is equal to itself alone.
#[derive(Clone)]
pub struct Asker(Arc<Shared>);

impl PartialEq for Asker {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Asker {}

impl Hash for Asker {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl Deref for Asker {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Asker {
    /// Who asks for a field.
    pub(super) fn of(ctx: &Context<'_>) -> Self {
        let shared = Arc::clone(ctx.data_unchecked::<Arc<Shared>>());
        shared.work.get_or_init(|| {
            let database = &ctx.data_unchecked::<Services>().database;
            let work = match ctx.data_opt::<Arc<Budget>>() {
                Some(budget) => Arc::clone(budget.work()),
                None => Arc::new(Work::endless(database.limit())),
            };
            work.share_findings(database);
            work
        });
        Self(shared)
    }
}

impl Shared {
    /// The work that the answer may take.
    pub(super) fn work(&self) -> &Work {
        self.work.get_or_init(|| Arc::new(Work::endless(std::time::Duration::MAX)))
    }

    /// The same, to be kept by whoever works.
    pub(super) fn shared_work(&self) -> Arc<Work> {
        let work = self.work.get_or_init(|| Arc::new(Work::endless(std::time::Duration::MAX)));
        Arc::clone(work)
    }

    /// The instant of the answer: one for all of its fields, so that what a list asks is asked of all of its entries together.
    pub(super) fn now(&self, services: &Services) -> Timestamp {
        *self.moment.lock().now.get_or_insert_with(|| services.clock.now())
    }

    /// What is asked by these arguments, made once.
    pub(super) fn series(
        &self,
        arguments: String,
        make: impl FnOnce() -> Result<UsageRequest, ApiError>,
    ) -> Result<Arc<UsageRequest>, ApiError> {
        self.moment.lock().series.entry(arguments).or_insert_with(|| make().map(Arc::new)).clone()
    }

    /// Begins anew: the next event of a subscription is an answer of its own.
    pub fn renew(&self) {
        *self.moment.lock() = Moment::default();
    }

    /// What a caller is told of a failure of the database.
    pub(super) fn explain(&self, failed: StoreError) -> ApiError {
        match failed {
            StoreError::Slow(_) => self.exhausted.get_or_init(|| failed.into()).clone(),
            other => other.into(),
        }
    }
}

/// Why there is nothing.
enum Failed<E> {
    Waiting(StoreError),
    Reading(E),
}

impl<E> From<StoreError> for Failed<E> {
    fn from(failed: StoreError) -> Self {
        Self::Waiting(failed)
    }
}

/// Waits for what reads the database or writes to it, as long as the request still may.
///
/// # Errors
/// That of the future, or [`StoreError::Slow`].
pub(super) async fn wait_for_history<T, E: Into<ApiError>>(
    ctx: &Context<'_>,
    reading: impl Future<Output = Result<T, E>>,
) -> Result<T, ApiError> {
    let asker = Asker::of(ctx);
    let waited = asker.work().wait(async { reading.await.map_err(Failed::Reading) }).await;
    waited.map_err(|failed| match failed {
        Failed::Waiting(failed) => asker.explain(failed),
        Failed::Reading(failed) => failed.into(),
    })
}

/// What a loader has of a key, together with what the other fields of the request load; `None` when nothing is recorded.
pub(super) async fn load_history<K, T>(ctx: &Context<'_>, key: K) -> Result<Option<T>, ApiError>
where
    K: Send + Sync + Hash + Eq + Clone + 'static,
    T: Send + Sync + Clone + 'static,
    Loaders: Loader<K, Value = Result<T, ApiError>, Error = ApiError>,
{
    ctx.data_unchecked::<DataLoader<Loaders>>().load_one(key).await?.transpose()
}

/// A field that fails by itself: its error nulls it, and not what it is a part of.
pub(super) async fn null_alone<T>(
    field: impl Future<Output = Result<Option<T>, ApiError>>,
) -> Option<Result<T, async_graphql::Error>> {
    field.await.map_err(Into::into).transpose()
}
