//! History in: a file of samples, or of snapshots as `export` writes them, becomes part of what is recorded.
//!
//! [`read_file`] reads and checks a whole file before anything is done with it. [`GivenHistory::revise`] then works out, tenant by tenant and
//! without writing, what the history will be; the store calls it again inside of the transaction that writes. What an import replaced and what it
//! put in its place is kept, so that [`undo()`] can take it back.
//!
//! **What a file says.** The samples of a tenant at one instant are one answer of the upstream. A file speaks of the types that it names
//! for a tenant: one that it names somewhere, but not at an instant, was not listed then and has ended; of a type that it never names
//! it says nothing, so a file of one type leaves the others alone.

mod csv;
mod fields;
mod given;
mod ndjson;
mod record_limit;
mod revise;
mod undo;

pub use fields::{FileError, ImportKind};
pub use given::{Given, GivenHistory, read_file};
pub use revise::{Conflict, Revision};
pub use undo::{CannotUndo, undo};

#[cfg(test)]
mod tests;
