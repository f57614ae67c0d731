//! `quotagraph migrate`

use std::path::Path;
use std::process::ExitCode;

use super::{Failed, load_config, open_store, output};

pub(super) async fn run(config: Option<&Path>) -> Result<ExitCode, Failed> {
    let store = open_store(&load_config(config)?).await?;
    let applied = store.migrate().await?;
    for migration in &applied {
        output::print_line(format_args!("applied {migration}"))?;
    }
    if applied.is_empty() {
        output::print_line("the database is up to date")?;
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}
