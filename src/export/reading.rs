//! Reading an export's history, piece by piece.

use std::ops::Range;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use super::ExportPlan;
use super::error::ExportError;
use super::plan::Content;
use crate::quota::calendar::stretch_of;
use crate::quota::{Run, TenantId, TimeRange};
use crate::store::{RunKey, RunScan, SharedStore};

/// Tenants that are read by one statement.
const TENANTS: usize = 16;
/// Runs of each of them that are read by one statement. Those who have more are read piece by piece.
const RUNS: u32 = 32 * 1024;
/// Buckets that are computed at once.
const BUCKETS: usize = 8192;

/// A piece of the file's rows.
pub(super) enum Part {
    /// The rows of these runs.
    Runs(TenantId, Vec<Run>),
    /// The rows of some of the buckets, with the runs that say something about them.
    Usage(TenantId, Arc<[Run]>, Range<usize>),
}

/// The parts of some tenants, in order, and how many tenants were finished with them.
pub(super) struct Batch {
    pub parts: Vec<Part>,
    pub tenants: usize,
}

/// Reads everything that the plan asks for, in its order, as fast as it is taken.
pub(super) async fn read(plan: &ExportPlan, store: &SharedStore, to: mpsc::Sender<Batch>) -> Result<(), ExportError> {
    let reader = Reader { plan, store, to };
    for tenants in plan.tenants.chunks(TENANTS) {
        match &plan.content {
            Content::Snapshots { from, to } => {
                let range = TimeRange { from: from.unwrap_or(Timestamp::MIN), to: to.unwrap_or(Timestamp::MAX) };
                reader.read_runs(tenants, range).await?;
            }
            Content::Usage { buckets, .. } => reader.read_usage(tenants, buckets).await?,
        }
    }
    Ok(())
}

struct Reader<'a> {
    plan: &'a ExportPlan,
    store: &'a SharedStore,
    to: mpsc::Sender<Batch>,
}

impl Reader<'_> {
    async fn read_runs(&self, tenants: &[TenantId], range: TimeRange) -> Result<(), ExportError> {
        let scan = RunScan { range, space_type: self.plan.space_type, after: None, limit: RUNS };
        let mut batch = Batch { parts: Vec::new(), tenants: 0 };
        for (tenant, mut page) in self.store.scan(tenants, &scan).await? {
            loop {
                let after = page.runs.last().map(|run| RunKey { space_type: run.space_type, first_at: run.first_at });
                // The newest run before the range is there as well, for those who compute.
                page.runs.retain(|run| run.last_at >= range.from);
                batch.parts.push(Part::Runs(tenant.clone(), page.runs));
                if !page.more {
                    break;
                }
                self.hand_on(std::mem::replace(&mut batch, Batch { parts: Vec::new(), tenants: 0 })).await?;
                let mut next = self.store.scan(std::slice::from_ref(&tenant), &RunScan { after, ..scan }).await?;
                let Some((_, following)) = next.pop() else { break };
                page = following;
            }
        }
        batch.tenants = tenants.len();
        self.hand_on(batch).await
    }

    async fn read_usage(&self, tenants: &[TenantId], buckets: &Arc<[TimeRange]>) -> Result<(), ExportError> {
        let Some(range) = stretch_of(buckets) else { return Ok(()) };
        let scan = RunScan { range, space_type: self.plan.space_type, after: None, limit: RUNS };
        let mut pages = self.store.scan(tenants, &scan).await?.into_iter().peekable();
        let mut batch = Batch { parts: Vec::new(), tenants: 0 };
        for tenant in tenants {
            let page = pages.next_if(|(of, _)| of == tenant).map(|(_, page)| page).unwrap_or_default();
            if page.more {
                self.hand_on(std::mem::replace(&mut batch, Batch { parts: Vec::new(), tenants: 0 })).await?;
                self.read_dense(tenant, buckets, &page.runs).await?;
            } else {
                let runs: Arc<[Run]> = page.runs.into();
                let starts = (0..buckets.len()).step_by(BUCKETS);
                let part = |start: usize| Part::Usage(tenant.clone(), Arc::clone(&runs), start..buckets.len().min(start + BUCKETS));
                batch.parts.extend(starts.map(part));
            }
        }
        batch.tenants = tenants.len();
        self.hand_on(batch).await
    }

    /// Reads usage of a tenant with more runs than are held at once: some buckets at a time, with the runs around them. `runs` are its
    /// first ones, which tell how dense they lie.
    async fn read_dense(&self, tenant: &TenantId, buckets: &[TimeRange], runs: &[Run]) -> Result<(), ExportError> {
        let of_first_type = runs.partition_point(|run| run.space_type == runs[0].space_type);
        let spanned = runs[of_first_type - 1].first_at.duration_since(runs[0].first_at);
        // Room for other types, and for times in which there is more.
        let at_once = (spanned / 8).max(SignedDuration::from_secs(1));
        let mut start = 0;
        while start < buckets.len() {
            let until = buckets[start].from.saturating_add(at_once).unwrap_or(Timestamp::MAX);
            let within = buckets[start..].partition_point(|bucket| bucket.to <= until).clamp(1, BUCKETS);
            let chunk = start..start + within;
            let Some(range) = stretch_of(&buckets[chunk.clone()]) else { break };
            let found = self.store.runs(std::slice::from_ref(tenant), range, self.plan.space_type).await?;
            let runs: Arc<[Run]> = found.into_iter().next().map(|(_, runs)| runs).unwrap_or_default().into();
            self.hand_on(Batch { parts: vec![Part::Usage(tenant.clone(), runs, chunk.clone())], tenants: 0 }).await?;
            start = chunk.end;
        }
        Ok(())
    }

    async fn hand_on(&self, batch: Batch) -> Result<(), ExportError> {
        self.to.send(batch).await.map_err(|_| ExportError::Gone)
    }
}
