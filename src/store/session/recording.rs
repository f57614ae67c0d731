//! Recording what was observed, and adding whole runs.

use super::{Backend, Session as _, WriteSession as _, write};
use crate::quota::recording::Effect;
use crate::quota::{Run, TenantId};
use crate::store::batch::{Batch, Changes, Stretch, find_overlap};
use crate::store::error::{Failure, StoreError};
use crate::store::recording::Observation;

/// [`Recording::record`](crate::store::Recording::record).
pub(in crate::store) async fn record(
    backend: &impl Backend,
    observations: &[Observation],
) -> Result<Vec<Option<Effect>>, sqlx::Error> {
    if observations.is_empty() {
        return Ok(Vec::new());
    }
    let mut session = backend.begin().await?;
    let tenants: Vec<_> = observations.iter().map(|observation| &observation.tenant).collect();
    let batch = Batch::new(observations, session.lock_tenants(&tenants).await?);
    let stored = session.load_runs(&batch.stretches()).await?;
    let changes = batch.plan(&stored);
    write(&mut session, &changes).await?;
    session.commit().await?;
    if !changes.observed.is_empty() {
        backend.signal_feed();
    }
    Ok(changes.effects)
}

/// [`Recording::insert_runs`](crate::store::Recording::insert_runs).
pub(in crate::store) async fn insert_runs(backend: &impl Backend, tenant: &TenantId, runs: &[Run]) -> Result<(), Failure> {
    let mut session = backend.begin().await?;
    let rows = session.lock_tenants(&[tenant]).await?;
    let Some(row) = rows.get(tenant) else {
        return Err(StoreError::refused_runs(format!("tenant {tenant} is not registered")).into());
    };
    let stored = session.load_runs(&Stretch::around(tenant, row, runs)).await?;
    let stored = stored.get(tenant).map_or(&[][..], Vec::as_slice);
    if let Some((_, later)) = find_overlap(stored.iter().chain(runs)) {
        return Err(StoreError::refused_runs(format!("two runs of tenant {tenant} overlap at {}", later.first_at)).into());
    }
    write(&mut session, &Changes::adding(tenant, row, stored, runs)).await?;
    Ok(session.commit().await?)
}
