//! A tenant and what is known of it.

use std::sync::Arc;

use async_graphql::dataloader::DataLoader;
use async_graphql::{Context, ID, Object, SimpleObject};
use jiff::SignedDuration;

use super::super::context::{Asker, RequestContext, dependencies};
use super::super::error::ApiError;
use super::super::history::{load_history, null_alone};
use super::super::loaders::{AllocationKey, Loaders, SnapshotsKey, StatusKey};
use super::super::scalars::{Duration, Instant, Integer};
use super::super::services::Services;
use super::super::usage_request::UsageRequest;
use super::usage::{Fill, series_of};
use super::{
    CollectionStatus, Forecast, ForecastRequest, Growth, OnFailure, Page, SnapshotConnection, SpaceAllocation, UsageSeries,
};
use crate::allocations::{AllocationAnswer, Demand};
use crate::store::{SnapshotPage, SnapshotQuery};
use crate::tenants::WatchedTenant;

/// A KooDrive tenant whose quota is monitored.
#[derive(Clone)]
pub struct Tenant {
    watched: Arc<WatchedTenant>,
}

impl Tenant {
    /// The tenant as the API shows it.
    pub fn new(watched: Arc<WatchedTenant>) -> Self {
        Self { watched }
    }

    async fn answer(
        &self,
        ctx: &Context<'_>,
        max_age: Option<Duration>,
        on_failure: OnFailure,
    ) -> Result<AllocationAnswer, ApiError> {
        let services = ctx.data_unchecked::<Services>();
        let max_age = max_age.map(|age| age.as_age("maxAge", services.clock.now())).transpose()?;
        let demand = Demand { max_age, on_failure: on_failure.into() };
        if max_age == Some(SignedDuration::ZERO) {
            dependencies(ctx).demand_live();
        }
        if let Some(answer) = services.allocations.peek(&self.watched, demand) {
            dependencies(ctx).use_values(&answer);
            return Ok(answer);
        }
        let key = AllocationKey { watched: Arc::clone(&self.watched), demand };
        let answer = ctx.data_unchecked::<DataLoader<Loaders>>().load_one(key).await?;
        let answer = answer.ok_or_else(|| ApiError::Internal("a batch of allocations lacks one that was asked for".to_owned()))?;
        let answer = answer?;
        dependencies(ctx).use_values(&answer);
        Ok(answer)
    }
}

/// A key and a value that group tenants.
#[derive(SimpleObject)]
pub struct Label {
    /// The key; unique within a tenant.
    key: String,
    /// The value.
    value: String,
}

/// A KooDrive tenant whose quota is monitored.
#[Object]
impl Tenant {
    /// The tenant's id, unique in the service.
    async fn id(&self) -> ID {
        ID(self.watched.tenant.id.to_string())
    }

    /// The tenant's display name.
    async fn name(&self) -> &str {
        &self.watched.tenant.name
    }

    /// The tenant's labels, sorted by key.
    async fn labels(&self) -> Vec<Label> {
        let labels = self.watched.tenant.labels.iter();
        labels.map(|label| Label { key: label.key.clone(), value: label.value.clone() }).collect()
    }

    /// What is allocated of what there is. Null when the space type that was asked for is not listed; null with an error when an argument is
    /// wrong or the upstream cannot answer.
    async fn space_allocation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only this space type. Default: the sum over all types.")] space_type: Option<Integer>,
        #[graphql(desc = "The maximum age of the answer; an older value is fetched again first.")] max_age: Option<Duration>,
        #[graphql(default_with = "OnFailure::Stale", desc = "What to do when the upstream cannot answer.")] on_failure: OnFailure,
    ) -> Option<Result<SpaceAllocation, async_graphql::Error>> {
        null_alone(async {
            let space_type = Integer::read_optional(space_type, "spaceType")?;
            let answer = self.answer(ctx, max_age, on_failure).await?;
            Ok(match space_type {
                None => Some(answer.into()),
                Some(space_type) => SpaceAllocation::of_type(&answer, space_type),
            })
        })
        .await
    }

    /// Usage over time, in buckets of the given interval, aligned to the calendar of the time zone. Every bucket that the range
    /// touches is given whole. It counts 20 in the complexity of a document, and one more for every ten intervals of the range;
    /// more when more than 15 fields are asked of its points.
    /// Null, with an error, when an argument is wrong or the history cannot be read at the moment.
    #[expect(clippy::too_many_arguments, reason = "the arguments of the schema")]
    async fn usage_over_time(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The start of the range.")] from: Instant,
        #[graphql(desc = "The end of the range, exclusive. Default: now.")] to: Option<Instant>,
        #[graphql(
            default_with = "Duration::from_static(\"P1D\")",
            desc = "The length of a bucket: a part of a day (PT5M, PT1H), or days, weeks, months or years."
        )]
        interval: Duration,
        #[graphql(default = "UTC", desc = "The IANA time zone whose calendar the buckets follow.")] time_zone: String,
        #[graphql(desc = "Only this space type. Default: the sum over all types.")] space_type: Option<Integer>,
        #[graphql(default_with = "Fill::None", desc = "The value of a bucket without observations.")] fill: Fill,
    ) -> Option<Result<UsageSeries, async_graphql::Error>> {
        dependencies(ctx).never_keep();
        null_alone(async {
            let context = RequestContext::of(ctx);
            let now = context.now(ctx.data_unchecked::<Services>());
            let arguments = format!("{from:?} {to:?} {interval:?} {time_zone:?} {space_type:?} {fill:?}");
            let request = context.once(arguments, || {
                UsageRequest::parse(&from, to.as_ref(), &interval, time_zone, space_type, fill.into(), now).map(Arc::new)
            })?;
            series_of(ctx, request, &self.watched.tenant.id).await.map(Some)
        })
        .await
    }

    /// How allocated grew over the range of the given length that ends now. What was known at its start is compared with what is known
    /// now; where nothing was known then, with the first observation after it. Null when nothing was observed in the range; null with an error
    /// when an argument is wrong or the history cannot be read at the moment.
    async fn growth(
        &self,
        ctx: &Context<'_>,
        #[graphql(default_with = "Duration::from_static(\"P30D\")", desc = "The length of the range, by the calendar in UTC.")]
        over: Duration,
        #[graphql(desc = "Only this space type. Default: the sum over all types.")] space_type: Option<Integer>,
    ) -> Option<Result<Growth, async_graphql::Error>> {
        dependencies(ctx).never_keep();
        null_alone(async {
            let now = Asker::of(ctx).now(ctx.data_unchecked::<Services>());
            let space_type = Integer::read_optional(space_type, "spaceType")?;
            Growth::of(ctx, &self.watched.tenant.id, &over, space_type, now).await
        })
        .await
    }

    /// When allocated is expected to reach the threshold share of total. Null, with an error, when an argument is wrong or the history
    /// cannot be read at the moment.
    async fn forecast(
        &self,
        ctx: &Context<'_>,
        #[graphql(default_with = "Duration::from_static(\"P180D\")", desc = "How far ahead to look; one day to two years.")]
        horizon: Duration,
        #[graphql(default = 1.0, desc = "The utilization to look for, 0.9 for 90 %; more than 0.")] threshold: f64,
        #[graphql(
            default = 0.9,
            desc = "The probability that the true value lies within the band; between 0 and 1, both exclusive."
        )]
        confidence: f64,
        #[graphql(desc = "Only this space type. Default: the sum over all types.")] space_type: Option<Integer>,
    ) -> Option<Result<Forecast, async_graphql::Error>> {
        dependencies(ctx).never_keep();
        null_alone(async {
            let now = Asker::of(ctx).now(ctx.data_unchecked::<Services>());
            let request = ForecastRequest::parse(&horizon, threshold, confidence, space_type, now)?;
            request.answer(ctx, &self.watched.tenant.id).await.map(Some)
        })
        .await
    }

    /// The recorded snapshots, run by run: unchanged consecutive samples are one run. Ascending by first observation. In the complexity of a
    /// document each counts by its fields, and every ten one more. Null, with an
    /// error, when an argument is wrong or the history cannot be read at the moment.
    #[expect(clippy::too_many_arguments, reason = "the arguments of the schema")]
    async fn snapshots(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only runs that were observed at or after this instant.")] from: Option<Instant>,
        #[graphql(desc = "Only runs that were observed before this instant.")] to: Option<Instant>,
        #[graphql(desc = "Only this space type.")] space_type: Option<Integer>,
        #[graphql(desc = "The first so many items. Default: 50, if last is not given either.")] first: Option<Integer>,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many items.")] last: Option<Integer>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
    ) -> Option<Result<SnapshotConnection, async_graphql::Error>> {
        dependencies(ctx).never_keep();
        null_alone(async {
            let services = ctx.data_unchecked::<Services>();
            let page = Page::parse(first, after.as_deref(), last, before.as_deref(), services.page_size)?;
            let (from, to) = (Instant::read_optional(from.as_ref(), "from")?, Instant::read_optional(to.as_ref(), "to")?);
            let space_type = Integer::read_optional(space_type, "spaceType")?;
            if let (Some(from), Some(to)) = (from, to)
                && to <= from
            {
                return Err(ApiError::argument("to", "must be after from"));
            }
            let limit = u32::try_from(page.limit).unwrap_or(u32::MAX);
            let Page { after, before, backwards, .. } = page;
            let query = SnapshotQuery { from, to, space_type, after, before, backwards, limit };
            let key = SnapshotsKey { asker: Asker::of(ctx), tenant: self.watched.tenant.id.clone(), query };
            let SnapshotPage { runs, more } = load_history(ctx, key).await?.unwrap_or_default();
            let (has_previous, has_next) = if backwards { (more, before.is_some()) } else { (after.is_some(), more) };
            Ok(Some(SnapshotConnection::new(runs, has_previous, has_next)))
        })
        .await
    }

    /// How the collection of snapshots is doing for this tenant. Null, with an error, when the database cannot be read at the moment.
    async fn collection(&self, ctx: &Context<'_>) -> Option<Result<CollectionStatus, async_graphql::Error>> {
        dependencies(ctx).never_keep();
        null_alone(async {
            let key = StatusKey { asker: Asker::of(ctx), tenant: self.watched.tenant.id.clone() };
            let status = load_history(ctx, key).await?;
            Ok(Some(status.unwrap_or_default().into()))
        })
        .await
    }
}
