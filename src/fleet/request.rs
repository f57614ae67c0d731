//! What is asked of fleets.

use std::sync::Arc;

use jiff::Timestamp;

use crate::quota::TimeRange;

/// Which series of fleets are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SeriesRequest {
    /// The buckets, those of `asked`, in order.
    pub buckets: Arc<[TimeRange]>,
    /// The stretch that coverage is over.
    pub asked: TimeRange,
    /// Only this space type.
    pub space_type: Option<i32>,
    /// Nothing is known after it.
    pub now: Timestamp,
}
