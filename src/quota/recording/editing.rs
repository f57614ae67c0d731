//! Whole runs put into a history, and parts of runs.

use jiff::{SignedDuration, Timestamp};

use super::History;
use crate::quota::{Run, Sample, SpaceTypeAllocation};

/// What a sample says of a type against what is recorded for its instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction {
    pub space_type: i32,
    /// What is recorded; `None` when the type was not listed.
    pub recorded: Option<SpaceTypeAllocation>,
    /// What the sample says; `None` when it does not list the type.
    pub given: Option<SpaceTypeAllocation>,
}

impl History {
    /// Where a sample contradicts what is recorded for its instant.
    #[must_use]
    pub fn contradictions(&self, sample: &Sample) -> Vec<Contradiction> {
        let at = sample.allocation.observed_at();
        let listed = sample.allocation.by_type();
        let of_type = |(space_type, runs): (&i32, &std::collections::BTreeMap<Timestamp, Run>)| {
            let (_, before) = runs.range(..=at).next_back()?;
            let given = listed.iter().find(|value| value.space_type == *space_type).copied();
            let recorded = if at <= before.last_at {
                Some(before.value())
            } else if before.ended_at == Some(at) {
                None
            } else {
                return None;
            };
            (recorded != given).then_some(Contradiction { space_type: *space_type, recorded, given })
        };
        self.by_type.iter().filter_map(of_type).collect()
    }

    /// Notes that a type was not listed at an instant after its last run.
    pub fn end(&mut self, space_type: i32, at: Timestamp) {
        let last = self.by_type.get_mut(&space_type).and_then(std::collections::BTreeMap::last_entry);
        if let Some(mut last) = last
            && last.get().last_at < at
        {
            last.get_mut().ended_at.get_or_insert(at);
        }
    }

    /// Adds a run that starts after the last one of its type ends: as a part of that one when recording sample by sample would have made
    /// them one, if it may be joined with it, and else as a run of its own.
    pub fn append(&mut self, mut run: Run, may_join: impl FnOnce(&Run) -> bool) {
        let runs = self.by_type.entry(run.space_type).or_default();
        if let Some(mut last) = runs.last_entry() {
            if may_join(last.get()) && join(last.get_mut(), &run) {
                return;
            }
            // The end that was ahead of the last run is now ahead of this one.
            let last = last.get_mut();
            if last.ended_at.is_some_and(|ended| ended > run.last_at) {
                run.ended_at = run.ended_at.or(last.ended_at);
                last.ended_at = None;
            }
        }
        runs.insert(run.first_at, run);
    }
}

/// Makes the next run of a type a part of the one before it, if they are of one value and interval and near enough. Tells whether it did.
pub fn join(before: &mut Run, next: &Run) -> bool {
    let near = next.first_at.duration_since(before.last_at) <= Run::tolerance(before.interval_s);
    let same = before.value() == next.value() && before.interval_s == next.interval_s;
    if !near || !same || before.ended_at.is_some_and(|ended| ended <= next.first_at) {
        return false;
    }
    let ended_at = next.ended_at.or(before.ended_at.filter(|ended| *ended > next.last_at));
    *before = Run { last_at: next.last_at, samples: before.samples.saturating_add(next.samples), ended_at, ..before.clone() };
    true
}

impl Run {
    /// The part of the run before an instant: its samples up to then, taken to be evenly spaced. `None` when there are none.
    #[must_use]
    pub fn part_before(&self, at: Timestamp) -> Option<Self> {
        if self.last_at < at {
            return Some(self.clone());
        }
        let kept = self.samples_before(at);
        (kept > 0).then(|| Self { last_at: self.sample_at(kept - 1), samples: kept, ended_at: None, ..self.clone() })
    }

    /// The part of the run after an instant, which keeps its end. `None` when there is none.
    #[must_use]
    pub fn part_after(&self, at: Timestamp) -> Option<Self> {
        if at < self.first_at {
            return Some(self.clone());
        }
        if at >= self.last_at {
            return None;
        }
        let next = at.saturating_add(SignedDuration::from_millis(1)).unwrap_or(Timestamp::MAX);
        let gone = self.samples_before(next);
        Some(Self { first_at: self.sample_at(gone), samples: self.samples - gone, ..self.clone() })
    }

    /// When a sample was, if they are evenly spaced; exact for the first and the last.
    fn sample_at(&self, index: i64) -> Timestamp {
        let spans = self.samples - 1;
        if index >= spans {
            return self.last_at;
        }
        let (first, last) = (i128::from(self.first_at.as_millisecond()), i128::from(self.last_at.as_millisecond()));
        let at = first + (last - first) * i128::from(index) / i128::from(spans);
        i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or(self.last_at)
    }

    /// How many samples were before an instant.
    fn samples_before(&self, at: Timestamp) -> i64 {
        let (mut low, mut high) = (0, self.samples);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.sample_at(middle) < at {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::quota::SpaceAllocation;

    fn at(seconds: i64) -> Timestamp {
        "2026-03-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    fn sample(seconds: i64, values: &[(i32, i64)]) -> Sample {
        let value = |&(space_type, allocated_gb): &(i32, i64)| SpaceTypeAllocation { space_type, allocated_gb, total_gb: 9 };
        Sample { allocation: SpaceAllocation::new(at(seconds), values.iter().map(value).collect()), interval_s: 60 }
    }

    fn history(samples: &[Sample]) -> History {
        let mut history = History::default();
        for sample in samples {
            history.record(sample);
        }
        history
    }

    fn samples() -> impl Strategy<Value = Vec<Sample>> {
        prop::collection::vec((1..4_i64, prop::collection::vec(prop::option::of(0..2_i64), 2)), 1..40).prop_map(|steps| {
            let mut seconds = 0;
            let step = |(pace, values): (i64, Vec<Option<i64>>)| {
                seconds += 60 * pace;
                let listed: Vec<_> = (0..).zip(values).filter_map(|(space_type, value)| Some((space_type, value?))).collect();
                sample(seconds, &listed)
            };
            steps.into_iter().map(step).collect()
        })
    }

    proptest! {
        /// The runs of a history, cut where there is a sample and put together again, are the history.
        #[test]
        fn what_is_cut_at_a_sample_and_appended_again_is_as_before(samples in samples(), place in 0..40_usize) {
            let whole = history(&samples);
            let cut = samples[place.min(samples.len() - 1)].allocation.observed_at();
            let mut again = History::default();
            for run in whole.runs() {
                // Only where samples are evenly spaced is it known when they were.
                let even = run.last_at.duration_since(run.first_at).as_secs() == 60 * (run.samples - 1);
                let parts = [run.part_before(cut), run.part_after(cut - SignedDuration::from_millis(1))];
                if run.first_at < cut && cut <= run.last_at && even {
                    prop_assert_eq!(parts.iter().flatten().map(|part| part.samples).sum::<i64>(), run.samples);
                    prop_assert_eq!(parts[1].as_ref().unwrap().first_at, cut);
                    prop_assert!(parts[0].as_ref().is_none_or(|part| part.last_at < cut));
                    for part in parts.into_iter().flatten() {
                        again.append(part, |_| true);
                    }
                } else {
                    again.append(run.clone(), |_| true);
                }
            }
            prop_assert_eq!(again, whole);
        }

        #[test]
        fn recording_conflicts_exactly_where_there_is_a_contradiction(samples in samples(), other in samples()) {
            let recorded = history(&samples);
            for sample in &other {
                let conflicts = recorded.clone().record(sample) == super::super::Effect::Conflict;
                prop_assert_eq!(!recorded.contradictions(sample).is_empty(), conflicts);
            }
        }
    }

    #[test]
    fn a_contradiction_says_both_sides() {
        let recorded = history(&[sample(60, &[(0, 1), (1, 5)]), sample(120, &[(0, 1)])]);
        let value = |space_type, allocated_gb| Some(SpaceTypeAllocation { space_type, allocated_gb, total_gb: 9 });
        assert_eq!(
            recorded.contradictions(&sample(60, &[(0, 2)])),
            [
                Contradiction { space_type: 0, recorded: value(0, 1), given: value(0, 2) },
                Contradiction { space_type: 1, recorded: value(1, 5), given: None },
            ]
        );
        assert_eq!(
            recorded.contradictions(&sample(120, &[(0, 1), (1, 5)])),
            [Contradiction { space_type: 1, recorded: None, given: value(1, 5) }]
        );
        assert_eq!(recorded.contradictions(&sample(180, &[(0, 3), (1, 5)])), []);
    }

    #[test]
    fn a_part_of_a_single_sample_is_all_or_nothing() {
        let history = history(&[sample(60, &[(0, 1)])]);
        let run = history.runs().next().unwrap();
        assert_eq!((run.part_before(at(60)), run.part_before(at(61))), (None, Some(run.clone())));
        assert_eq!((run.part_after(at(60)), run.part_after(at(59))), (None, Some(run.clone())));
    }
}
