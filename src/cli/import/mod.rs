//! `quotagraph import`

mod apply;
mod undo;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::{Failed, load_config, open_existing_store, output};
use crate::shown;
use crate::store::SharedStore;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file; - is stdin.
    #[arg(required_unless_present_any = ["undo", "list"])]
    file: Option<PathBuf>,

    /// The sampling interval of samples, from 1s to 1d; snapshots have their own.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_interval)]
    interval: u32,

    /// Write it, each tenant in one transaction.
    #[arg(long)]
    apply: bool,

    /// Where the file contradicts what is recorded, let the file be right.
    ///
    /// What is recorded gives way over each unbroken stretch of samples in which one contradicts it, or over the whole of a snapshot.
    #[arg(long)]
    replace: bool,

    /// Take an import back; what was recorded since stays.
    #[arg(long, value_name = "ID", conflicts_with_all = ["file", "apply", "replace", "list"])]
    undo: Option<i64>,

    /// List the imports.
    #[arg(long, conflicts_with_all = ["file", "apply", "replace"])]
    list: bool,
}

pub(super) async fn run(config: Option<&Path>, args: Args) -> Result<ExitCode, Failed> {
    let config = load_config(config)?;
    let store = open_existing_store(&config).await?;
    store.ping().await?;
    let code = match (args.undo, args.list, &args.file) {
        (Some(id), ..) => undo::run(&store, id).await?,
        (None, false, Some(file)) => apply::run(&config, &store, &args, file).await?,
        _ => list(&store).await?,
    };
    store.close().await;
    Ok(code)
}

async fn list(store: &SharedStore) -> Result<ExitCode, Failed> {
    let imports = store.imports().await?;
    if imports.is_empty() {
        output::print_line("there are no imports")?;
    }
    for import in imports {
        let state = match import.undone_at {
            Some(at) => format!("taken back {at}"),
            None => output::count(import.tenants.len(), "tenant"),
        };
        output::print_line(format_args!("{}  {}  {}  {state}", import.id, import.imported_at, import.source))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn open(file: &Path) -> Result<Box<dyn Read + Send>, Failed> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let opened = File::open(file).map_err(|cause| format!("cannot read {}: {cause}", shown::path(file)))?;
    Ok(Box::new(opened))
}

/// The interval in seconds.
fn parse_interval(text: &str) -> Result<u32, String> {
    let read = humantime_serde::re::humantime::parse_duration(text);
    let interval = read.map_err(|_| "must be a duration such as 30s or 5m".to_owned())?;
    let seconds = u32::try_from(interval.as_secs()).unwrap_or(u32::MAX);
    if interval.subsec_nanos() == 0 && (1..=86_400).contains(&seconds) && interval <= Duration::from_hours(24) {
        Ok(seconds)
    } else {
        Err("must be whole seconds, from 1s to 1d".to_owned())
    }
}
