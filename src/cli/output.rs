//! Printing what a command was asked for.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

use super::Failed;
use crate::shown;

/// Prints text to stdout at once, with what is hidden in it escaped. A reader that has gone away (`quotagraph schema | head`) is no failure.
pub(super) fn print(text: impl Display) -> Result<(), Failed> {
    let text = text.to_string();
    let text = shown::escape_all_but(&text, |c| matches!(c, '\n' | '\t'));
    let mut out = std::io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(cause) if cause.kind() != ErrorKind::BrokenPipe => Err(format!("cannot write to stdout: {cause}").into()),
        _ => Ok(()),
    }
}

/// Prints a line to stdout.
pub(super) fn print_line(text: impl Display) -> Result<(), Failed> {
    print(format_args!("{text}\n"))
}

/// Says something to whoever runs the command, on stderr. When nobody can read it, nothing is to be done about that.
pub(super) fn say(text: impl Display) {
    let text = text.to_string();
    let _ = writeln!(std::io::stderr().lock(), "{}", shown::escape_all_but(&text, |c| matches!(c, '\n' | '\t')));
}

/// `1 day`, `2 days`.
pub(super) fn count<N: Copy + Display + PartialEq + From<u8>>(count: N, what: &str) -> String {
    let ending = if count == N::from(1) { "" } else { "s" };
    format!("{count} {what}{ending}")
}
