//! One pass, over the log or over runs, on a thread of its own.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::quota::fleet::{Change, DAY_MILLIS, DayChanges, Member, Pass, millis, steps_of_part};
use crate::quota::{Run, TenantId, TimeRange};
use crate::store::{FleetMark, FleetPart, RunKey, RunScan, SharedStore, StoreError};
use crate::work::{self, Work};

/// Packed days that are read ahead of the pass.
const READ_AHEAD: usize = 8;

/// Runs of a tenant that are read by one statement.
const RUNS_AT_ONCE: u32 = 32 * 1024;

/// A finished pass.
pub(super) struct Done<P> {
    pub pass: P,
    /// The same before the last packed day, from where it may go on another time.
    pub checkpoint: Option<(FleetMark, P)>,
}

/// Runs `fresh` through what the range needs of the log; or `kept`, if nothing before its mark has changed.
pub(super) async fn run_through_log<P: Pass>(
    store: &SharedStore,
    range: TimeRange,
    kept: Option<(FleetMark, P)>,
    fresh: P,
    work: &Arc<Work>,
) -> Result<Done<P>, StoreError> {
    let (sender, parts) = mpsc::channel(READ_AHEAD);
    let mark = kept.as_ref().map(|(mark, _)| *mark);
    let of_consumer = Arc::clone(work);
    let running = tokio::task::spawn_blocking(move || consume(parts, kept.map(|(_, pass)| pass), fresh, &of_consumer));
    // How long that waits for the database is known to whoever goes through what it gives.
    let read = work.within(store.read_fleet(range, mark, &sender)).await;
    drop(sender);
    let done = running.await;
    read?;
    done.map_err(failed)?
}

/// Runs `fresh` through what the range needs of the runs of these tenants, or of those of one space type. The members hold without end.
pub(super) async fn run_through_runs<P: Pass>(
    store: &SharedStore,
    members: &HashMap<TenantId, Member>,
    range: TimeRange,
    space_type: Option<i32>,
    fresh: P,
    work: &Work,
) -> Result<Done<P>, StoreError> {
    let ids: Vec<TenantId> = members.keys().cloned().collect();
    let end = millis(range.to);
    let mut changes = Vec::new();
    for id in &ids {
        let Some(member) = members.get(id) else { continue };
        let runs = all_runs(store, id, range, space_type, work).await?;
        let change = |step| Change { tenant_no: member.tenant_no, step };
        changes.extend(steps_of_part(&runs).into_iter().map(change).filter(|change| change.step.at < end));
    }
    let running = tokio::task::spawn_blocking(move || {
        changes.sort_by_key(|change| change.step.at);
        let mut pass = fresh;
        for change in changes {
            pass.add(change);
        }
        Done { pass, checkpoint: None }
    });
    running.await.map_err(failed)
}

/// The runs of a tenant that say something about a range, page by page.
async fn all_runs(
    store: &SharedStore,
    tenant: &TenantId,
    range: TimeRange,
    space_type: Option<i32>,
    work: &Work,
) -> Result<Vec<Run>, StoreError> {
    let (mut runs, mut after) = (Vec::new(), None);
    loop {
        let scan = RunScan { range, space_type, after, limit: RUNS_AT_ONCE };
        let pages = work.wait(store.scan(std::slice::from_ref(tenant), &scan)).await?;
        let Some((_, page)) = pages.into_iter().next() else { return Ok(runs) };
        work.spend(work::RUN * page.runs.len())?;
        after = page.runs.last().map(|run| RunKey { space_type: run.space_type, first_at: run.first_at });
        runs.extend(page.runs);
        if !page.more {
            return Ok(runs);
        }
    }
}

fn failed(cause: tokio::task::JoinError) -> StoreError {
    StoreError::Database { action: "reading of the log of changes", source: Box::new(cause) }
}

fn consume<P: Pass>(
    mut parts: mpsc::Receiver<FleetPart>,
    mut kept: Option<P>,
    fresh: P,
    work: &Work,
) -> Result<Done<P>, StoreError> {
    let mut pass = fresh;
    let mut checkpoint = None;
    let (mut recent, mut newest) = (Vec::new().into_iter().peekable(), None);
    let mut next = || {
        let _waiting = work.begin_wait();
        parts.blocking_recv()
    };
    while let Some(part) = next() {
        match part {
            FleetPart::Begin { resumed, mark, opening, recent: unpacked } => {
                work.spend(unpacked.len() / work::LOG_CHANGES_OF_ONE)?;
                match kept.take().filter(|_| resumed) {
                    Some(kept) => pass = kept,
                    None => pass.open(&opening),
                }
                (recent, newest) = (unpacked.into_iter().peekable(), mark);
            }
            FleetPart::Day { day, changes } => {
                let corrupt = |source| StoreError::Database { action: "reading of the log of changes", source: Box::new(source) };
                work.spend(changes.len() / work::LOG_BYTES_OF_ONE)?;
                let packed = DayChanges::read(day, &changes).map_err(corrupt)?;
                let (start, end) = (day * DAY_MILLIS, (day + 1) * DAY_MILLIS);
                while let Some(change) = recent.next_if(|change| change.step.at < start) {
                    pass.add(change);
                }
                if let Some(mark) = newest.filter(|mark| mark.day == day) {
                    pass.pause(start);
                    checkpoint = Some((mark, pass.clone()));
                }
                let mut unpacked: Vec<Change> = std::iter::from_fn(|| recent.next_if(|change| change.step.at < end)).collect();
                if unpacked.is_empty() {
                    pass.day(&packed);
                } else {
                    unpacked.extend(packed.to_vec());
                    unpacked.sort_by_key(|change| change.step.at);
                    for change in unpacked {
                        pass.add(change);
                    }
                }
            }
        }
    }
    recent.for_each(|change| pass.add(change));
    Ok(Done { pass, checkpoint })
}
