//! How a sample becomes part of the history: which runs it extends, starts, joins or ends.
//!
//! Samples may come late and more than once. What is recorded is never shortened, never overlapped and never contradicted:
//! a sample that falls inside a run with another value is a conflict and changes nothing. Recording the samples of one tenant in
//! the order of their instants gives the canonical history; any other order gives the same one unless a late sample conflicts, with
//! two exceptions of what runs cannot tell: `samples` leaves out a late sample inside a run, which may have been recorded before;
//! and that an answer did not list a type that has no run before it is known only from where runs of other types begin and end.

mod editing;

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Run, Sample, SpaceTypeAllocation};

/// The runs of one space type on either side of an instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// The newest run that starts at or before the instant.
    pub before: Option<Run>,
    /// The oldest run that starts after the instant.
    pub after: Option<Run>,
}

/// One change of the stored runs. Runs are addressed by space type and `first_at`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// A run that is new.
    Insert(Run),
    /// A run that keeps its start and changes its end, its count or its `ended_at`.
    Update(Run),
    /// A run that became part of another.
    Delete {
        space_type: i32,
        /// Its start.
        first_at: Timestamp,
    },
}

pub use editing::{Contradiction, join};

/// What a sample did to the history, the most telling first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// It contradicts what is recorded for its instant; that part of it changed nothing.
    Conflict,
    /// It started or ended a run: a value, an interval or the list of types changed, or there was a gap.
    Changed,
    /// It extended runs of the same value.
    Extended,
    /// It was known already.
    Unchanged,
}

/// The edits that record one sample, and what they amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingPlan {
    /// To be applied in this order.
    pub edits: Vec<Edit>,
    /// The most telling effect over all space types.
    pub effect: Effect,
}

/// Plans the recording of a sample. `neighbours` holds the runs around the sample's instant of every type that the tenant ever had.
#[must_use]
pub fn plan(sample: &Sample, neighbours: &BTreeMap<i32, Neighbours>) -> RecordingPlan {
    plan_before(sample, neighbours, next_sampled_at(sample.allocation.observed_at(), neighbours))
}

/// The same when the next sample after this one is at `sampled_at`; `None` when none is known.
fn plan_before(sample: &Sample, neighbours: &BTreeMap<i32, Neighbours>, sampled_at: Option<Timestamp>) -> RecordingPlan {
    let at = sample.allocation.observed_at();
    let none = Neighbours::default();
    let mut plan = RecordingPlan { edits: Vec::new(), effect: Effect::Unchanged };
    for value in sample.allocation.by_type() {
        let around = neighbours.get(&value.space_type).unwrap_or(&none);
        let effect = plan_listed(at, sample.interval_s, *value, around, sampled_at, &mut plan.edits);
        plan.effect = plan.effect.min(effect);
    }
    for (space_type, around) in neighbours {
        if sample.allocation.by_type().iter().all(|v| v.space_type != *space_type) {
            let effect = plan_unlisted(at, around, &mut plan.edits);
            plan.effect = plan.effect.min(effect);
        }
    }
    plan
}

/// The next instant after this one at which there is known to be a sample.
fn next_sampled_at(at: Timestamp, neighbours: &BTreeMap<i32, Neighbours>) -> Option<Timestamp> {
    let of_type = |around: &Neighbours| {
        let before = around.before.as_ref().map(|run| (run.last_at, run.ended_at));
        [before.map(|(last_at, _)| last_at), before.and_then(|(_, ended)| ended), around.after.as_ref().map(|run| run.first_at)]
    };
    neighbours.values().flat_map(of_type).flatten().filter(|sampled| *sampled > at).min()
}

fn plan_listed(
    at: Timestamp,
    interval_s: u32,
    value: SpaceTypeAllocation,
    around: &Neighbours,
    sampled_at: Option<Timestamp>,
    edits: &mut Vec<Edit>,
) -> Effect {
    let same = |run: &&Run| run.value() == value && run.interval_s == interval_s;
    let near = |from: Timestamp, to: Timestamp| to.duration_since(from) <= Run::tolerance(interval_s);

    if let Some(before) = &around.before {
        if at <= before.last_at {
            return if before.value() == value { Effect::Unchanged } else { Effect::Conflict };
        }
        if before.ended_at == Some(at) {
            return Effect::Conflict;
        }
    }
    // A later sample that did not list the type: one that ended the run before, or one of which only other types tell.
    let ended_at = around.before.as_ref().and_then(|before| before.ended_at).filter(|ended| *ended > at);
    let end_ahead = ended_at
        .into_iter()
        .chain(sampled_at)
        .min()
        .filter(|sampled| around.after.as_ref().is_none_or(|after| *sampled < after.first_at));
    let joins_before =
        around.before.as_ref().filter(same).filter(|b| b.ended_at.is_none_or(|ended| ended > at) && near(b.last_at, at));
    let joins_after = around.after.as_ref().filter(same).filter(|a| end_ahead.is_none() && near(at, a.first_at));

    match (joins_before, joins_after) {
        (Some(before), Some(after)) => {
            edits.push(Edit::Delete { space_type: after.space_type, first_at: after.first_at });
            edits.push(Edit::Update(Run {
                last_at: after.last_at,
                samples: before.samples.saturating_add(1).saturating_add(after.samples),
                ended_at: after.ended_at,
                ..before.clone()
            }));
            Effect::Extended
        }
        (Some(before), None) => {
            edits.push(Edit::Update(Run {
                last_at: at,
                samples: before.samples.saturating_add(1),
                ended_at: end_ahead,
                ..before.clone()
            }));
            Effect::Extended
        }
        (None, Some(after)) => {
            edits.push(Edit::Delete { space_type: after.space_type, first_at: after.first_at });
            edits.push(Edit::Insert(Run { first_at: at, samples: after.samples.saturating_add(1), ..after.clone() }));
            Effect::Extended
        }
        (None, None) => {
            if let Some(before) = around.before.as_ref().filter(|_| ended_at.is_some()) {
                edits.push(Edit::Update(Run { ended_at: None, ..before.clone() }));
            }
            edits.push(Edit::Insert(Run {
                space_type: value.space_type,
                first_at: at,
                last_at: at,
                interval_s,
                samples: 1,
                allocated_gb: value.allocated_gb,
                total_gb: value.total_gb,
                ended_at: end_ahead,
            }));
            Effect::Changed
        }
    }
}

fn plan_unlisted(at: Timestamp, around: &Neighbours, edits: &mut Vec<Edit>) -> Effect {
    match &around.before {
        None => Effect::Unchanged,
        Some(before) if at <= before.last_at => Effect::Conflict,
        Some(before) if before.ended_at.is_some_and(|ended| ended <= at) => Effect::Unchanged,
        Some(before) => {
            edits.push(Edit::Update(Run { ended_at: Some(at), ..before.clone() }));
            Effect::Changed
        }
    }
}

/// The history of one tenant in memory, recorded by the same rule as in the stores. For whole histories that are made at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    by_type: BTreeMap<i32, BTreeMap<Timestamp, Run>>,
}

impl History {
    pub fn record(&mut self, sample: &Sample) -> Effect {
        let neighbours = self.neighbours(sample.allocation.observed_at());
        self.apply(plan(sample, &neighbours))
    }

    /// Records a sample when nothing later has been recorded yet. Runs that reach beyond it may be there: they have all of their samples
    /// from the start.
    pub fn record_next(&mut self, sample: &Sample) -> Effect {
        let neighbours = self.neighbours(sample.allocation.observed_at());
        self.apply(plan_before(sample, &neighbours, None))
    }

    /// The neighbours of every type.
    fn neighbours(&self, at: Timestamp) -> BTreeMap<i32, Neighbours> {
        let around = |runs: &BTreeMap<Timestamp, Run>| Neighbours {
            before: runs.range(..=at).next_back().map(|(_, run)| run.clone()),
            after: runs.range(at..).find(|(first_at, _)| **first_at > at).map(|(_, run)| run.clone()),
        };
        self.by_type.iter().map(|(space_type, runs)| (*space_type, around(runs))).collect()
    }

    fn apply(&mut self, plan: RecordingPlan) -> Effect {
        for edit in plan.edits {
            match edit {
                Edit::Insert(run) | Edit::Update(run) => {
                    self.by_type.entry(run.space_type).or_default().insert(run.first_at, run);
                }
                Edit::Delete { space_type, first_at } => {
                    if let Some(runs) = self.by_type.get_mut(&space_type) {
                        runs.remove(&first_at);
                    }
                }
            }
        }
        plan.effect
    }

    /// All runs, by space type and then by start.
    pub fn runs(&self) -> impl Iterator<Item = &Run> + Clone {
        self.by_type.values().flat_map(BTreeMap::values)
    }
}

/// The history that consists of these runs, which must not overlap.
impl FromIterator<Run> for History {
    fn from_iter<I: IntoIterator<Item = Run>>(runs: I) -> Self {
        let mut history = Self::default();
        for run in runs {
            history.by_type.entry(run.space_type).or_default().insert(run.first_at, run);
        }
        history
    }
}

#[cfg(test)]
mod tests;
