//! Reading the history for a request: how long that may take in all, and what a failure nulls.

use std::hash::Hash;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_graphql::Context;
use async_graphql::dataloader::{DataLoader, Loader};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use super::error::ApiError;
use super::loaders::Loaders;
use super::services::Services;
use crate::store::StoreError;

/// Until when a request waits for the database, in all of its fields together. Its time begins with the first wait.
///
/// Fields wait beside each other, or within each other where a list is filtered by what is recorded. Whichever it is, a database that is away,
/// hangs or is slow holds the rest of the answer up only once.
#[derive(Debug, Default)]
pub(super) struct Patience {
    until: Mutex<Option<Instant>>,
    /// What all fields that waited too long are told.
    exhausted: OnceLock<ApiError>,
}

impl Patience {
    fn until(&self, limit: Duration) -> Instant {
        *self.until.lock().get_or_insert_with(|| Instant::now() + limit)
    }

    /// Begins anew: the next event of a subscription is an answer of its own.
    pub fn renew(&self) {
        *self.until.lock() = None;
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
    let limit = ctx.data_unchecked::<Services>().database_patience;
    let patience = ctx.data_unchecked::<Arc<Patience>>();
    match timeout_at(patience.until(limit), reading).await {
        Ok(read) => read.map_err(Into::into),
        Err(_) => Err(patience.exhausted.get_or_init(|| StoreError::Slow(limit).into()).clone()),
    }
}

/// What a loader has of a key, together with what the other fields of the request load; `None` when nothing is recorded.
pub(super) async fn load_history<K, T>(ctx: &Context<'_>, key: K) -> Result<Option<T>, ApiError>
where
    K: Send + Sync + Hash + Eq + Clone + 'static,
    T: Send + Sync + Clone + 'static,
    Loaders: Loader<K, Value = Result<T, ApiError>, Error = ApiError>,
{
    let loading = ctx.data_unchecked::<DataLoader<Loaders>>().load_one(key);
    wait_for_history(ctx, loading).await?.transpose()
}

/// A field that fails by itself: its error nulls it, and not what it is a part of.
pub(super) async fn null_alone<T>(
    field: impl Future<Output = Result<Option<T>, ApiError>>,
) -> Option<Result<T, async_graphql::Error>> {
    field.await.map_err(Into::into).transpose()
}
