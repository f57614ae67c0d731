//! Statements, transactions and locks, as all topics use them.

use sqlx::postgres::Postgres;
use sqlx::{SqlSafeStr, Transaction};

use crate::store::StoreError;

/// A transaction under way.
pub(super) type Tx<'a> = Transaction<'a, Postgres>;

pub(super) type Query = sqlx::query::Query<'static, Postgres, sqlx::postgres::PgArguments>;

/// A statement that leaves nothing behind on the server.
pub(super) fn query(sql: impl SqlSafeStr) -> Query {
    sqlx::query(sql).persistent(false)
}

/// Locks by which replicas do one after the other what must not be done at once. Held until the end of the transaction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lock {
    Migrating = 0x7175_6f01,
    Registering = 0x7175_6f02,
    Feed = 0x7175_6f03,
    Packing = 0x7175_6f04,
    Retention = 0x7175_6f07,
}

pub(super) async fn lock(tx: &mut Tx<'_>, what: Lock) -> Result<(), sqlx::Error> {
    query("select pg_advisory_xact_lock($1)").bind(what as i64).execute(&mut **tx).await.map(drop)
}

/// Does some work, and says in its error what was tried.
pub(super) async fn attempt<T>(action: &'static str, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    work.await.map_err(failed(action))
}

pub(super) fn failed(action: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |source| {
        // The driver's own text adds the line of the server's source that refuses.
        let refusal = source.as_database_error().map(|refusal| refusal.message().to_owned());
        StoreError::Database { action, source: refusal.map_or_else(|| Box::new(source) as _, Into::into) }
    }
}

/// One column of what is bound as arrays.
pub(super) fn column<T, V>(rows: &[T], value: impl Fn(&T) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}
