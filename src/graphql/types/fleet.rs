//! Many tenants as one.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_graphql::{Context, Object, SimpleObject};
use jiff::Timestamp;

use super::super::context::{Asker, dependencies, view};
use super::super::error::ApiError;
use super::super::history::{null_alone, wait_for_history};
use super::super::scalars::{Duration, Instant, Integer};
use super::super::services::Services;
use super::super::usage_request::UsageRequest;
use super::fleet_allocation::FleetAllocation;
use super::ranking::{self, RankedTenant, Ranking};
use super::tenants::{TenantFilter, kept};
use super::usage::{UsageSeries, series_of_fleet};
use crate::access::View;
use crate::quota::SpaceAllocation;
use crate::quota::usage::Fill;
use crate::shown;
use crate::tenants::WatchedTenant;

/// Groups of a fleet when the caller does not say.
const DEFAULT_GROUPS: i32 = 100;

/// Steps of a distribution at most.
const MAX_STEPS: usize = 1000;

/// All tenants that the caller may see and that match the filter, taken together.
#[derive(Clone)]
pub struct Fleet {
    members: Arc<[Arc<WatchedTenant>]>,
    /// One instant for all of its groups, so that their series are summed in one pass.
    now: Timestamp,
}

impl Fleet {
    /// The tenants of the caller's view that the filter keeps.
    pub async fn of(ctx: &Context<'_>, filter: &TenantFilter) -> Result<Self, ApiError> {
        let kept = kept(ctx, filter, false).await?;
        let now = Asker::of(ctx).now(ctx.data_unchecked::<Services>());
        Ok(Self { members: kept.into_iter().map(|(watched, _)| watched).collect(), now })
    }

    /// The newest known allocation of each member.
    async fn known(&self, ctx: &Context<'_>) -> Result<Vec<Option<Arc<SpaceAllocation>>>, ApiError> {
        let services = ctx.data_unchecked::<Services>();
        dependencies(ctx).use_figures(services.allocations.figures_version());
        wait_for_history(ctx, services.allocations.newest_known(&self.members)).await
    }
}

/// All tenants that the caller may see and that match the filter, taken together.
#[Object]
impl Fleet {
    /// The number of tenants.
    async fn tenant_count(&self) -> i32 {
        count(self.members.len())
    }

    /// How many of them have a known allocation; the sums are over these. Null, with an error, when the database is needed and cannot be read.
    async fn observed_count(&self, ctx: &Context<'_>) -> Option<Result<i32, async_graphql::Error>> {
        null_alone(async { Ok(Some(count(self.known(ctx).await?.iter().flatten().count()))) }).await
    }

    /// The sums over the newest known allocations. Null, with an error, when an argument is wrong or the database is needed and cannot be read.
    async fn space_allocation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only this space type. Default: the sum over all types.")] space_type: Option<Integer>,
    ) -> Option<Result<FleetAllocation, async_graphql::Error>> {
        // It tells when the oldest observation was made, which an equal sample changes.
        if ctx.look_ahead().field("observedAt").exists() {
            dependencies(ctx).never_keep();
        }
        null_alone(async {
            let space_type = Integer::read_optional(space_type, "spaceType")?;
            Ok(Some(FleetAllocation::of(self.known(ctx).await?.into_iter().flatten(), space_type)))
        })
        .await
    }

    /// Sums over the tenants; a tenant's gap is carried by its last value, and coverage tells how much was carried: it is the mean of the
    /// tenants' own. A tenant counts from its first observation on. It counts 50 in the complexity of a document, and one more for every ten
    /// intervals of the range; more when more than 15 fields are asked of its points. Null, with an error, when an argument is wrong or the history cannot be read at the moment.
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
    ) -> Option<Result<UsageSeries, async_graphql::Error>> {
        dependencies(ctx).never_keep();
        null_alone(async {
            let request = UsageRequest::parse(&from, to.as_ref(), &interval, time_zone, space_type, Fill::None, self.now)?;
            series_of_fleet(ctx, &request, &self.members).await.map(Some)
        })
        .await
    }

    /// The top tenants by a measure. Tenants without the measure are left out; ties are sorted by id. Null, with an error,
    /// when an argument is wrong or the database is needed and cannot be read.
    async fn top(
        &self,
        ctx: &Context<'_>,
        #[graphql(default_with = "Ranking::Utilization", desc = "The measure.")] by: Ranking,
        #[graphql(
            default_with = "Duration::from_static(\"P30D\")",
            desc = "The range that GROWTH and COVERAGE look at; it ends now."
        )]
        over: Duration,
        #[graphql(default_with = "Integer::from(10)", desc = "The number of tenants to list.")] first: Integer,
    ) -> Option<Result<Vec<RankedTenant>, async_graphql::Error>> {
        null_alone(async {
            let services = ctx.data_unchecked::<Services>();
            let first = first.read_count("first", services.page_size)?;
            let from = over.as_stretch("over", self.now)?.before(self.now);
            let measures = match by {
                Ranking::Utilization | Ranking::Allocated => ranking::by_newest(by, &self.known(ctx).await?),
                Ranking::Growth | Ranking::Coverage | Ranking::SoonestFull => {
                    dependencies(ctx).never_keep();
                    ranking::by_history(services, &Asker::of(ctx), &self.members, by, from, self.now).await?
                }
            };
            Ok(Some(ranking::rank(&self.members, measures, by, first)))
        })
        .await
    }

    /// How many tenants lie in each of so many equal steps of utilization from 0 to 1, and above. Tenants without a known utilization are in
    /// none. Null, with an error, when an argument is wrong or the database is needed and cannot be read.
    async fn distribution(
        &self,
        ctx: &Context<'_>,
        #[graphql(default_with = "Integer::from(10)", desc = "The number of steps from 0 to 1.")] steps: Integer,
    ) -> Option<Result<Vec<DistributionStep>, async_graphql::Error>> {
        null_alone(async {
            let count = Some(steps.asked()).filter(|steps| (1..=MAX_STEPS).contains(steps));
            let count = count.ok_or_else(|| ApiError::argument("steps", format_args!("must be from 1 to {MAX_STEPS}")))?;
            let known = self.known(ctx).await?;
            let utilizations = known.iter().flatten().filter_map(|allocation| allocation.utilization());
            Ok(Some(distribution(utilizations, count)))
        })
        .await
    }

    /// The same fleet, split by the values of a label, in their order; tenants without it come under null, last. It counts in the complexity
    /// of a document by first. Null, with an error, when no tenant has the label or an argument is wrong.
    async fn groups(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The label's key.")] label: String,
        #[graphql(default_with = "Integer::from(DEFAULT_GROUPS)", desc = "The maximum number of groups.")] first: Integer,
    ) -> Option<Result<Vec<FleetGroup>, async_graphql::Error>> {
        let first = first.read_count("first", ctx.data_unchecked::<Services>().page_size);
        Some(first.and_then(|first| self.split(view(ctx), &label, first)).map_err(Into::into))
    }
}

impl Fleet {
    /// The same fleet by the first so many values of a label.
    fn split(&self, view: &View, label: &str, first: usize) -> Result<Vec<FleetGroup>, ApiError> {
        let value_of = |watched: &WatchedTenant| watched.tenant.labels.iter().find(|l| l.key == label).map(|l| l.value.clone());
        let mut groups = BTreeMap::<(bool, Option<String>), Vec<Arc<WatchedTenant>>>::new();
        for watched in self.members.iter() {
            let value = value_of(watched);
            groups.entry((value.is_none(), value)).or_default().push(Arc::clone(watched));
        }
        if groups.keys().all(|(is_none, _)| *is_none) && view.all().iter().all(|watched| value_of(watched).is_none()) {
            return Err(ApiError::argument("label", format_args!("no tenant has a label {}", shown::quoted(label))));
        }
        let group =
            |((_, value), members): (_, Vec<_>)| FleetGroup { value, fleet: Fleet { members: members.into(), now: self.now } };
        Ok(groups.into_iter().take(first).map(group).collect())
    }
}

/// A step of utilization and the number of tenants in it.
#[derive(Clone, Copy, Debug, PartialEq, SimpleObject)]
pub struct DistributionStep {
    /// From this utilization on, inclusive; 0.5 for half.
    from: f64,
    /// Up to this utilization, exclusive; null for the last step, which has no upper end.
    to: Option<f64>,
    /// The number of tenants.
    tenants: i32,
}

/// The tenants of a fleet that have one value of a label.
#[derive(SimpleObject)]
pub struct FleetGroup {
    /// The label's value; null for the tenants without it.
    value: Option<String>,
    /// The tenants.
    fleet: Fleet,
}

/// Steps from 0 to 1 with so many utilizations in each, and one more for those of 1 and above.
#[expect(clippy::cast_precision_loss, reason = "few steps")]
fn distribution(utilizations: impl Iterator<Item = f64>, steps: usize) -> Vec<DistributionStep> {
    let edge = |step: usize| step as f64 / steps as f64;
    let edges: Vec<f64> = (0..=steps).map(edge).collect();
    let mut tenants = vec![0; steps + 1];
    for utilization in utilizations {
        // The steps are the ones that are shown, to the last bit, which dividing would not give.
        tenants[edges.partition_point(|edge| *edge <= utilization).saturating_sub(1)] += 1;
    }
    let step = |(step, tenants): (usize, i32)| DistributionStep { from: edges[step], to: edges.get(step + 1).copied(), tenants };
    tenants.into_iter().enumerate().map(step).collect()
}

fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::distribution;

    #[test]
    fn every_tenant_lies_in_the_step_whose_edges_hold_it() {
        let found = distribution([0.0, 0.3, 0.6, 0.599_999, 0.999, 1.0, 7.0].into_iter(), 10);
        let counts: Vec<_> = found.iter().map(|step| step.tenants).collect();
        assert_eq!(counts, [1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 2]);
        assert!(found.iter().take(10).all(|step| step.to.is_some_and(|to| to > step.from)));
        assert_eq!((found[10].from, found[10].to), (1.0, None));
    }
}
