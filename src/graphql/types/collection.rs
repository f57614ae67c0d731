//! How the collection of snapshots is doing.

use async_graphql::SimpleObject;

use super::super::scalars::DateTime;
use crate::store;

/// How the collection of snapshots is doing for a tenant.
#[derive(SimpleObject)]
pub struct CollectionStatus {
    /// When the upstream was last asked.
    last_attempt_at: Option<DateTime>,
    /// When the upstream last gave an answer.
    last_success_at: Option<DateTime>,
    /// When the collector will next ask the upstream.
    next_attempt_at: Option<DateTime>,
    /// Attempts that failed since the last success.
    consecutive_failures: i32,
    /// The newest failure; it is kept after a later success.
    last_error: Option<CollectionError>,
}

/// A failed attempt to collect.
#[derive(SimpleObject)]
pub struct CollectionError {
    /// One of the error codes of the API.
    code: String,
    /// What went wrong.
    message: String,
    /// When it failed.
    at: DateTime,
}

impl From<store::CollectionStatus> for CollectionStatus {
    fn from(status: store::CollectionStatus) -> Self {
        Self {
            last_attempt_at: status.last_attempt_at.map(DateTime),
            last_success_at: status.last_success_at.map(DateTime),
            next_attempt_at: status.next_attempt_at.map(DateTime),
            consecutive_failures: i32::try_from(status.consecutive_failures).unwrap_or(i32::MAX),
            last_error: status.last_error.map(|(error, at)| CollectionError {
                code: error.code,
                message: error.message,
                at: DateTime(at),
            }),
        }
    }
}
