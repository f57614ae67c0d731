//! What is asked for of usage over time, checked.

use std::sync::Arc;

use jiff::Timestamp;

use super::error::ApiError;
use super::scalars::{Duration, Instant, Integer};
use super::services::MAX_POINTS;
use crate::past::Part;
use crate::quota::calendar::{buckets_within, stretch_of, time_zone};
use crate::quota::usage::{Fill, Segment, UsageSeries, aggregate, coverage};
use crate::quota::{Interval, TimeRange};

/// A well-formed request for a series.
pub struct UsageRequest {
    pub range: TimeRange,
    pub interval: Interval,
    pub time_zone: String,
    pub buckets: Arc<[TimeRange]>,
    pub space_type: Option<i32>,
    pub fill: Fill,
    pub now: Timestamp,
}

impl UsageRequest {
    /// Reads the arguments of a series; `to` is `now` when it is not given.
    pub fn parse(
        from: &Instant,
        to: Option<&Instant>,
        interval: &Duration,
        zone: String,
        space_type: Option<Integer>,
        fill: Fill,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        let (from, to) = (from.read("from")?, Instant::read_optional(to, "to")?);
        let range = TimeRange { from, to: to.unwrap_or(now) };
        if range.to <= range.from {
            return Err(match to {
                Some(_) => ApiError::argument("to", "must be after from"),
                None => ApiError::argument("from", "must be in the past when to is not given"),
            });
        }
        let interval = interval.as_interval("interval")?;
        let tz = time_zone(&zone).map_err(|unknown| ApiError::argument("timeZone", unknown))?;
        let space_type = Integer::read_optional(space_type, "spaceType")?;
        let buckets = buckets_within(range, interval, &tz, MAX_POINTS).map_err(|many| ApiError::argument("interval", many))?;
        Ok(Self { range, interval, time_zone: zone, buckets: buckets.into(), space_type, fill, now })
    }

    /// What must be known of a tenant.
    pub fn part(&self) -> Part {
        let range = stretch_of(&self.buckets).unwrap_or(self.range);
        Part { range, space_type: self.space_type, now: self.now }
    }

    /// The series of a tenant of which this is known.
    pub fn series(&self, known: &[Segment]) -> UsageSeries {
        UsageSeries {
            points: aggregate(known, self.buckets.iter().copied(), self.now, self.fill).collect(),
            coverage: coverage(known, TimeRange { from: self.range.from, to: self.range.to.min(self.now) }),
        }
    }
}
