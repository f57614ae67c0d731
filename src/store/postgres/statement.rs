//! Statements, transactions and locks, as all topics use them.

use sqlx::postgres::Postgres;
use sqlx::{Row, SqlSafeStr, Transaction};

use super::PostgresStore;
use crate::store::session::Backend;

/// A transaction under way.
pub(super) type Tx<'a> = Transaction<'a, Postgres>;

impl Backend for PostgresStore {
    type Session = Tx<'static>;

    async fn begin(&self) -> Result<Tx<'static>, sqlx::Error> {
        self.pool.begin().await
    }

    fn signal_feed(&self) {
        self.signal.send_replace(());
    }
}

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

/// Takes a lock until the end of the transaction, unless somebody else has it.
pub(super) async fn try_lock(tx: &mut Tx<'_>, what: Lock) -> Result<bool, sqlx::Error> {
    query("select pg_try_advisory_xact_lock($1)").bind(what as i64).fetch_one(&mut **tx).await?.try_get(0)
}

/// One column of what is bound as arrays.
pub(super) fn column<T, V>(rows: &[T], value: impl Fn(&T) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}
