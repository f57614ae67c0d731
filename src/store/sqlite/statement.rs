//! Transactions and failures, as all topics use them.

use sqlx::Transaction;
use sqlx::sqlite::{Sqlite, SqlitePool};

use crate::store::StoreError;

/// Begins a transaction that writes. It takes the write lock at once: one that begins by reading would fail, not wait, when
/// another process has written meanwhile.
pub(super) async fn begin(writer: &SqlitePool) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
    writer.begin_with("begin immediate").await
}

/// Does some work, and says in its error what was tried.
pub(super) async fn attempt<T>(action: &'static str, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    work.await.map_err(failed(action))
}

pub(super) fn failed(action: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |source| StoreError::Database { action, source: Box::new(source) }
}
