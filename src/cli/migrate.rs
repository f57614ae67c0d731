//! `quotagraph migrate`
#![expect(clippy::print_stdout, reason = "the answer that was asked for")]

use std::path::Path;
use std::process::ExitCode;

use super::{Failed, load_config, open_store};

pub(super) async fn run(config: Option<&Path>) -> Result<ExitCode, Failed> {
    let store = open_store(&load_config(config)?).await?;
    let applied = store.migrate().await?;
    for migration in &applied {
        println!("applied {migration}");
    }
    if applied.is_empty() {
        println!("the database is up to date");
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}
