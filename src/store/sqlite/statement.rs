//! Transactions, as all topics use them.

use sqlx::Transaction;
use sqlx::sqlite::{Sqlite, SqlitePool};

use super::SqliteStore;
use crate::store::session::Backend;

/// A transaction under way.
pub(super) type Tx<'a> = Transaction<'a, Sqlite>;

impl Backend for SqliteStore {
    type Session = Tx<'static>;

    async fn begin(&self) -> Result<Tx<'static>, sqlx::Error> {
        begin(&self.writer).await
    }

    fn signal_feed(&self) {
        self.signal.send_replace(());
    }
}

/// Begins a transaction that writes. It takes the write lock at once: one that begins by reading would fail, not wait, when
/// another process has written meanwhile.
pub(super) async fn begin(writer: &SqlitePool) -> Result<Tx<'static>, sqlx::Error> {
    writer.begin_with("begin immediate").await
}
