//! `serve` as a process: how it starts, what it logs, how it takes up new tenants, and how it ends.

mod ending;
mod logging;
mod memory;
mod reloading;
mod rights;
mod secrets;
mod starting;
