//! The tenants of a fleet that lead by a measure.

use std::sync::Arc;

use async_graphql::{Enum, SimpleObject};
use jiff::Timestamp;

use super::super::context::Asker;
use super::super::error::ApiError;
use super::super::services::Services;
use super::Tenant;
use crate::quota::fleet::Standing;
use crate::quota::{SpaceAllocation, TenantId};
use crate::tenants::WatchedTenant;

/// Microseconds of a day of 24 hours.
const DAY_MICROS: f64 = 86_400_000_000.0;

/// A measure to rank tenants by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum Ranking {
    /// allocated / total, the fullest first.
    Utilization,
    /// Allocated space in GB, the largest first.
    Allocated,
    /// Growth of allocated over the range, in GB per day, the fastest first.
    Growth,
    /// Days until allocated is expected to reach total, the soonest first; only tenants that reach it within 180 days.
    SoonestFull,
    /// The share of the range that observations cover, the worst first.
    Coverage,
}

/// A tenant and its rank.
#[derive(SimpleObject)]
pub struct RankedTenant {
    /// The rank, counted from 1.
    rank: i32,
    /// The tenant.
    tenant: Tenant,
    /// The measure: see the ranking.
    value: Option<f64>,
}

/// The measures that the newest known allocations give; `None` for tenants that have none.
#[expect(clippy::cast_precision_loss, reason = "the API gives doubles")]
pub fn by_newest(by: Ranking, known: &[Option<Arc<SpaceAllocation>>]) -> Vec<Option<f64>> {
    let measure = |allocation: &SpaceAllocation| match by {
        Ranking::Allocated => Some(allocation.allocated_gb() as f64),
        _ => allocation.utilization(),
    };
    known.iter().map(|known| known.as_deref().and_then(measure)).collect()
}

/// The measures that the history from an instant to now gives; `None` for tenants that have none.
pub async fn by_history(
    services: &Services,
    asker: &Asker,
    members: &[Arc<WatchedTenant>],
    by: Ranking,
    from: Timestamp,
    now: Timestamp,
) -> Result<Vec<Option<f64>>, ApiError> {
    let ids: Vec<TenantId> = members.iter().map(|watched| watched.tenant.id.clone()).collect();
    if by == Ranking::SoonestFull {
        let days =
            services.fleets.days_until_full(&ids, now, Arc::clone(asker.work())).await.map_err(|failed| asker.explain(failed))?;
        return Ok(ids.iter().map(|id| days.get(id).copied()).collect());
    }
    let standings =
        services.fleets.standings(&ids, from, now, Arc::clone(asker.work())).await.map_err(|failed| asker.explain(failed))?;
    Ok(ids.iter().map(|id| measure(by, standings.get(id), now)).collect())
}

#[expect(clippy::cast_precision_loss, reason = "the API gives doubles")]
fn measure(by: Ranking, standing: Option<&Standing>, now: Timestamp) -> Option<f64> {
    if by == Ranking::Coverage {
        // A tenant that was never observed is covered worst of all.
        return Some(standing.map_or(0.0, |standing| standing.coverage));
    }
    let standing = standing?;
    let days = (now.as_microsecond() - standing.from.as_microsecond()) as f64 / DAY_MICROS;
    // As a tenant's own growth has it: null when nothing was observed in the stretch.
    (days > 0.0 && standing.coverage > 0.0).then(|| (standing.allocated_gb - standing.from_allocated_gb) as f64 / days)
}

/// The first so many of those that have a measure.
pub fn rank(members: &[Arc<WatchedTenant>], measures: Vec<Option<f64>>, by: Ranking, first: usize) -> Vec<RankedTenant> {
    let mut ranked: Vec<_> = members.iter().zip(measures).filter_map(|(watched, measure)| Some((watched, measure?))).collect();
    let ascending = matches!(by, Ranking::Coverage | Ranking::SoonestFull);
    ranked.sort_by(|(a, x), (b, y)| {
        let order = if ascending { x.total_cmp(y) } else { y.total_cmp(x) };
        order.then_with(|| a.tenant.id.cmp(&b.tenant.id))
    });
    let place = |(rank, (watched, value)): (i32, (&Arc<WatchedTenant>, f64))| RankedTenant {
        rank,
        tenant: Tenant::new(Arc::clone(watched)),
        value: Some(value),
    };
    (1..).zip(ranked.into_iter().take(first)).map(place).collect()
}
