//! What readers ask for, and what they get.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::version::Version;
use crate::quota::SpaceAllocation;

/// What a reader asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Demand {
    /// The oldest answer that will do; `None` leaves it to the settings.
    pub max_age: Option<SignedDuration>,
    /// What to do when the upstream cannot answer.
    pub on_failure: OnFailure,
}

/// What to do when the upstream cannot answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnFailure {
    /// Answer with the last known value, of whatever age.
    Stale,
    /// Fail.
    Error,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Fetched for this answer.
    Live,
    /// Known in memory, within the fresh limit.
    Cache,
    /// Past the fresh limit, or older than its reader demands.
    Stale,
    /// From the newest snapshot in the database; of whatever age, if that does for its reader.
    Stored,
}

/// An allocation and where it came from.
#[derive(Clone, Debug)]
pub struct AllocationAnswer {
    pub allocation: Arc<SpaceAllocation>,
    /// Where it came from.
    pub source: Source,
    /// Tells whether it is still what is known; `None` when that cannot be told.
    pub version: Option<Version>,
    /// Until when the demand that it answers would get it again without anybody being asked; in the past for a stale one.
    pub fresh_until: Timestamp,
}
