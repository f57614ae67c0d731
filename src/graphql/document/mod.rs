//! A document before it is executed: its text is counted, then it is read, its size and its cost are counted, and it is validated, unless it is
//! known to be valid.

pub(super) mod check;
pub(super) mod cost;
pub(super) mod inputs;
#[doc(hidden)]
pub mod invariants;
pub(super) mod known;
pub(super) mod limits;
mod measure;
mod placement;
mod reader;
pub(super) mod syntax;
pub(super) mod tokens;
