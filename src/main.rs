//! The binary. All it does is in [`quotagraph::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    quotagraph::cli::main()
}
