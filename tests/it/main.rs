//! The integration tests: one binary, one file per behaviour.

#![expect(clippy::unwrap_used, reason = "a test ends at what is not as it should be")]

mod upstream;
