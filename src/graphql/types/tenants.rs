//! Lists of tenants: filter, order, pages.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, SimpleObject};

use super::super::context::{dependencies, view};
use super::super::cursor::Cursor;
use super::super::error::ApiError;
use super::super::history::wait_for_history;
use super::super::services::Services;
use super::page::Page;
use super::{PageInfo, Tenant};
use crate::quota::SpaceAllocation;
use crate::tenants::WatchedTenant;

/// Conditions, all of which must hold. Allocations are the newest known ones; a tenant without one meets no condition on them.
#[derive(Clone, Debug, Default, InputObject)]
pub struct TenantFilter {
    /// Tenants with one of these ids.
    ids: Option<Vec<ID>>,
    /// A part of the name, ignoring case.
    name_contains: Option<String>,
    /// Tenants with all of these labels.
    labels: Option<Vec<LabelFilter>>,
    /// allocated / total of at least this; 0.9 for 90 %.
    utilization_at_least: Option<f64>,
    /// allocated / total below this.
    utilization_below: Option<f64>,
}

/// A label that a tenant must have.
#[derive(Clone, Debug, InputObject)]
pub struct LabelFilter {
    /// The label's key.
    key: String,
    /// The label's value.
    value: String,
}

/// How a list of tenants is sorted. Ties are sorted by id; tenants without a known allocation come last.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct TenantOrder {
    /// The field to sort by.
    by: TenantSort,
    /// The direction.
    #[graphql(default_with = "SortDirection::Asc")]
    direction: SortDirection,
}

impl Default for TenantOrder {
    fn default() -> Self {
        Self { by: TenantSort::Id, direction: SortDirection::Asc }
    }
}

/// A field to sort tenants by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum TenantSort {
    /// The id.
    Id,
    /// The name, ignoring case.
    Name,
    /// The allocated space.
    Allocated,
    /// The total space.
    Total,
    /// total - allocated.
    Available,
    /// allocated / total.
    Utilization,
}

/// A sort direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum SortDirection {
    /// The smallest first.
    Asc,
    /// The largest first.
    Desc,
}

/// A page of tenants.
#[derive(SimpleObject)]
pub struct TenantConnection {
    /// The tenants with their cursors.
    edges: Vec<TenantEdge>,
    /// The tenants.
    nodes: Vec<Tenant>,
    /// The position of the page in the list.
    page_info: PageInfo,
    /// The number of tenants that match the filter, on all pages together.
    total_count: i32,
}

/// A tenant and its position in the list.
#[derive(SimpleObject)]
pub struct TenantEdge {
    /// The cursor, for `after` and `before`.
    cursor: String,
    /// The tenant.
    node: Tenant,
}

/// What a tenant is ranked by in one order.
#[derive(Clone, Debug, PartialEq)]
enum Rank {
    Nothing,
    Text(String),
    Size(i128),
    Ratio(f64),
    Unknown,
}

/// A tenant's place in an ordered list: stable while pages are read, also when the tenant itself has moved or left.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantPlace {
    sort: u8,
    descending: bool,
    rank: Rank,
    id: String,
}

impl TenantPlace {
    fn of(watched: &WatchedTenant, known: Option<&SpaceAllocation>, order: TenantOrder) -> Self {
        let size = |size: fn(&SpaceAllocation) -> i128| known.map_or(Rank::Unknown, |known| Rank::Size(size(known)));
        let rank = match order.by {
            TenantSort::Id => Rank::Nothing,
            TenantSort::Name => Rank::Text(watched.tenant.name.to_lowercase()),
            TenantSort::Allocated => size(SpaceAllocation::allocated_gb),
            TenantSort::Total => size(SpaceAllocation::total_gb),
            TenantSort::Available => size(|known| known.total_gb() - known.allocated_gb()),
            TenantSort::Utilization => known.and_then(SpaceAllocation::utilization).map_or(Rank::Unknown, Rank::Ratio),
        };
        let descending = order.direction == SortDirection::Desc;
        Self { sort: order.by as u8, descending, rank, id: watched.tenant.id.to_string() }
    }

    fn is_of(&self, order: TenantOrder) -> bool {
        self.sort == order.by as u8 && self.descending == (order.direction == SortDirection::Desc)
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_rank = match (&self.rank, &other.rank) {
            (Rank::Text(a), Rank::Text(b)) => a.cmp(b),
            (Rank::Size(a), Rank::Size(b)) => a.cmp(b),
            (Rank::Ratio(a), Rank::Ratio(b)) => a.total_cmp(b),
            (Rank::Unknown, Rank::Unknown) | (Rank::Nothing, _) | (_, Rank::Nothing) => Ordering::Equal,
            (Rank::Unknown, _) => return Ordering::Greater,
            (_, Rank::Unknown) => return Ordering::Less,
            // Places of one order have ranks of one kind.
            _ => Ordering::Equal,
        };
        let by_id_only = self.rank == Rank::Nothing;
        let ordering = if by_id_only { self.id.cmp(&other.id) } else { by_rank };
        let directed = if self.descending { ordering.reverse() } else { ordering };
        directed.then_with(|| self.id.cmp(&other.id))
    }
}

impl Cursor for TenantPlace {
    fn to_text(&self) -> String {
        let rank = match &self.rank {
            Rank::Nothing => "-".to_owned(),
            Rank::Text(text) => format!("t{text}"),
            Rank::Size(size) => format!("s{size}"),
            Rank::Ratio(ratio) => format!("r{:x}", ratio.to_bits()),
            Rank::Unknown => "u".to_owned(),
        };
        format!("t:{}:{}:{}:{rank}", self.sort, u8::from(self.descending), self.id)
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("t:")?.splitn(4, ':');
        let sort = parts.next()?.parse().ok()?;
        let descending = parts.next()? == "1";
        let id = parts.next()?.to_owned();
        let rank = parts.next()?;
        let rank = match rank.split_at_checked(1)? {
            ("-", "") => Rank::Nothing,
            ("u", "") => Rank::Unknown,
            ("t", text) => Rank::Text(text.to_owned()),
            ("s", size) => Rank::Size(size.parse().ok()?),
            ("r", bits) => Rank::Ratio(f64::from_bits(u64::from_str_radix(bits, 16).ok()?)),
            _ => return None,
        };
        Some(Self { sort, descending, rank, id })
    }
}

impl TenantFilter {
    fn needs_figures(&self) -> bool {
        self.utilization_at_least.is_some() || self.utilization_below.is_some()
    }

    /// The conditions, ready for many tenants: however many ids, labels and letters they have, each tenant is looked at once.
    fn conditions(&self) -> Conditions<'_> {
        Conditions {
            ids: self.ids.as_ref().map(|ids| ids.iter().map(|id| id.as_str()).collect()),
            name_contains: self.name_contains.as_ref().map(|part| part.to_lowercase()),
            labels: self.labels.iter().flatten().map(|label| (label.key.as_str(), label.value.as_str())).collect(),
            utilization_at_least: self.utilization_at_least,
            utilization_below: self.utilization_below,
        }
    }
}

/// A filter, ready for many tenants.
struct Conditions<'a> {
    ids: Option<HashSet<&'a str>>,
    /// In lower case.
    name_contains: Option<String>,
    labels: HashSet<(&'a str, &'a str)>,
    utilization_at_least: Option<f64>,
    utilization_below: Option<f64>,
}

impl Conditions<'_> {
    fn keep(&self, watched: &WatchedTenant, known: Option<&SpaceAllocation>) -> bool {
        let tenant = &watched.tenant;
        let utilization = || known.and_then(SpaceAllocation::utilization);
        let labels = || tenant.labels.iter().filter(|label| self.labels.contains(&(label.key.as_str(), label.value.as_str())));
        self.ids.as_ref().is_none_or(|ids| ids.contains(tenant.id.as_str()))
            // A tenant's keys are different ones.
            && (self.labels.is_empty() || labels().count() == self.labels.len())
            && self.name_contains.as_ref().is_none_or(|part| tenant.name.to_lowercase().contains(part))
            && self.utilization_at_least.is_none_or(|limit| utilization().is_some_and(|u| u >= limit))
            && self.utilization_below.is_none_or(|limit| utilization().is_some_and(|u| u < limit))
    }
}

/// A tenant with its newest known allocation, where that was asked for.
pub type Matching = (Arc<WatchedTenant>, Option<Arc<SpaceAllocation>>);

/// The tenants of the view that the filter keeps, sorted by id. Their newest known allocations are there if the filter or the caller needs
/// them.
pub async fn kept(ctx: &Context<'_>, filter: &TenantFilter, needs_figures: bool) -> Result<Vec<Matching>, ApiError> {
    let all = view(ctx).all();
    let known = if needs_figures || filter.needs_figures() {
        let allocations = &ctx.data_unchecked::<Services>().allocations;
        dependencies(ctx).use_figures(allocations.figures_version());
        wait_for_history(ctx, allocations.newest_known(&all)).await?
    } else {
        vec![None; all.len()]
    };
    let conditions = filter.conditions();
    Ok(all.iter().cloned().zip(known).filter(|(watched, known)| conditions.keep(watched, known.as_deref())).collect())
}

/// The page of tenants that the filter keeps, in the given order.
pub async fn list(
    ctx: &Context<'_>,
    page: Page<TenantPlace>,
    filter: &TenantFilter,
    order: TenantOrder,
) -> Result<TenantConnection, ApiError> {
    for (name, place) in [("after", &page.after), ("before", &page.before)] {
        if place.as_ref().is_some_and(|place| !place.is_of(order)) {
            return Err(ApiError::argument(name, "is a cursor of another order"));
        }
    }
    let needs_figures = !matches!(order.by, TenantSort::Id | TenantSort::Name);
    let kept = kept(ctx, filter, needs_figures).await?;
    let mut kept: Vec<(TenantPlace, &Arc<WatchedTenant>)> =
        kept.iter().map(|(watched, known)| (TenantPlace::of(watched, known.as_deref(), order), watched)).collect();
    kept.sort_by(|(a, _), (b, _)| a.compare(b));
    let total_count = i32::try_from(kept.len()).unwrap_or(i32::MAX);

    let start = page.after.as_ref().map_or(0, |place| kept.partition_point(|(p, _)| p.compare(place).is_le()));
    let end = page.before.as_ref().map_or(kept.len(), |place| kept.partition_point(|(p, _)| p.compare(place).is_lt())).max(start);
    let (start, end) =
        if page.backwards { (start.max(end.saturating_sub(page.limit)), end) } else { (start, end.min(start + page.limit)) };
    let edges: Vec<_> = kept[start..end]
        .iter()
        .map(|(place, watched)| TenantEdge { cursor: place.encode(), node: Tenant::new(Arc::clone(watched)) })
        .collect();
    let page_info = PageInfo::new(&edges, |edge| edge.cursor.clone(), start > 0, end < kept.len());
    let nodes = edges.iter().map(|edge| edge.node.clone()).collect();
    Ok(TenantConnection { edges, nodes, page_info, total_count })
}
