//! One pass, over the log or over runs, on a thread of its own.

use std::collections::HashMap;

use tokio::sync::mpsc;

use crate::quota::fleet::{Change, DAY_MILLIS, DayChanges, Member, Pass, millis, steps_of_part};
use crate::quota::{TenantId, TimeRange};
use crate::store::{FleetMark, FleetPart, SharedStore, StoreError};

/// Packed days that are read ahead of the pass.
const READ_AHEAD: usize = 8;

/// A finished pass.
pub(super) struct Done<P> {
    /// The pass.
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
) -> Result<Done<P>, StoreError> {
    let (sender, parts) = mpsc::channel(READ_AHEAD);
    let mark = kept.as_ref().map(|(mark, _)| *mark);
    let running = tokio::task::spawn_blocking(move || consume(parts, kept.map(|(_, pass)| pass), fresh));
    let read = store.read_fleet(range, mark, &sender).await;
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
) -> Result<Done<P>, StoreError> {
    let ids: Vec<TenantId> = members.keys().cloned().collect();
    let runs = store.runs(&ids, range, space_type).await?;
    let numbered = runs.into_iter().filter_map(|(id, runs)| Some((members.get(&id)?.tenant_no, runs)));
    let numbered: Vec<_> = numbered.collect();
    let running = tokio::task::spawn_blocking(move || {
        let mut changes = Vec::new();
        for (tenant_no, runs) in numbered {
            changes.extend(steps_of_part(&runs).into_iter().map(|step| Change { tenant_no, step }));
        }
        let end = millis(range.to);
        changes.retain(|change| change.step.at < end);
        changes.sort_by_key(|change| change.step.at);
        let mut pass = fresh;
        for change in changes {
            pass.add(change);
        }
        Done { pass, checkpoint: None }
    });
    running.await.map_err(failed)
}

fn failed(cause: tokio::task::JoinError) -> StoreError {
    StoreError::Database { action: "reading of the log of changes", source: Box::new(cause) }
}

fn consume<P: Pass>(mut parts: mpsc::Receiver<FleetPart>, mut kept: Option<P>, fresh: P) -> Result<Done<P>, StoreError> {
    let mut pass = fresh;
    let mut checkpoint = None;
    let (mut recent, mut newest) = (Vec::new().into_iter().peekable(), None);
    while let Some(part) = parts.blocking_recv() {
        match part {
            FleetPart::Begin { resumed, mark, opening, recent: unpacked } => {
                match kept.take().filter(|_| resumed) {
                    Some(kept) => pass = kept,
                    None => pass.open(&opening),
                }
                (recent, newest) = (unpacked.into_iter().peekable(), mark);
            }
            FleetPart::Day { day, changes } => {
                let corrupt = |source| StoreError::Database { action: "reading of the log of changes", source: Box::new(source) };
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
