//! `quotagraph hash-key`

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;

use super::{Failed, output};
use crate::access::{KeyDigest, generate_key};

pub(super) fn run() -> Result<ExitCode, Failed> {
    let mut given = String::new();
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        stdin.lock().read_to_string(&mut given).map_err(|cause| format!("cannot read a key from stdin: {cause}"))?;
    }
    let given = given.trim_end_matches(['\r', '\n']);
    let key = if given.is_empty() {
        let key = generate_key();
        output::say(format_args!(
            "a new key; give it to its user, since it is kept nowhere:\n\n  {key}\n\nand its SHA-256, for sha256 under [[auth.keys]]:\n"
        ));
        key
    } else {
        given.to_owned()
    };
    output::print_line(KeyDigest::of(&key))?;
    Ok(ExitCode::SUCCESS)
}
