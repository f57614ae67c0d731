//! Usage over time.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Enum, SimpleObject};
use jiff::Timestamp;

use super::super::context::Asker;
use super::super::error::ApiError;
use super::super::history::load_history;
use super::super::loaders::{FleetKey, Same, SeriesKey};
use super::super::scalars::{DateTime, Duration, Instant, Integer};
use super::super::services::MAX_POINTS;
use super::points::Points;
use crate::fleet::SeriesRequest;
use crate::past::Part;
use crate::quota::calendar::{buckets_within, stretch_of, time_zone};
use crate::quota::usage::{Segment, aggregate, coverage};
use crate::quota::{Interval, TenantId, TimeRange, usage};
use crate::tenants::WatchedTenant;

/// What a bucket without observations says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "usage::Fill")]
pub enum Fill {
    /// A bucket without observations has no values.
    None,
    /// It carries the last value before it.
    Last,
}

/// A well-formed request for a series.
pub struct UsageRequest {
    range: TimeRange,
    interval: Interval,
    time_zone: String,
    buckets: Arc<[TimeRange]>,
    space_type: Option<i32>,
    fill: usage::Fill,
    now: Timestamp,
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
        Ok(Self { range, interval, time_zone: zone, buckets: buckets.into(), space_type, fill: fill.into(), now })
    }

    /// What must be known of a tenant.
    pub fn part(&self) -> Part {
        let range = stretch_of(&self.buckets).unwrap_or(self.range);
        Part { range, space_type: self.space_type, now: self.now }
    }

    /// The series of a tenant of which this is known.
    pub fn series(&self, known: &[Segment]) -> usage::UsageSeries {
        usage::UsageSeries {
            points: aggregate(known, self.buckets.iter().copied(), self.now, self.fill).collect(),
            coverage: coverage(known, TimeRange { from: self.range.from, to: self.range.to.min(self.now) }),
        }
    }

    /// The series of one tenant.
    pub async fn answer(self: Arc<Self>, ctx: &Context<'_>, tenant: &TenantId) -> Result<UsageSeries, ApiError> {
        let series =
            load_history(ctx, SeriesKey { asker: Asker::of(ctx), request: Same(Arc::clone(&self)), tenant: tenant.clone() })
                .await?;
        Ok(self.in_answer(series.unwrap_or_else(|| Arc::new(self.series(&[])))))
    }

    /// The series of the sum over a fleet.
    pub async fn answer_of_fleet(self, ctx: &Context<'_>, members: &Arc<[Arc<WatchedTenant>]>) -> Result<UsageSeries, ApiError> {
        let buckets = Arc::clone(&self.buckets);
        let request = SeriesRequest { buckets, asked: self.range, space_type: self.space_type, now: self.now };
        let series = load_history(ctx, FleetKey { asker: Asker::of(ctx), members: Arc::clone(members), request }).await?;
        let series = series.ok_or_else(|| ApiError::Internal("a fleet without its series".to_owned()))?;
        Ok(self.in_answer(series))
    }

    fn in_answer(&self, series: Arc<usage::UsageSeries>) -> UsageSeries {
        UsageSeries {
            from: DateTime(self.range.from),
            to: DateTime(self.range.to),
            interval: self.interval.into(),
            time_zone: self.time_zone.clone(),
            coverage: series.coverage,
            series,
        }
    }
}

/// Usage over a stretch of time.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct UsageSeries {
    /// The start of the stretch that was asked for.
    from: DateTime,
    /// Its end.
    to: DateTime,
    /// The length of the buckets.
    interval: Duration,
    /// The time zone whose calendar they follow.
    time_zone: String,
    #[graphql(skip)]
    series: Arc<usage::UsageSeries>,
    /// The share of the whole stretch, as far as it has passed, that observations cover; 0 to 1.
    coverage: f64,
}

#[ComplexObject]
impl UsageSeries {
    /// The buckets, in order, with no gap between them. Each one that the stretch touches is given whole.
    async fn points(&self, ctx: &Context<'_>) -> Points {
        Points::new(Arc::clone(&self.series), ctx)
    }
}
