//! `quotagraph schema`

use std::process::ExitCode;

use super::{Failed, output};
use crate::graphql;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As a subgraph of an Apollo Federation (v2), where Tenant is an entity by its id.
    #[arg(long)]
    federation: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failed> {
    output::print(if args.federation { graphql::federation_sdl() } else { graphql::sdl() })?;
    Ok(ExitCode::SUCCESS)
}
