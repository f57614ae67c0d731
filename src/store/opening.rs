//! Opening the database that a URL names.

use std::sync::Arc;

use secrecy::ExposeSecret;

use super::SharedStore;
use super::error::StoreError;
use super::postgres::PostgresStore;
use super::settings::Settings;
use super::sqlite::{self, SqliteStore};

/// Opens the database that the URL names, without migrating it. A `SQLite` file is created when it is not there.
///
/// # Errors
/// [`StoreError::Unusable`] with what to mend when the URL is not understood, else [`StoreError::Database`].
pub async fn open(settings: &Settings) -> Result<SharedStore, StoreError> {
    let url = settings.url.expose_secret();
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        Ok(Arc::new(PostgresStore::open(settings).await?))
    } else if url.starts_with("sqlite:") {
        Ok(Arc::new(SqliteStore::open(settings).await?))
    } else {
        Err(StoreError::Unusable("the database URL is not understood: write postgres://USER@HOST/DATABASE or sqlite:PATH".into()))
    }
}

/// The same of a database that is there: a `SQLite` file is not created.
///
/// # Errors
/// As [`open`], and [`StoreError::Unusable`] with the whole path of a file that is not there.
pub async fn open_existing(settings: &Settings) -> Result<SharedStore, StoreError> {
    if settings.url.expose_secret().starts_with("sqlite:") {
        sqlite::require_file(settings)?;
    }
    open(settings).await
}

/// Looks whether the database can be used, and changes nothing: no migration is applied, and no `SQLite` file is created. Of a file that is not
/// there it looks whether it could be. With `migrated` the database must have all migrations already.
///
/// # Errors
/// As [`open_existing`], and as [`Lifecycle::ping`](super::Lifecycle::ping) with `migrated`.
pub async fn check(settings: &Settings, migrated: bool) -> Result<(), StoreError> {
    let is_file = settings.url.expose_secret().starts_with("sqlite:");
    if is_file && !migrated {
        return sqlite::check(settings).await;
    }
    let store = open_existing(settings).await?;
    let pinged = if migrated { store.ping().await } else { Ok(()) };
    store.close().await;
    pinged
}
