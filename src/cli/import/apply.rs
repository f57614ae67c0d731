//! `quotagraph import FILE`

use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use tokio::task::{block_in_place, spawn_blocking};

use super::super::progress::progress_bar;
use super::super::{Failed, output, system_clock};
use super::{Args, open};
use crate::config::{self, Config};
use crate::import::{Given, GivenHistory, Revision, read_file};
use crate::quota::{Run, TenantId, TimeRange};
use crate::store::{ImportStep, SharedStore};

/// Conflicts that are told one by one.
const TOLD: usize = 20;

pub(super) async fn run(config: &Config, store: &SharedStore, args: &Args, file: &Path) -> Result<ExitCode, Failed> {
    let now = system_clock().now();
    let tenants = config::list_tenants(config)?;
    let ids: Vec<TenantId> = tenants.iter().map(|tenant| tenant.id.clone()).collect();
    let (from, interval_s, name) = (open(file)?, args.interval, file.display().to_string());
    let given = spawn_blocking(move || read_file(from, &ids, interval_s, now)).await?;
    let given = given.map_err(|error| format!("{name}, {error}; nothing was written"))?;
    let plan = look(store, &given, args.replace).await?;
    plan.print(&given)?;

    if plan.conflicts > 0 && !args.replace {
        let sentence = format!(
            "{} of the {} contradict what is recorded; nothing was written; add --replace to let the file be right",
            plan.conflicts,
            given.kind.name()
        );
        if args.apply {
            return Err(sentence.into());
        }
        output::print_line(sentence)?;
    } else if plan.changing.is_empty() {
        output::print_line("there is nothing to do: all of it is recorded")?;
    } else if args.apply {
        // As `serve` does when it starts: in a new database there are no tenants yet.
        store.register_tenants(&tenants, now).await?;
        let import = store.begin_import(&name, now).await?;
        write(store, &given, &plan.changing, import, args.replace).await?;
        output::print_line(format_args!("import {import} is done; `quotagraph import --undo {import}` takes it back"))?;
    } else {
        output::print_line(format_args!(
            "nothing was written: add --apply to change {}",
            output::count(plan.changing.len(), "tenant")
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What an import would do.
struct ImportPreview {
    lines: Vec<(TenantId, Revision)>,
    conflicts: u64,
    changing: Vec<TenantId>,
}

/// Works out what would change, without writing.
async fn look(store: &SharedStore, given: &Given, replace: bool) -> Result<ImportPreview, Failed> {
    let mut plan = ImportPreview { lines: Vec::new(), conflicts: 0, changing: Vec::new() };
    for (tenant, history) in &given.tenants {
        let stored = stored_around(store, tenant, history).await?;
        let mut revision = block_in_place(|| history.revise(&stored, replace));
        plan.conflicts += revision.conflicts;
        if revision.new > 0 || revision.conflicts > 0 {
            plan.changing.push(tenant.clone());
        }
        // Only the counts are of use from here on.
        revision.runs = Vec::new();
        plan.lines.push((tenant.clone(), revision));
    }
    Ok(plan)
}

async fn stored_around(store: &SharedStore, tenant: &TenantId, history: &GivenHistory) -> Result<Vec<Run>, Failed> {
    let Some((from, to)) = history.bounds() else { return Ok(Vec::new()) };
    let to = to.saturating_add(SignedDuration::from_millis(1)).unwrap_or(Timestamp::MAX);
    let found = store.runs(std::slice::from_ref(tenant), TimeRange { from, to }, None).await?;
    Ok(found.into_iter().next().map(|(_, runs)| runs).unwrap_or_default())
}

async fn write(store: &SharedStore, given: &Given, changing: &[TenantId], import: i64, replace: bool) -> Result<(), Failed> {
    let bar = progress_bar("importing", changing.len());
    for tenant in changing {
        let history = &given.tenants[tenant];
        let Some(stretch) = history.bounds() else { continue };
        let conflict = Mutex::new(None);
        let revise = |stored: &[Run]| {
            let revision = block_in_place(|| history.revise(stored, replace));
            if revision.conflicts > 0 && !replace {
                *conflict.lock().ok()? = revision.told.into_iter().next();
                return None;
            }
            Some(revision.runs)
        };
        if !store.revise_runs(tenant, stretch, ImportStep::Apply(import), &revise).await? {
            bar.finish_and_clear();
            let conflict = conflict.into_inner().ok().flatten().map_or_else(String::new, |conflict| format!(" ({conflict})"));
            return Err(format!(
                "what was recorded of tenant {tenant} in the meantime contradicts the file{conflict}; the tenants before it are written, as \
                 import {import}; look at it again without --apply"
            )
            .into());
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

impl ImportPreview {
    fn print(&self, given: &Given) -> Result<(), Failed> {
        output::print_line(format_args!("{} lines of {}", given.lines, given.kind.name()))?;
        let width = self.lines.iter().map(|(tenant, _)| tenant.as_str().len()).max().unwrap_or_default().max("tenant".len());
        output::print_line(format_args!("{:width$}  {:>10}  {:>10}  {:>10}", "tenant", "new", "unchanged", "conflicts"))?;
        for (tenant, Revision { new, unchanged, conflicts, .. }) in &self.lines {
            output::print_line(format_args!("{:width$}  {new:>10}  {unchanged:>10}  {conflicts:>10}", tenant.as_str()))?;
        }
        let told = self.lines.iter().flat_map(|(tenant, revision)| revision.told.iter().map(move |conflict| (tenant, conflict)));
        for (tenant, conflict) in told.take(TOLD) {
            output::print_line(format_args!("conflict of {tenant}, {conflict}"))?;
        }
        Ok(())
    }
}
