//! The embedded store: a `SQLite` file in WAL mode.
//!
//! `SQLite` has one writer at a time, so one connection writes and the others read. Lists go in as JSON, so that a statement does
//! the work for a whole batch.

mod analysts;
mod connection;
mod feed;
mod fleet;
mod history;
mod imports;
mod lifecycle;
mod migrating;
mod recording;
mod retention;
mod row;
mod scanning;
mod schedule;
mod statement;

use sqlx::sqlite::SqlitePool;
use tokio::sync::watch;

pub(super) use self::connection::{check, require_file};

/// The store in a `SQLite` file.
#[derive(Debug)]
pub(super) struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    signal: watch::Sender<()>,
}
