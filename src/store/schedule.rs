//! Tenants: who is collected, when, and how that is doing.

use std::cmp::Reverse;

use jiff::Timestamp;

use super::error::StoreError;
use crate::quota::{Tenant, TenantId};

/// A tenant that is due, claimed for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueTenant {
    pub id: TenantId,
    /// When it was due.
    pub due_at: Timestamp,
    /// Its number: its place in the order in which tenants were first seen; never changes. Schedules are spread by it.
    pub ordinal: i64,
    /// How many attempts in a row failed before.
    pub consecutive_failures: u32,
}

/// Which due tenants are claimed, and which of them first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Those whose last attempt did not fail, and new ones; the longest overdue first.
    Healthy,
    /// Of the healthy ones, those that have answered before.
    Answering,
    /// Those whose last attempt failed; the longest overdue first.
    Failing,
    /// Of the failing ones, those that may well answer again: they have answered before, or failed fewer than three times. Those that answered
    /// last come first, and those that never did by how few of their attempts failed.
    Faltering,
}

impl Claim {
    /// Puts what was claimed into its order; each tenant comes with its last answer.
    pub(super) fn in_order(self, mut due: Vec<(DueTenant, Option<Timestamp>)>) -> Vec<DueTenant> {
        due.sort_by_key(|(tenant, answered)| {
            let how_likely = (self == Self::Faltering).then_some((Reverse(*answered), tenant.consecutive_failures));
            (how_likely, tenant.due_at, tenant.ordinal)
        });
        due.into_iter().map(|(tenant, _)| tenant).collect()
    }
}

/// Why an attempt failed, in words that may be shown to whoever may see the tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionError {
    /// One of the error codes of the API.
    pub code: String,
    /// A sentence.
    pub message: String,
}

/// How the collection of a tenant is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectionStatus {
    /// The newest attempt.
    pub last_attempt_at: Option<Timestamp>,
    /// The newest attempt that gave a sample.
    pub last_success_at: Option<Timestamp>,
    /// The next attempt of the collector.
    pub next_attempt_at: Option<Timestamp>,
    /// Failed attempts since the last good one.
    pub consecutive_failures: u32,
    /// The newest failure and its instant. Kept after a later success.
    pub last_error: Option<(CollectionError, Timestamp)>,
}

/// Who is collected, and when.
#[async_trait::async_trait]
pub trait Schedule: Send + Sync {
    /// Makes the given tenants the ones that are collected: new ones are added and are due at `now`, known ones get their name and
    /// labels; those not given keep their history and are no longer due.
    async fn register_tenants(&self, tenants: &[Tenant], now: Timestamp) -> Result<(), StoreError>;

    /// Every tenant that was ever registered, sorted by id, also those that are no longer collected.
    async fn tenants(&self) -> Result<Vec<Tenant>, StoreError>;

    /// Claims up to `limit` tenants that are due at `now` and not claimed by anybody. A claim lasts until its observation is recorded, or until
    /// `lease_until`. Among concurrent callers each tenant goes to one.
    async fn claim_due(
        &self,
        claim: Claim,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueTenant>, StoreError>;

    /// The status of each tenant that is known. One statement.
    async fn collection_status(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, CollectionStatus)>, StoreError>;

    /// The earliest instant at which a registered tenant is or was due; `None` without tenants. In the past when the collector lags.
    async fn earliest_due(&self) -> Result<Option<Timestamp>, StoreError>;
}
