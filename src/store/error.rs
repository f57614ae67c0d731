//! What goes wrong with a database.

use std::time::Duration;

use sqlx::postgres::PgDatabaseError;

use crate::quota::{MAX_SPACE_TYPES_EVER, TenantId};

/// Why the store could not do its work. "Not there" is never an error but an empty answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, refused, or failed. The cause is for the log.
    #[error("the database {action} failed")]
    Database {
        /// What was tried, such as `recording`.
        action: &'static str,
        /// The driver's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database gave no answer in the time that there was for it.
    #[error("the database gave no answer within {0:?}")]
    Slow(Duration),
    /// Nobody waits for what is read any more, or it would be more than one answer may take.
    #[error("nobody waits for what is read any more")]
    GivenUp,
    /// The database is not one that this version may use. The sentence says what to mend.
    #[error("{0}")]
    Unusable(String),
}

impl StoreError {
    /// A tenant whose runs cannot be revised.
    pub(super) fn not_registered(tenant: &TenantId) -> Self {
        Self::Unusable(format!("the config has no tenant {tenant} any more; runs are changed only of those that it has"))
    }

    /// Runs by which a tenant would have too many types.
    pub(super) fn too_many_types(tenant: &TenantId) -> Self {
        Self::Unusable(format!(
            "tenant {tenant} would have more than {MAX_SPACE_TYPES_EVER} space types, with those that it has had; a history takes no more"
        ))
    }

    /// Runs that cannot be added, with the reason.
    pub(super) fn refused_runs(reason: String) -> Self {
        Self::Database { action: "adding of runs", source: reason.into() }
    }
}

/// What goes wrong in a transaction: the driver's error, to which the action is still missing, or one that is whole.
#[derive(Debug)]
pub(super) enum Failure {
    Driver(sqlx::Error),
    Store(StoreError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Does some work, and says in its error what was tried.
pub(super) async fn attempt<T>(action: &'static str, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    work.await.map_err(failed(action))
}

/// Completes an error by what was tried.
pub(super) fn failed<E: Into<Failure>>(action: &'static str) -> impl FnOnce(E) -> StoreError {
    move |error| match error.into() {
        Failure::Driver(error) => StoreError::Database { action, source: describe(error) },
        Failure::Store(error) => error,
    }
}

/// What the log shows of the driver's error. For a refusal of Postgres its text would add the line of the server's source that refuses.
fn describe(error: sqlx::Error) -> Box<dyn std::error::Error + Send + Sync> {
    let refusal = error.as_database_error().and_then(|refusal| refusal.try_downcast_ref::<PgDatabaseError>());
    match refusal {
        Some(refusal) => refusal.message().to_owned().into(),
        None => Box::new(error),
    }
}
