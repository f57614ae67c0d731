//! What becomes of old history.

use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::batch::Changes;
use super::error::StoreError;
use crate::quota::retention::{Grain, day_start, forget, thin};
use crate::quota::{Run, TenantId};

/// Which history is old, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// What is before this instant is forgotten.
    pub keep_from: Option<Timestamp>,
    /// What is before the UTC day of this instant is thinned.
    pub thin_before: Option<(Timestamp, Grain)>,
}

/// What becomes of old history.
#[async_trait::async_trait]
pub trait HistoryRetention: Send + Sync {
    /// Some tenants, `limit` at most, of which something is to be thinned or forgotten.
    async fn retention_due(&self, retention: &Retention, limit: u32) -> Result<Vec<TenantId>, StoreError>;

    /// Thins and forgets a part of a tenant's old history in one transaction, with the log of changes, and says by how many runs it became less;
    /// `None` when another replica is at it. To be called until the tenant is no longer due.
    async fn retain(&self, tenant: &TenantId, retention: &Retention) -> Result<Option<usize>, StoreError>;
}

/// Runs of a type that are forgotten in one transaction at most.
pub(super) const FORGOTTEN_AT_ONCE: u32 = 5000;

/// The hours of a tenant that are thinned in one transaction at most.
const HOURS_AT_ONCE: i64 = 31 * 24;

/// A stretch of days to be thinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Thinning {
    pub grain: Grain,
    /// The start of its first day.
    pub from: Timestamp,
    /// The end of its last day.
    pub to: Timestamp,
}

impl Retention {
    /// The end of the last day that is to be thinned.
    pub(super) fn thin_until(&self) -> Option<Timestamp> {
        self.thin_before.map(|(before, _)| day_start(before))
    }

    /// What is to be thinned next of a tenant whose oldest run is at `oldest` and that was thinned until `done`; an empty stretch when there is nothing
    /// that old.
    pub(super) fn next_thinning(&self, oldest: Option<Timestamp>, done: Option<Timestamp>) -> Option<Thinning> {
        let (_, grain) = self.thin_before?;
        let until = self.thin_until()?;
        if done.is_some_and(|done| done >= until) {
            return None;
        }
        // What was forgotten since needs no thinning.
        let from = done.max(oldest.map(day_start)).map_or(until, |from| from.min(until));
        let to = from.checked_add(HOURS_AT_ONCE.hours()).map_or(until, |to| to.min(until));
        Some(Thinning { grain, from, to })
    }
}

impl Thinning {
    /// The last instant of the stretch.
    pub(super) fn last_moment(&self) -> Timestamp {
        self.to.saturating_sub(SignedDuration::from_millis(1)).unwrap_or(self.to)
    }
}

/// What changes of a tenant's runs when a stretch is thinned. `stored` are those of the stretch with the nearest ones on either side.
pub(super) fn thinning(tenant: &TenantId, space_types: &[i32], stored: &[Run], part: Thinning) -> Changes {
    let stored = sorted(stored);
    Changes::making_less(tenant, space_types, &stored, &thin(&stored, part.grain, part.from, part.to))
}

/// What changes when the oldest runs of a tenant are forgotten. `stored` are the oldest ones of each type.
pub(super) fn forgetting(tenant: &TenantId, space_types: &[i32], stored: &[Run], keep_from: Timestamp) -> Changes {
    let stored = sorted(stored);
    Changes::making_less(tenant, space_types, &stored, &forget(&stored, keep_from))
}

fn sorted(runs: &[Run]) -> Vec<Run> {
    let mut runs = runs.to_vec();
    runs.sort_by_key(|run| (run.space_type, run.first_at));
    runs
}
