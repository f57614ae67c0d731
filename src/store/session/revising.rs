//! Revising runs, so that it can be taken back.

use jiff::Timestamp;

use super::{Backend, Session as _, Statement, WriteSession, write};
use crate::quota::{Run, TenantId};
use crate::store::batch::{Changes, Stretch, has_too_many_types};
use crate::store::error::{Failure, StoreError};
use crate::store::imports::{ImportStep, Revise};

/// What a transaction keeps of an import.
pub(in crate::store) trait ImportSession: WriteSession {
    /// Keeps runs that an import added to a tenant, or took away.
    fn keep_imported(&mut self, import: i64, tenant: &TenantId, is_added: bool, runs: &[Run]) -> impl Statement<()>;

    /// Forgets what an import did to a tenant.
    fn forget_imported(&mut self, import: i64, tenant: &TenantId) -> impl Statement<()>;
}

/// [`Imports::revise_runs`](crate::store::Imports::revise_runs).
pub(in crate::store) async fn revise_runs<B>(
    backend: &B,
    tenant: &TenantId,
    (from, to): (Timestamp, Timestamp),
    step: ImportStep,
    revise: Revise<'_>,
) -> Result<bool, Failure>
where
    B: Backend<Session: ImportSession>,
{
    let mut session = backend.begin().await?;
    let rows = session.lock_tenants(&[tenant]).await?;
    let row = rows.get(tenant).ok_or_else(|| StoreError::not_registered(tenant))?;
    let stored = session.load_runs(&Stretch::revised(tenant, row, from, to)).await?;
    let mut before = stored.into_values().next().unwrap_or_default();
    before.sort_by_key(|run| (run.space_type, run.first_at));
    let Some(after) = revise(&before) else { return Ok(false) };
    if has_too_many_types(row, &after) {
        return Err(StoreError::too_many_types(tenant).into());
    }
    let (changes, difference) = Changes::replacing(tenant, row, &before, &after);
    write(&mut session, &changes).await?;
    match step {
        ImportStep::Undo(import) => session.forget_imported(import, tenant).await?,
        ImportStep::Apply(import) => {
            for (is_added, runs) in [(false, &difference.removed), (true, &difference.added)] {
                if !runs.is_empty() {
                    session.keep_imported(import, tenant, is_added, runs).await?;
                }
            }
        }
    }
    session.commit().await?;
    Ok(true)
}
