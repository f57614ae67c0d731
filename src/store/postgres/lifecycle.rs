//! Opening, migrating, closing.

use tokio::sync::watch;

use super::{PostgresStore, connection, migrating};
use crate::store::{Lifecycle, Settings, StoreError};

impl PostgresStore {
    /// Connects, and refuses a server or a database that this version may not use.
    pub(in crate::store) async fn open(settings: &Settings) -> Result<Self, StoreError> {
        let (pool, options) = connection::connect(settings).await?;
        let store = Self { pool, listening: settings.listen.then_some(options), signal: watch::Sender::default() };
        migrating::check_usable(&store.pool).await?;
        Ok(store)
    }
}

#[async_trait::async_trait]
impl Lifecycle for PostgresStore {
    async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        migrating::migrate(&self.pool).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        migrating::check_migrated(&self.pool).await
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
