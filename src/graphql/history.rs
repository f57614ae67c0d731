//! Reading the history for a request: who waits for the database, and what a failure nulls.

use std::hash::Hash;

use async_graphql::Context;
use async_graphql::dataloader::{DataLoader, Loader};

use super::context::RequestContext;
use super::error::ApiError;
use super::loaders::Loaders;
use crate::store::StoreError;

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
    let request = RequestContext::of(ctx);
    let waited = request.work().wait(async { reading.await.map_err(Failed::Reading) }).await;
    waited.map_err(|failed| match failed {
        Failed::Waiting(failed) => request.explain(failed),
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
