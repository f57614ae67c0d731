//! From the migration of a database to the closing of its connections.

use super::error::StoreError;

/// The database as a whole.
#[async_trait::async_trait]
pub trait Lifecycle: Send + Sync {
    /// Applies what is missing of the migrations and names them, oldest first. Refuses a database that belongs to something else or
    /// that a newer version has migrated.
    async fn migrate(&self) -> Result<Vec<String>, StoreError>;

    /// Answers when the database can be read and is migrated.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Closes the connections.
    async fn close(&self);
}
