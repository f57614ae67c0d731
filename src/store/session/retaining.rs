//! Thinning and forgetting old history.

use jiff::Timestamp;

use super::{Backend, Session as _, Statement, WriteSession, write};
use crate::quota::{Run, TenantId};
use crate::store::batch::Stretch;
use crate::store::retention::{Retention, Thinning, forgetting, thinning};

/// What is known of a tenant whose history is made less.
pub(in crate::store) struct Retained {
    /// Every type that it ever had.
    pub space_types: Vec<i32>,
    /// Up to where its history is thinned.
    pub thinned_until: Option<Timestamp>,
}

/// What a transaction does to old history.
pub(in crate::store) trait RetentionSession: WriteSession {
    /// Keeps other replicas from old history until the end of the transaction; false when one of them is at it.
    fn try_lock_retention(&mut self) -> impl Statement<bool>;

    /// Takes the lock that recording takes, whether the tenant is still collected or not; `None` for an unknown tenant.
    fn lock_retained(&mut self, tenant: &TenantId) -> impl Statement<Option<Retained>>;

    /// The oldest runs of each type that start up to an instant, sorted by type and start; of each type no more than are forgotten at once.
    fn oldest_runs(&mut self, tenant: &TenantId, space_types: &[i32], up_to: Timestamp) -> impl Statement<Vec<Run>>;

    /// The start of the oldest run.
    fn oldest_at(&mut self, tenant: &TenantId) -> impl Statement<Option<Timestamp>>;

    /// Notes that history between two instants, ends included, was made less, in which some of what imports did may lie.
    fn mark_reduced(&mut self, tenant: &TenantId, stretch: (Timestamp, Timestamp)) -> impl Statement<()>;

    fn set_thinned_until(&mut self, tenant: &TenantId, until: Timestamp) -> impl Statement<()>;
}

/// [`HistoryRetention::retain`](crate::store::HistoryRetention::retain).
pub(in crate::store) async fn retain<B>(backend: &B, tenant: &TenantId, retention: &Retention) -> Result<Option<usize>, sqlx::Error>
where
    B: Backend<Session: RetentionSession>,
{
    let mut session = backend.begin().await?;
    if !session.try_lock_retention().await? {
        session.rollback().await?;
        return Ok(None);
    }
    let Some(Retained { space_types, thinned_until }) = session.lock_retained(tenant).await? else {
        session.rollback().await?;
        return Ok(Some(0));
    };
    let mut fewer = 0;
    if let Some(keep_from) = retention.keep_from {
        let stored = session.oldest_runs(tenant, &space_types, keep_from).await?;
        let changes = forgetting(tenant, &space_types, &stored, keep_from);
        fewer += changes.deleted.len();
        write(&mut session, &changes).await?;
        if !changes.deleted.is_empty() {
            session.mark_reduced(tenant, (Timestamp::MIN, keep_from)).await?;
        }
    }
    let oldest_at = session.oldest_at(tenant).await?;
    if let Some(part) = retention.next_thinning(oldest_at, thinned_until) {
        fewer += thin(&mut session, tenant, &space_types, part).await?;
    }
    session.commit().await?;
    Ok(Some(fewer))
}

async fn thin(
    session: &mut impl RetentionSession,
    tenant: &TenantId,
    space_types: &[i32],
    part: Thinning,
) -> Result<usize, sqlx::Error> {
    // An empty stretch reads little and changes nothing.
    let stored = session.load_runs(&Stretch::of_types(tenant, space_types, part.from, part.last_moment())).await?;
    let changes = thinning(tenant, space_types, stored.get(tenant).map_or(&[][..], Vec::as_slice), part);
    write(session, &changes).await?;
    if !changes.deleted.is_empty() {
        session.mark_reduced(tenant, (part.from, part.last_moment())).await?;
    }
    session.set_thinned_until(tenant, part.to).await?;
    Ok(changes.deleted.len().saturating_sub(changes.put.len()))
}
