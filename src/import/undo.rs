//! Taking an import back. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::quota::Run;
use crate::quota::recording::History;

/// Why an import cannot be taken back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("space type {space_type} has changed since then around {at}, so that what was before cannot be told from it any more")]
pub struct CannotUndo {
    pub space_type: i32,
    /// The start of the run that is another now.
    pub at: Timestamp,
}

/// A run's place: its type and its start.
type Key = (i32, Timestamp);

/// A run as the import left it, and as it is now.
struct Grown<'a> {
    then: &'a Run,
    now: Run,
}

/// The history without an import: `added` are the runs that it left, `removed` those that they took the place of, `stored` what there is
/// now, sorted by type and start. What was recorded since stays: the samples that lengthened a run of the import are put to the run
/// that was there before.
///
/// # Errors
/// When a run of the import is no longer there as it was or longer, or when the runs from before have no room any more.
pub fn undo(stored: &[Run], added: &[Run], removed: &[Run]) -> Result<Vec<Run>, CannotUndo> {
    let mut kept: BTreeMap<Key, Run> = stored.iter().map(|run| ((run.space_type, run.first_at), run.clone())).collect();
    let mut grown = Vec::new();
    for then in added {
        let refused = CannotUndo { space_type: then.space_type, at: then.first_at };
        let now = kept.remove(&(then.space_type, then.first_at)).ok_or_else(|| refused.clone())?;
        let same = now.value() == then.value() && now.interval_s == then.interval_s;
        if !same || now.last_at < then.last_at || now.samples - then.samples < i64::from(now.last_at > then.last_at) {
            return Err(refused);
        }
        if now != *then {
            grown.push(Grown { then, now });
        }
    }
    for run in removed {
        if kept.insert((run.space_type, run.first_at), run.clone()).is_some() {
            return Err(CannotUndo { space_type: run.space_type, at: run.first_at });
        }
    }
    let mut since = BTreeSet::new();
    for Grown { then, now } in grown {
        since.extend(give_back(&mut kept, then, &now)?);
    }
    require_apart(&kept)?;
    let mut history = History::default();
    for run in kept.into_values() {
        let is_since = since.contains(&(run.space_type, run.first_at));
        history.append(run, |_| is_since);
    }
    Ok(history.runs().cloned().collect())
}

/// Whether a run of the import ends as one from before does.
fn is_end_of(then: &Run, before: &Run) -> bool {
    let end = |run: &Run| (run.last_at, run.ended_at, run.value(), run.interval_s);
    end(then) == end(before)
}

/// Puts what was recorded since to the history before; tells the place of a run that it made of it.
fn give_back(kept: &mut BTreeMap<Key, Run>, then: &Run, now: &Run) -> Result<Option<Key>, CannotUndo> {
    let refused = CannotUndo { space_type: then.space_type, at: then.first_at };
    let since = now.samples - then.samples;
    let key = |at: Timestamp| (then.space_type, at);
    let before = kept.range_mut(key(Timestamp::MIN)..=key(then.last_at)).next_back().map(|(_, run)| run);
    match before {
        Some(run) if is_end_of(then, run) => {
            *run = Run { last_at: now.last_at, samples: run.samples.saturating_add(since), ended_at: now.ended_at, ..run.clone() };
        }
        _ if now.last_at > then.last_at => {
            // When the first of them was is known if they came one interval after the other.
            let others =
                SignedDuration::from_secs(i64::from(now.interval_s)).checked_mul(i32::try_from(since - 1).unwrap_or(i32::MAX));
            let first_at = others.and_then(|others| now.last_at.checked_sub(others).ok()).ok_or(refused.clone())?;
            let gap = first_at.duration_since(then.last_at).as_millis();
            if gap <= 0 || (since > 1 && gap > i128::from(now.interval_s) * 1100) {
                return Err(refused);
            }
            if let Some(run) = before
                && run.ended_at.is_some_and(|ended| ended > first_at)
            {
                run.ended_at = None;
            }
            let run = Run { first_at, samples: since, ..now.clone() };
            kept.insert(key(first_at), run);
            return Ok(Some(key(first_at)));
        }
        Some(run) => {
            // Only its end was noticed since.
            let ended = now.ended_at.filter(|_| then.ended_at.is_none() && since == 0).ok_or(refused)?;
            if run.ended_at.is_none_or(|known| known > ended) && run.last_at < ended {
                run.ended_at = Some(ended);
            }
        }
        None if then.ended_at.is_none() && since == 0 => {}
        None => return Err(refused),
    }
    Ok(None)
}

fn require_apart(runs: &BTreeMap<Key, Run>) -> Result<(), CannotUndo> {
    let overlap = runs.values().zip(runs.values().skip(1)).find(|(one, next)| {
        one.space_type == next.space_type
            && (one.last_at >= next.first_at || one.ended_at.is_some_and(|ended| ended > next.first_at))
    });
    overlap.map_or(Ok(()), |(_, next)| Err(CannotUndo { space_type: next.space_type, at: next.first_at }))
}
