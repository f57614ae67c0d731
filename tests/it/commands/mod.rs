//! The subcommands of the built binary: what they print, and with which exit code they end.

mod analysts;
mod database;
mod demo;
mod export;
mod import;
mod simulate;
mod upstream;
mod usage;
