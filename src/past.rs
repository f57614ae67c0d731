//! The past of tenants, read piece by piece: never more of it is held at once than a few pages of runs and what one tenant's runs add up to.
//!
//! A year of five-minute samples may be a few hundred runs or a hundred thousand of each space type. Tenants with few are read many at a time, by
//! one statement; one with many is read by stretches of time, of all types together, whose segments are put one after the other.

use jiff::{SignedDuration, Timestamp};

use crate::quota::usage::{Segment, segments};
use crate::quota::{Run, TenantId, TimeRange};
use crate::store::{History, RunKey, RunScan, SnapshotQuery, StoreError};
use crate::work::{self, Work};

/// What is read at once.
#[derive(Clone, Copy, Debug)]
pub struct Pieces {
    pub tenants: usize,
    /// Runs of each of them.
    pub runs: u32,
}

impl Default for Pieces {
    fn default() -> Self {
        Self { tenants: 32, runs: 16 * 1024 }
    }
}

/// Which part of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// The stretch.
    pub range: TimeRange,
    /// Only this space type.
    pub space_type: Option<i32>,
    /// Nothing is known after it.
    pub now: Timestamp,
}

/// No stretch is shorter: one with more runs is held whole.
const SHORTEST: SignedDuration = SignedDuration::from_secs(1);

/// Reads the segments of each tenant that may say something about the part, with what was known last before it, and hands them to `each`. Tenants
/// without any run are left out.
///
/// # Errors
/// The database's, and when the work is given up.
pub async fn read_past<T: Send>(
    store: &dyn History,
    tenants: &[TenantId],
    part: Part,
    work: &Work,
    pieces: Pieces,
    mut each: impl FnMut(&[Segment]) -> T + Send,
) -> Result<Vec<(TenantId, T)>, StoreError> {
    let reading = Reading { store, part, work, pieces };
    let mut found = Vec::with_capacity(tenants.len());
    for tenants in tenants.chunks(pieces.tenants) {
        for (tenant, runs) in reading.pages(tenants, part.range).await? {
            let known = match runs {
                Some(runs) => segments(&runs, part.now),
                None => reading.by_stretches(&tenant).await?,
            };
            let made = each(&known);
            found.push((tenant, made));
            tokio::task::yield_now().await;
        }
    }
    Ok(found)
}

struct Reading<'a> {
    store: &'a dyn History,
    part: Part,
    work: &'a Work,
    pieces: Pieces,
}

impl Reading<'_> {
    fn scan(&self, range: TimeRange, after: Option<RunKey>) -> RunScan {
        RunScan { range, space_type: self.part.space_type, after, limit: self.pieces.runs }
    }

    /// The runs of each tenant that has any; `None` of those that have more than are read at once.
    async fn pages(&self, tenants: &[TenantId], range: TimeRange) -> Result<Vec<(TenantId, Option<Vec<Run>>)>, StoreError> {
        let scan = self.scan(range, None);
        let pages = self.work.wait(self.store.scan(tenants, &scan)).await?;
        self.work.spend(work::RUN * pages.iter().map(|(_, page)| page.runs.len()).sum::<usize>())?;
        Ok(pages.into_iter().map(|(tenant, page)| (tenant, (!page.more).then_some(page.runs))).collect())
    }

    /// The segments of a tenant that has many runs.
    async fn by_stretches(&self, tenant: &TenantId) -> Result<Vec<Segment>, StoreError> {
        let Part { range, space_type, now } = self.part;
        let end = range.to.min(now).max(range.from);
        let first = SnapshotQuery { from: Some(range.from), space_type, limit: 1, ..SnapshotQuery::default() };
        let first = self.work.wait(self.store.snapshots(std::slice::from_ref(tenant), &first)).await?;
        let first = first.first().and_then(|(_, page)| page.runs.first()).map_or(range.from, |run| run.first_at);
        let mut from = first.clamp(range.from, end);
        let mut length = (end.duration_since(from) / 16).max(SHORTEST);
        let mut known: Vec<Segment> = Vec::new();
        loop {
            let to = from.saturating_add(length).unwrap_or(end).min(end);
            let stretch = TimeRange { from, to };
            let Some(runs) = self.stretch(tenant, stretch, length > SHORTEST).await? else {
                length = (length / 4).max(SHORTEST);
                continue;
            };
            if runs.len() < self.pieces.runs as usize / 2 {
                length = length.checked_mul(2).unwrap_or(length);
            }
            // What was known last before the part belongs to it.
            let begin = if known.is_empty() { Timestamp::MIN } else { from };
            let within = TimeRange { from: begin, to };
            segments(&runs, to.min(now))
                .iter()
                .filter_map(|segment| segment.within(within))
                .for_each(|segment| join(&mut known, segment));
            if to >= end {
                return Ok(known);
            }
            from = to;
            tokio::task::yield_now().await;
        }
    }

    /// The runs of a stretch; `None` when there are more than are read at once and the stretch may be shorter.
    async fn stretch(&self, tenant: &TenantId, stretch: TimeRange, may_be_shorter: bool) -> Result<Option<Vec<Run>>, StoreError> {
        let (mut runs, mut after) = (Vec::new(), None);
        loop {
            let scan = self.scan(stretch, after);
            let pages = self.work.wait(self.store.scan(std::slice::from_ref(tenant), &scan)).await?;
            let Some((_, page)) = pages.into_iter().next() else { return Ok(Some(runs)) };
            self.work.spend(work::RUN * page.runs.len())?;
            if page.more && may_be_shorter {
                return Ok(None);
            }
            after = page.runs.last().map(|run| RunKey { space_type: run.space_type, first_at: run.first_at });
            runs.extend(page.runs);
            if !page.more {
                return Ok(Some(runs));
            }
        }
    }
}

/// Puts a segment after the others, as a part of the last one where nothing has changed.
fn join(known: &mut Vec<Segment>, next: Segment) {
    match known.last_mut() {
        Some(last) if last.end == next.start && (last.allocated_gb, last.total_gb) == (next.allocated_gb, next.total_gb) => {
            last.end = next.end;
        }
        _ => known.push(next),
    }
}
