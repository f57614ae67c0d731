//! Recording what was observed.

use jiff::Timestamp;

use super::error::StoreError;
use super::schedule::CollectionError;
use crate::quota::recording::Effect;
use crate::quota::{Run, Sample, TenantId};

/// What one attempt to ask a tenant's upstream gave.
#[derive(Clone, Debug)]
pub struct Observation {
    pub tenant: TenantId,
    /// When it was asked.
    pub attempted_at: Timestamp,
    /// What came back.
    pub outcome: Result<Sample, CollectionError>,
    /// The next attempt of the collector, which also ends the claim; `None` leaves schedule and claim as they are (an answer that a
    /// reader caused).
    pub next_due_at: Option<Timestamp>,
}

/// What makes samples history.
#[async_trait::async_trait]
pub trait Recording: Send + Sync {
    /// Records observations in one transaction: samples by the rule of [`crate::quota::recording`], failures and schedules in the
    /// tenant's status. Several observations of one tenant are applied in the order of their instants; a late one never moves the
    /// status backwards, and the same one twice counts once. Tenants that are not registered, or no longer, are passed over. Gives
    /// the effect of each observation, in order; `None` for failures and for tenants that are passed over. Changes of tenants' newest
    /// answers go to the feed.
    async fn record(&self, observations: &[Observation]) -> Result<Vec<Option<Effect>>, StoreError>;

    /// Adds whole runs to a registered tenant that has no runs in their stretches; in one transaction. An unknown tenant and runs
    /// that overlap are errors, and nothing is added. Nothing goes to the feed.
    async fn insert_runs(&self, tenant: &TenantId, runs: &[Run]) -> Result<(), StoreError>;
}
