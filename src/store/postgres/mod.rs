//! The store in Postgres 15 or newer.
//!
//! Every method is one transaction of unnamed statements. That is what a pgbouncer in transaction mode can carry: between two
//! transactions it may change the server under us, so nothing may outlive one, neither named statements nor session locks.

mod analysts;
mod connection;
mod feed;
mod fleet;
mod history;
mod imports;
mod lifecycle;
mod listening;
mod migrating;
mod recording;
mod retention;
mod row;
mod scanning;
mod schedule;
mod statement;

use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio::sync::watch;

#[derive(Debug)]
pub(super) struct PostgresStore {
    pool: PgPool,
    /// How to get the connection that listens; `None` when others are not listened for.
    listening: Option<PgConnectOptions>,
    signal: watch::Sender<()>,
}
