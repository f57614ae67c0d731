//! `quotagraph schema`
#![expect(clippy::print_stdout, reason = "the answer that was asked for")]

use std::process::ExitCode;

use super::Failed;
use crate::graphql;

#[expect(clippy::unnecessary_wraps, reason = "all commands give the same")]
pub(super) fn run() -> Result<ExitCode, Failed> {
    print!("{}", graphql::sdl());
    Ok(ExitCode::SUCCESS)
}
