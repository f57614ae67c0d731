//! The changes of a tenant's newest answer, out of its runs.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Run, SpaceAllocation, SpaceTypeAllocation, TimeRange};

/// An answer that differs from the one before it: a value is another one, or a type has come or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The answer before; `None` for the first one of the tenant. Its instant is the newest one before the change that is known.
    pub before: Option<SpaceAllocation>,
    /// The answer that differs.
    pub after: SpaceAllocation,
}

/// The changes that were observed within a range, oldest first. `runs` are those of one tenant that start in the range, and of each type
/// the newest one before it.
#[must_use]
pub fn changes(runs: &[Run], range: TimeRange) -> Vec<Change> {
    let of_run = |run: &Run| [Some((run.first_at, Some(run.value()))), run.ended_at.map(|ended| (ended, None))];
    let mut events = BTreeMap::<Timestamp, Vec<(i32, Option<SpaceTypeAllocation>)>>::new();
    for run in runs {
        for (at, value) in of_run(run).into_iter().flatten() {
            events.entry(at).or_default().push((run.space_type, value));
        }
    }
    let known: BTreeSet<_> = runs.iter().flat_map(|run| [run.first_at, run.last_at]).chain(events.keys().copied()).collect();

    let mut listed = BTreeMap::<i32, SpaceTypeAllocation>::new();
    let mut found = Vec::new();
    let mut is_first = true;
    for (at, mut changed) in events {
        let before = listed.clone();
        // A type that ends and begins at one instant has begun.
        changed.sort_by_key(|(_, value)| value.is_some());
        for (space_type, value) in changed {
            match value {
                Some(value) => drop(listed.insert(space_type, value)),
                None => drop(listed.remove(&space_type)),
            }
        }
        if at >= range.from && at < range.to && (is_first || before != listed) {
            let answer = |at: Timestamp, listed: &BTreeMap<_, _>| SpaceAllocation::new(at, listed.values().copied().collect());
            let before = known.range(..at).next_back().map(|newest| answer(*newest, &before));
            found.push(Change { before, after: answer(at, &listed) });
        }
        is_first = false;
    }
    found
}

#[cfg(test)]
mod tests;
