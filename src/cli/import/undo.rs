//! `quotagraph import --undo ID`

use std::process::ExitCode;
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};

use super::super::{Failed, output, system_clock};
use crate::import::undo;
use crate::quota::{Run, TenantId, TimeRange};
use crate::store::{ImportStep, ImportedRuns, SharedStore};

pub(super) async fn run(store: &SharedStore, id: i64) -> Result<ExitCode, Failed> {
    let found = store.imports().await?.into_iter().find(|import| import.id == id);
    let import = found.ok_or_else(|| format!("there is no import {id}; `quotagraph import --list` shows those that there are"))?;
    if let Some(at) = import.undone_at {
        return Err(format!("import {id} was taken back already, at {at}").into());
    }
    // All of them are looked at before the first one is changed.
    for tenant in &import.tenants {
        let runs = runs_of(store, id, tenant).await?;
        if let Some((from, to)) = bounds(&runs) {
            let to = to.saturating_add(SignedDuration::from_millis(1)).unwrap_or(Timestamp::MAX);
            let stored = store.runs(std::slice::from_ref(tenant), TimeRange { from, to }, None).await?;
            let stored = stored.into_iter().next().map(|(_, stored)| stored).unwrap_or_default();
            undo(&stored, &runs.added, &runs.removed).map_err(|cause| refused(id, tenant, &cause))?;
        }
    }
    for tenant in &import.tenants {
        take_back(store, id, tenant).await?;
    }
    store.end_undo(id, system_clock().now()).await?;
    output::print_line(format_args!("import {id} was taken back"))?;
    Ok(ExitCode::SUCCESS)
}

async fn take_back(store: &SharedStore, id: i64, tenant: &TenantId) -> Result<(), Failed> {
    let runs = runs_of(store, id, tenant).await?;
    let Some(stretch) = bounds(&runs) else { return Ok(()) };
    let why = Mutex::new(None);
    let revise = |stored: &[Run]| match undo(stored, &runs.added, &runs.removed) {
        Ok(before) => Some(before),
        Err(cause) => {
            *why.lock().ok()? = Some(cause);
            None
        }
    };
    if store.revise_runs(tenant, stretch, ImportStep::Undo(id), &revise).await? {
        return Ok(());
    }
    Err(why
        .into_inner()
        .ok()
        .flatten()
        .map_or_else(|| format!("tenant {tenant} cannot be changed").into(), |cause| refused(id, tenant, &cause)))
}

/// What the import did to the tenant, if it can be taken back.
async fn runs_of(store: &SharedStore, id: i64, tenant: &TenantId) -> Result<ImportedRuns, Failed> {
    let runs = store.imported_runs(id, tenant).await?;
    if runs.are_reduced {
        let sentence = "was thinned or forgotten since, as [retention] says, and what it was before cannot be told any more";
        return Err(format!("import {id} cannot be taken back exactly: history of tenant {tenant} in it {sentence}").into());
    }
    Ok(runs)
}

fn refused(id: i64, tenant: &TenantId, cause: &crate::import::CannotUndo) -> Failed {
    format!("import {id} cannot be taken back exactly: of tenant {tenant}, {cause}; take later imports of it back first, if there are any")
        .into()
}

/// The stretch in which the import changed something.
fn bounds(runs: &ImportedRuns) -> Option<(Timestamp, Timestamp)> {
    let all = || runs.added.iter().chain(&runs.removed);
    Some((all().map(|run| run.first_at).min()?, all().map(|run| run.last_at).max()?))
}
