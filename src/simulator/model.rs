//! How a simulated tenant's storage develops: a pure function of a seed and an instant.
//!
//! Allocations grow, follow the week and the day, and are cleaned up from time to time; totals are resized every few weeks. Values
//! change a handful of times a day and stand still in between, as real ones do. Since the past is computed by the same function,
//! history that is made up for it continues without a seam in what the simulator answers.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::noise::Noise;
use super::space::{DAY_S, Space, weekday};
use crate::quota::{Run, Sample, SpaceAllocation, SpaceTypeAllocation, TimeRange};

/// The hours between which values change once each, on working days: a clean-up at night, then work.
const CHANGE_HOURS: [(i64, i64); 5] = [(2, 3), (7, 10), (10, 13), (13, 16), (16, 20)];
/// Which of them there are on Saturdays and Sundays.
const WEEKEND_CHANGES: [usize; 2] = [0, 2];

/// The storage of one tenant over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What all chance is drawn from.
    pub seed: u64,
    /// The space types.
    pub spaces: Vec<Space>,
    /// Whether the upstream is down for some hours every few days.
    pub has_gaps: bool,
}

impl Model {
    /// What the upstream answers at an instant; `None` while it is down.
    #[must_use]
    pub fn values(&self, at: Timestamp) -> Option<Vec<SpaceTypeAllocation>> {
        (!self.is_down(at)).then(|| self.values_since(self.change_before(at.as_second())))
    }

    /// The samples that a collector takes over a range: at its start and every `interval_s` seconds after it.
    pub fn samples(&self, range: TimeRange, interval_s: u32) -> impl Iterator<Item = Sample> {
        self.steps(range, interval_s)
            .map(move |(at, by_type)| Sample { allocation: SpaceAllocation::new(at, by_type.to_vec()), interval_s })
    }

    /// The runs that recording [`Self::samples`] gives, sorted by space type and start; much faster than recording them.
    #[must_use]
    pub fn runs(&self, range: TimeRange, interval_s: u32) -> Vec<Run> {
        let mut ended: Vec<Run> = Vec::new();
        let mut current: Vec<Run> = Vec::new();
        for (at, by_type) in self.steps(range, interval_s) {
            for mut unlisted in current.extract_if(.., |run| by_type.iter().all(|value| value.space_type != run.space_type)) {
                unlisted.ended_at = Some(at);
                ended.push(unlisted);
            }
            for value in by_type.iter().copied() {
                let open = current.iter_mut().find(|run| run.space_type == value.space_type);
                match open {
                    Some(run) if run.value() == value && at.duration_since(run.last_at) <= Run::tolerance(interval_s) => {
                        run.last_at = at;
                        run.samples += 1;
                    }
                    Some(run) => ended.push(std::mem::replace(run, new_run(value, at, interval_s))),
                    None => current.push(new_run(value, at, interval_s)),
                }
            }
        }
        ended.append(&mut current);
        ended.sort_unstable_by_key(|run| (run.space_type, run.first_at));
        ended
    }

    fn steps(&self, range: TimeRange, interval_s: u32) -> impl Iterator<Item = (Timestamp, Arc<[SpaceTypeAllocation]>)> {
        let interval = SignedDuration::from_secs(i64::from(interval_s.max(1)));
        let mut next = range.from;
        let mut known: Option<(i64, Arc<[SpaceTypeAllocation]>)> = None;
        std::iter::from_fn(move || {
            while next < range.to {
                let at = next;
                next = next.saturating_add(interval).unwrap_or(range.to);
                if self.is_down(at) {
                    continue;
                }
                let change = self.change_before(at.as_second());
                let (_, values) = match known.take().filter(|(known_change, _)| *known_change == change) {
                    Some(known) => known,
                    None => (change, self.values_since(change).into()),
                };
                known = Some((change, Arc::clone(&values)));
                return Some((at, values));
            }
            None
        })
    }

    /// The last second, at or before the given one, at which values changed.
    fn change_before(&self, second: i64) -> i64 {
        let mut day = second.div_euclid(DAY_S);
        loop {
            if let Some(change) = self.changes_of(day).rev().find(|change| *change <= second) {
                return change;
            }
            day -= 1;
        }
    }

    fn changes_of(&self, day: i64) -> impl DoubleEndedIterator<Item = i64> {
        let noise = self.noise();
        let is_weekend = weekday(day) >= 5;
        CHANGE_HOURS.iter().enumerate().filter(move |(slot, _)| !is_weekend || WEEKEND_CHANGES.contains(slot)).map(
            move |(slot, (from_hour, to_hour))| {
                let seconds = (to_hour - from_hour) * 3600;
                day * DAY_S + from_hour * 3600 + noise.below(seconds, [1, day, index(slot)])
            },
        )
    }

    fn values_since(&self, change: i64) -> Vec<SpaceTypeAllocation> {
        let noise = self.noise();
        self.spaces.iter().filter(|space| space.is_there(change, noise)).map(|space| space.value(change, noise)).collect()
    }

    fn is_down(&self, at: Timestamp) -> bool {
        if !self.has_gaps {
            return false;
        }
        let second = at.as_second();
        let today = second.div_euclid(DAY_S);
        [today - 1, today].into_iter().any(|day| {
            let noise = self.noise();
            let start = day * DAY_S + noise.below(20 * 3600, [2, day, 0]);
            let length = 2 * 3600 + noise.below(8 * 3600, [2, day, 1]);
            noise.below(5, [2, day, 2]) == 0 && (start..start + length).contains(&second)
        })
    }

    fn noise(&self) -> Noise {
        Noise::new(self.seed)
    }
}

fn new_run(value: SpaceTypeAllocation, at: Timestamp, interval_s: u32) -> Run {
    Run {
        space_type: value.space_type,
        first_at: at,
        last_at: at,
        interval_s,
        samples: 1,
        allocated_gb: value.allocated_gb,
        total_gb: value.total_gb,
        ended_at: None,
    }
}

fn index(slot: usize) -> i64 {
    i64::try_from(slot).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::quota::recording::History;
    use crate::simulator::demo::demo_tenants;

    fn days(from: i64, count: i64) -> TimeRange {
        let at = |day: i64| Timestamp::from_second(1_780_000_000 + day * DAY_S).unwrap();
        TimeRange { from: at(from), to: at(from + count) }
    }

    fn models() -> impl Iterator<Item = (String, Model)> {
        demo_tenants(25).into_iter().map(|demo| (demo.tenant.id.to_string(), demo.model))
    }

    #[test]
    fn runs_are_what_recording_the_samples_gives() {
        for (name, model) in models() {
            let mut history = History::default();
            for sample in model.samples(days(0, 100), 3600) {
                history.record(&sample);
            }
            let recorded: Vec<Run> = history.runs().cloned().collect();
            assert_eq!(model.runs(days(0, 100), 3600), recorded, "{name}");
        }
    }

    #[test]
    fn history_continues_in_what_is_answered_live() {
        for (_, model) in models() {
            for sample in model.samples(days(0, 7), 300) {
                let live = model.values(sample.allocation.observed_at()).unwrap();
                assert_eq!(live, sample.allocation.by_type());
            }
        }
    }

    #[test]
    fn values_change_a_handful_of_times_a_day() {
        for (name, model) in models() {
            let runs = model.runs(days(0, 28), 300);
            let starts: BTreeSet<Timestamp> = runs.iter().map(|run| run.first_at).collect();
            assert!((28..28 * 8).contains(&starts.len()), "{name}: {} changes", starts.len());
        }
    }

    #[test]
    fn sizes_are_plausible_over_years() {
        for (name, model) in models() {
            for value in model.samples(days(-700, 2000), 40_000).flat_map(|s| s.allocation.by_type().to_vec()) {
                assert!(value.allocated_gb > 0 && value.allocated_gb <= value.total_gb, "{name}: {value:?}");
            }
        }
    }

    #[test]
    fn the_demo_has_growth_resizes_a_full_tenant_gaps_and_types_that_come_and_go() {
        let year: Vec<(String, Model, Vec<Run>)> =
            models().map(|(name, model)| (name, model.clone(), model.runs(days(0, 365), 3600))).collect();
        let full = |runs: &[Run]| runs.iter().all(|run| run.allocated_gb * 10 >= run.total_gb * 9);
        let ended = |runs: &[Run]| runs.iter().any(|run| run.ended_at.is_some());
        let resized = |runs: &[Run]| runs.iter().map(|run| (run.space_type, run.total_gb)).collect::<BTreeSet<_>>().len() > 3;
        let samples = |runs: &[Run]| runs.iter().filter(|r| r.space_type == 0).map(|r| r.samples).sum::<i64>();
        assert!(year.iter().any(|(_, _, runs)| full(runs)));
        assert!(year.iter().any(|(_, _, runs)| ended(runs)));
        assert!(year.iter().any(|(_, _, runs)| resized(runs)));
        assert!(year.iter().any(|(_, model, runs)| model.has_gaps && (7000..8600).contains(&samples(runs))));
        assert!(year.iter().any(|(_, model, _)| model.spaces.len() == 3));
        let (name, _, acme) = &year[0];
        assert_eq!(name, "acme");
        assert!(acme.iter().rfind(|r| r.space_type == 0).unwrap().allocated_gb > acme[0].allocated_gb);
    }

    #[test]
    fn different_seeds_give_different_tenants() {
        let all: Vec<_> = models().map(|(_, model)| model.runs(days(0, 3), 3600)).collect();
        assert!(all.iter().enumerate().all(|(i, runs)| !all[..i].contains(runs)));
    }
}
