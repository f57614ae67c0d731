//! What the history of a tenant will be with what a file gives. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;

use super::given::{GivenHistory, GivenSample, answers, types};
use crate::quota::recording::{Contradiction, Effect, History};
use crate::quota::{Run, SpaceTypeAllocation};

/// Conflicts that are told one by one.
const TOLD: usize = 20;

/// What an import would do to a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    /// The runs as they will be, sorted by type and start.
    pub runs: Vec<Run>,
    /// Answers, or runs of a file of snapshots, that are not recorded yet.
    pub new: u64,
    /// Those that are.
    pub unchanged: u64,
    /// Those that contradict what is recorded.
    pub conflicts: u64,
    /// The first of the contradictions.
    pub told: Vec<Conflict>,
}

/// A contradiction between a file and what is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// When.
    pub at: Timestamp,
    /// About which type, and what.
    pub what: Contradiction,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let say = |value: Option<SpaceTypeAllocation>| match value {
            Some(SpaceTypeAllocation { allocated_gb, total_gb, .. }) => format!("{allocated_gb} of {total_gb} GB"),
            None => "not listed".to_owned(),
        };
        let Contradiction { space_type, recorded, given } = self.what;
        write!(f, "space type {space_type} at {}: recorded {}, given {}", self.at, say(recorded), say(given))
    }
}

impl GivenHistory {
    /// Works out what the history will be. `stored` has the runs around all that is given, sorted by type and start. With `replace`, what is
    /// recorded gives way where the two contradict each other: to samples over each unbroken stretch of them that has a contradiction, to
    /// runs over the whole of each of them.
    #[must_use]
    pub fn revise(&self, stored: &[Run], replace: bool) -> Revision {
        match self {
            Self::Samples(interval_s, samples) => revise_by_samples(samples, *interval_s, stored, replace),
            Self::Runs(runs) => revise_by_runs(runs, stored, replace),
        }
    }
}

fn revise_by_samples(samples: &[GivenSample], interval_s: u32, stored: &[Run], replace: bool) -> Revision {
    let named = types(samples);
    let (mut of_these, others): (Vec<Run>, Vec<Run>) = stored.iter().cloned().partition(|run| named.contains(&run.space_type));
    let mut ends: Vec<(Timestamp, i32)> = of_these.iter().filter_map(|run| Some((run.ended_at?, run.space_type))).collect();
    let mut revision = replay(samples, interval_s, &of_these, &ends);
    if replace && revision.conflicts > 0 {
        for (from, to) in contradicted_stretches(samples, interval_s, &of_these) {
            of_these = of_these.iter().flat_map(|run| without(run, from, to)).collect();
            ends.retain(|(at, _)| *at < from || *at > to);
        }
        revision.runs = replay(samples, interval_s, &of_these, &ends).runs;
    }
    revision.runs.extend(others);
    revision.runs.sort_by_key(|run| (run.space_type, run.first_at));
    revision
}

/// What is stored, as it happened.
enum Stored<'a> {
    /// A run began.
    Run(&'a Run),
    /// A type was no longer listed.
    End(i32),
}

/// Records the samples among the stored runs in the order of time, so that the result is what recording everything in order gives.
fn replay(samples: &[GivenSample], interval_s: u32, stored: &[Run], ends: &[(Timestamp, i32)]) -> Revision {
    let mut in_order: Vec<(Timestamp, Stored<'_>)> = stored.iter().map(|run| (run.first_at, Stored::Run(run))).collect();
    in_order.extend(ends.iter().map(|(at, space_type)| (*at, Stored::End(*space_type))));
    in_order.sort_by_key(|(at, _)| *at);
    let mut ahead = in_order.into_iter().peekable();
    // Stored runs that stand apart stay apart, unless a sample joins them.
    let last: BTreeSet<(i32, Timestamp)> = stored.iter().map(|run| (run.space_type, run.last_at)).collect();
    let append = |history: &mut History, (at, stored): (Timestamp, Stored<'_>)| match stored {
        Stored::Run(run) => {
            let run = Run { ended_at: None, ..run.clone() };
            history.append(run, |run| !last.contains(&(run.space_type, run.last_at)));
        }
        Stored::End(space_type) => history.end(space_type, at),
    };
    let mut history = History::default();
    let mut revision = Revision::default();
    for answer in answers(samples, interval_s) {
        let at = answer.allocation.observed_at();
        while let Some(next) = ahead.next_if(|(of, _)| *of <= at) {
            append(&mut history, next);
        }
        let contradictions = history.contradictions(&answer);
        let effect = history.record_next(&answer);
        match effect {
            Effect::Conflict => revision.conflicts += 1,
            Effect::Unchanged => revision.unchanged += 1,
            Effect::Changed | Effect::Extended => revision.new += 1,
        }
        revision.tell(contradictions.into_iter().map(|what| Conflict { at, what }));
    }
    ahead.for_each(|next| append(&mut history, next));
    revision.runs = history.runs().cloned().collect();
    revision
}

/// The unbroken stretches of samples, from the first to the last of each, in which one contradicts what is stored.
fn contradicted_stretches(samples: &[GivenSample], interval_s: u32, stored: &[Run]) -> Vec<(Timestamp, Timestamp)> {
    let history: History = stored.iter().cloned().collect();
    let mut stretches = Vec::<(Timestamp, Timestamp, bool)>::new();
    for answer in answers(samples, interval_s) {
        let at = answer.allocation.observed_at();
        let contradicts = !history.contradictions(&answer).is_empty();
        match stretches.last_mut() {
            Some((_, to, any)) if at.duration_since(*to) <= Run::tolerance(interval_s) => {
                *to = at;
                *any |= contradicts;
            }
            _ => stretches.push((at, at, contradicts)),
        }
    }
    stretches.into_iter().filter(|(_, _, any)| *any).map(|(from, to, _)| (from, to)).collect()
}

/// What is left of a run when a stretch, ends included, is taken out of it and of what is known of its end.
fn without(run: &Run, from: Timestamp, to: Timestamp) -> Vec<Run> {
    if run.last_at < from {
        let ended_at = run.ended_at.filter(|ended| *ended < from || *ended > to);
        return vec![Run { ended_at, ..run.clone() }];
    }
    if to < run.first_at {
        return vec![run.clone()];
    }
    [run.part_before(from), run.part_after(to)].into_iter().flatten().collect()
}

fn revise_by_runs(given: &[Run], stored: &[Run], replace: bool) -> Revision {
    let mut revision = Revision::default();
    let mut by_type = BTreeMap::<i32, (Vec<Run>, Vec<Run>)>::new();
    for run in stored {
        by_type.entry(run.space_type).or_default().0.push(run.clone());
    }
    for run in given {
        by_type.entry(run.space_type).or_default().1.push(run.clone());
    }
    for (stored, given) in by_type.into_values() {
        revision.revise_type(stored, &given, replace);
    }
    revision
}

impl Revision {
    fn tell(&mut self, conflicts: impl Iterator<Item = Conflict>) {
        let room = TOLD.saturating_sub(self.told.len());
        self.told.extend(conflicts.take(room));
    }

    /// Puts the runs of one type among the stored ones.
    fn revise_type(&mut self, stored: Vec<Run>, given: &[Run], replace: bool) {
        let mut kept: BTreeMap<Timestamp, Run> = stored.into_iter().map(|run| (run.first_at, run)).collect();
        let (mut agreeing, mut noticed) = (BTreeSet::new(), Vec::new());
        for run in given {
            let contradictions = contradictions(&kept, run);
            if contradictions.is_empty() {
                agreeing.insert(run.first_at);
                continue;
            }
            self.conflicts += 1;
            self.tell(contradictions.iter().cloned());
            if replace {
                let gives_way = |other: &&Run| other.value() != run.value() || ends_in(other, run);
                for other in around(&kept, run).filter(gives_way).cloned().collect::<Vec<_>>() {
                    kept.remove(&other.first_at);
                    noticed.extend(other.ended_at.filter(|ended| *ended > run.last_at));
                    kept.extend(without(&other, run.first_at, run.last_at).into_iter().map(|part| (part.first_at, part)));
                }
            }
        }
        let (mut starts, mut ends) = (BTreeSet::new(), BTreeSet::new());
        for run in given.iter().filter(|run| replace || agreeing.contains(&run.first_at)) {
            // What the stored runs do not have of it yet.
            let mut missing = vec![run.clone()];
            for other in around(&kept, run).filter(|other| other.first_at <= run.last_at && run.first_at <= other.last_at) {
                let outside = |part: Run| [part.part_before(other.first_at), part.part_after(other.last_at)];
                missing = missing.into_iter().flat_map(outside).flatten().collect();
            }
            if agreeing.contains(&run.first_at) {
                let count = if missing.is_empty() { &mut self.unchanged } else { &mut self.new };
                *count += 1;
            }
            starts.extend(missing.iter().map(|part| part.first_at));
            ends.extend(missing.iter().map(|part| part.last_at));
            for part in missing {
                insert(&mut kept, part);
            }
        }
        // The ends of runs that gave way were noticed all the same, unless the file has the type then.
        noticed.retain(|ended| !given.iter().any(|run| run.first_at <= *ended && *ended <= run.last_at));
        for ended in noticed {
            if let Some((_, run)) = kept.range_mut(..ended).next_back()
                && run.last_at < ended
            {
                run.ended_at.get_or_insert(ended);
            }
        }
        let mut history = History::default();
        for run in kept.into_values() {
            // Runs that stand apart in the file or in the store have their reason, which neither says.
            let is_given = starts.contains(&run.first_at);
            history.append(run, |last| ends.contains(&last.last_at) != is_given);
        }
        self.runs.extend(history.runs().cloned());
    }
}

/// Adds a run where there is none. The end that was noticed after it is its own then.
fn insert(kept: &mut BTreeMap<Timestamp, Run>, mut run: Run) {
    if let Some((_, before)) = kept.range_mut(..run.first_at).next_back()
        && let Some(ended) = before.ended_at.take_if(|ended| *ended > run.last_at)
    {
        run.ended_at = run.ended_at.or(Some(ended));
    }
    kept.insert(run.first_at, run);
}

/// The runs that a run may meet: the newest one before it and all that start in it.
fn around<'a>(runs: &'a BTreeMap<Timestamp, Run>, run: &Run) -> impl Iterator<Item = &'a Run> + use<'a> {
    let before = runs.range(..run.first_at).next_back();
    before.into_iter().chain(runs.range(run.first_at..=run.last_at)).map(|(_, run)| run)
}

/// Whether a run ended, by what is recorded, while another says that its type was listed.
fn ends_in(other: &Run, run: &Run) -> bool {
    other.ended_at.is_some_and(|ended| run.first_at <= ended && ended <= run.last_at)
}

fn contradictions(kept: &BTreeMap<Timestamp, Run>, run: &Run) -> Vec<Conflict> {
    let of = |other: &Run| {
        let (from, to) = (other.first_at.max(run.first_at), other.last_at.min(run.last_at));
        let differs = (from <= to && other.value() != run.value()).then(|| (from, Some(other.value())));
        let ended = other.ended_at.filter(|_| ends_in(other, run)).map(|ended| (ended, None));
        let conflict = |(at, recorded)| {
            let what = Contradiction { space_type: run.space_type, recorded, given: Some(run.value()) };
            Conflict { at, what }
        };
        [differs, ended].into_iter().flatten().map(conflict).collect::<Vec<_>>()
    };
    around(kept, run).flat_map(of).collect()
}
