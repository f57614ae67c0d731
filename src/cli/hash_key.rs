//! `quotagraph hash-key`
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the answer that was asked for, and what to do with it")]

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;

use super::Failed;
use crate::access::{KeyDigest, generate_key};

pub(super) fn run() -> Result<ExitCode, Failed> {
    let mut given = String::new();
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        stdin.lock().read_to_string(&mut given)?;
    }
    let given = given.trim_end_matches(['\r', '\n']);
    let key = if given.is_empty() {
        let key = generate_key();
        eprintln!(
            "a new key, to be given to its user and kept nowhere else:\n\n  {key}\n\nand its SHA-256, for sha256 under [[auth.keys]]:\n"
        );
        key
    } else {
        given.to_owned()
    };
    println!("{}", KeyDigest::of(&key));
    Ok(ExitCode::SUCCESS)
}
