//! Usage again, the slow way: ask for the value between any two instants at which it could change.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::quota::usage::{Fill, Measure, UsagePoint};
use crate::quota::{Run, TimeRange};

/// Allocated and total.
pub(in crate::quota) type Sums = (i128, i128);

/// The last instant of a run's value, by the rule alone.
fn tolerated_until(run: &Run) -> i64 {
    let tolerated = run.last_at.as_microsecond() + i64::from(run.interval_s) * 2_500_000;
    run.ended_at.map_or(tolerated, |ended| tolerated.min(ended.as_microsecond()))
}

/// The tenant's sums at an instant.
pub(super) fn value_at(runs: &[Run], micros: i64, now: Timestamp) -> Option<Sums> {
    let mut newest: BTreeMap<i32, &Run> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.first_at.as_microsecond() <= micros) {
        let kept = newest.entry(run.space_type).or_insert(run);
        if kept.first_at < run.first_at {
            *kept = run;
        }
    }
    newest
        .into_values()
        .filter(|run| micros < tolerated_until(run) && micros < now.as_microsecond())
        .map(|run| (i128::from(run.allocated_gb), i128::from(run.total_gb)))
        .reduce(|a, b| (a.0 + b.0, a.1 + b.1))
}

/// The parts of a stretch between any two instants at which anything happens: length in microseconds and value.
pub(in crate::quota) fn parts(runs: &[Run], from: Timestamp, to: Timestamp, now: Timestamp) -> Vec<(i64, Option<Sums>)> {
    let (from, to) = (from.as_microsecond(), to.as_microsecond());
    let mut instants = BTreeSet::from([from, to, now.as_microsecond()]);
    for run in runs {
        instants.extend([run.first_at.as_microsecond(), run.last_at.as_microsecond(), tolerated_until(run)]);
    }
    let instants: Vec<_> = instants.into_iter().filter(|at| (from..=to).contains(at)).collect();
    instants.windows(2).map(|pair| (pair[1] - pair[0], value_at(runs, pair[0], now))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "compared with a tolerance")]
fn measure(parts: &[(i64, f64)]) -> Option<Measure> {
    let values = || parts.iter().map(|(_, value)| *value);
    let time: i64 = parts.iter().map(|(micros, _)| micros).sum();
    Some(Measure {
        average: parts.iter().map(|(micros, value)| *micros as f64 / time as f64 * value).sum(),
        min: values().reduce(f64::min)?,
        max: values().reduce(f64::max)?,
        first: values().next()?,
        last: values().next_back()?,
    })
}

#[expect(clippy::cast_precision_loss, reason = "compared with a tolerance")]
pub(super) fn point(runs: &[Run], bucket: TimeRange, now: Timestamp, fill: Fill) -> UsagePoint {
    let all = parts(runs, bucket.from, bucket.to.min(now), now);
    let passed: i64 = all.iter().map(|(micros, _)| micros).sum();
    let mut known: Vec<_> = all.iter().filter_map(|(micros, sums)| Some((*micros, (*sums)?))).collect();
    let covered: i64 = known.iter().map(|(micros, _)| micros).sum();
    if known.is_empty() && fill == Fill::Last && bucket.from < now {
        let earlier = parts(runs, Timestamp::MIN, bucket.from, now);
        known.extend(earlier.iter().rev().find_map(|(micros, sums)| Some((*micros, (*sums)?))));
    }
    let of = |value: &dyn Fn(Sums) -> Option<f64>| {
        measure(&known.iter().filter_map(|(micros, sums)| Some((*micros, value(*sums)?))).collect::<Vec<_>>())
    };
    UsagePoint {
        start: bucket.from,
        end: bucket.to,
        complete: bucket.to <= now,
        coverage: if passed == 0 { 0.0 } else { covered as f64 / passed as f64 },
        allocated: of(&|sums| Some(sums.0 as f64)),
        total: of(&|sums| Some(sums.1 as f64)),
        utilization: of(&|sums| (sums.1 != 0).then(|| sums.0 as f64 / sums.1 as f64)),
    }
}
