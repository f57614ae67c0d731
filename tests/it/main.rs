//! The integration tests: one binary, one file per behaviour.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

mod config_errors;
mod config_example;
mod config_watch;
mod schema;
