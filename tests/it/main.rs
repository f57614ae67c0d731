//! The integration tests: one binary, one file per behaviour.

mod store_contract;
mod support;
