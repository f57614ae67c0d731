//! `quotagraph check`

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::{Failed, check_store, output, system_clock, upstream};
use crate::app;

/// Calls at once; the client's own limits per host come on top.
const AT_ONCE: usize = 16;

pub(super) async fn run(config: Option<&Path>) -> Result<ExitCode, Failed> {
    let (config, client, watched) = upstream::open(config)?;
    app::check_parts(&config, watched.clone(), &system_clock())?;
    let client = &client;
    if watched.is_empty() {
        return Err("the config is good, but it has no tenants: add a [[tenants]] table or a tenants_file".into());
    }
    let width = watched.iter().map(|w| w.tenant.id.as_str().len()).chain(["TENANT".len()]).max().unwrap_or_default();
    let row = |id: &str, allocated: &str, total: &str, ms: &str, result: &str| {
        output::print_line(format_args!("{id:width$}  {allocated:>15}  {total:>15}  {ms:>7}  {result}"))
    };
    row("TENANT", "ALLOCATED GB", "TOTAL GB", "MS", "RESULT")?;
    let mut failed = 0;
    let mut calls = stream::iter(&watched)
        .map(|watched| async move {
            let started = Instant::now();
            (watched, client.space_allocation(&watched.account).await, started.elapsed().as_millis())
        })
        .buffered(AT_ONCE);
    while let Some((watched, outcome, ms)) = calls.next().await {
        let (id, ms) = (watched.tenant.id.as_str(), ms.to_string());
        match outcome {
            Ok(a) => row(id, &a.allocated_gb().to_string(), &a.total_gb().to_string(), &ms, "ok")?,
            Err(failure) => {
                failed += 1;
                row(id, "-", "-", &ms, &upstream::describe(&failure))?;
            }
        }
    }
    drop(calls);
    check_store(&config).await?;
    let (all, file) = (watched.len(), config.file.unwrap_or_default());
    output::print_line(format_args!("{}: the config is good; {} of {all} calls succeeded", file.display(), all - failed))?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
