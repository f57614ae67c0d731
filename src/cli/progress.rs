//! How far a command is.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar of tenants on a terminal, and nothing elsewhere.
pub(super) fn progress_bar(what: &'static str, tenants: usize) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{prefix}  {bar:40}  {pos} of {len} tenants").unwrap_or(ProgressStyle::default_bar());
    ProgressBar::with_draw_target(u64::try_from(tenants).ok(), target).with_style(style).with_prefix(what)
}
