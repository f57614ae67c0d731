//! `quotagraph schema`

use std::process::ExitCode;

use super::{Failed, output};
use crate::graphql;

pub(super) fn run() -> Result<ExitCode, Failed> {
    output::print(graphql::sdl())?;
    Ok(ExitCode::SUCCESS)
}
