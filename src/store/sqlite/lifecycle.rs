//! Opening, migrating, closing.

use tokio::sync::watch;

use super::{SqliteStore, connection, migrating};
use crate::store::{Lifecycle, Settings, StoreError};

impl SqliteStore {
    /// Opens or creates the file, and refuses one that this version may not use.
    pub(in crate::store) async fn open(settings: &Settings) -> Result<Self, StoreError> {
        let (writer, readers) = connection::connect(settings).await?;
        Ok(Self { writer, readers, signal: watch::Sender::default() })
    }
}

#[async_trait::async_trait]
impl Lifecycle for SqliteStore {
    async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        migrating::migrate(&self.writer).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        migrating::check_migrated(&self.readers).await
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
