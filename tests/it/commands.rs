//! The subcommands of the built binary: what they print, and with which exit code they end.

mod analysts;
mod database;
mod demo;
mod simulate;
mod upstream;
mod usage;
