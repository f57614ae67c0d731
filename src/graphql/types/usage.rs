//! Usage over time.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Enum, SimpleObject};

use super::super::context::Asker;
use super::super::error::ApiError;
use super::super::history::load_history;
use super::super::loaders::{FleetKey, Same, SeriesKey};
use super::super::scalars::{DateTime, Duration};
use super::super::usage_request::UsageRequest;
use super::points::Points;
use crate::fleet::SeriesRequest;
use crate::quota::{TenantId, usage};
use crate::tenants::WatchedTenant;

/// The value of a bucket without observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "usage::Fill")]
pub enum Fill {
    /// A bucket without observations has no values.
    None,
    /// It carries the last value before it.
    Last,
}

/// The series of one tenant.
pub async fn series_of(ctx: &Context<'_>, request: Arc<UsageRequest>, tenant: &TenantId) -> Result<UsageSeries, ApiError> {
    let key = SeriesKey { asker: Asker::of(ctx), request: Same(Arc::clone(&request)), tenant: tenant.clone() };
    let series = load_history(ctx, key).await?;
    Ok(UsageSeries::new(&request, series.unwrap_or_else(|| Arc::new(request.series(&[])))))
}

/// The series of the sum over a fleet.
pub async fn series_of_fleet(
    ctx: &Context<'_>,
    asked: &UsageRequest,
    members: &Arc<[Arc<WatchedTenant>]>,
) -> Result<UsageSeries, ApiError> {
    let buckets = Arc::clone(&asked.buckets);
    let request = SeriesRequest { buckets, asked: asked.range, space_type: asked.space_type, now: asked.now };
    let series = load_history(ctx, FleetKey { asker: Asker::of(ctx), members: Arc::clone(members), request }).await?;
    let series = series.ok_or_else(|| ApiError::Internal("a fleet without its series".to_owned()))?;
    Ok(UsageSeries::new(asked, series))
}

/// Usage over a time range.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct UsageSeries {
    /// The start of the requested range.
    from: DateTime,
    /// The end of the requested range.
    to: DateTime,
    /// The length of the buckets.
    interval: Duration,
    /// The time zone whose calendar the buckets follow.
    time_zone: String,
    #[graphql(skip)]
    series: Arc<usage::UsageSeries>,
    /// The share of the range, as far as it has passed, that observations cover; 0 to 1.
    coverage: f64,
}

impl UsageSeries {
    fn new(request: &UsageRequest, series: Arc<usage::UsageSeries>) -> Self {
        Self {
            from: DateTime(request.range.from),
            to: DateTime(request.range.to),
            interval: request.interval.into(),
            time_zone: request.time_zone.clone(),
            coverage: series.coverage,
            series,
        }
    }
}

#[ComplexObject]
impl UsageSeries {
    /// The buckets in order, without gaps. Buckets at the edges of the range are given whole.
    async fn points(&self, ctx: &Context<'_>) -> Points {
        Points::new(Arc::clone(&self.series), ctx)
    }
}
