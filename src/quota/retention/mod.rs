//! Old history made smaller: thinned to a few runs for each hour or day, or forgotten.
//!
//! *Thinning* leaves a tenant's time-weighted averages of every bucket and its coverage as they are, those of utilization included. Runs are put together
//! where they follow each other without a gap inside one bucket of UTC and agree in total and interval, while no other type of the tenant begins, ends or is resized. Their mean of allocated is seldom a whole number
//! of GB, so two runs take their place: one of the mean rounded down and one of the mean rounded up, for the shares of the time that give the mean
//! exactly. Runs that reach over a bucket's end stay, and so do those before a gap or the end of a type, whose value is carried from then on, and
//! the newest of a type, whose end is open. Thinned again, nothing changes: what would not become fewer runs stays as it is. Least and greatest values inside of the
//! bucket are lost, and so is the time of day of the changes.
//!
//! *Forgetting* leaves, of what begins before an instant, the newest run of each type: what is known or carried at that instant.

use jiff::{SignedDuration, Timestamp};

use super::Run;
use super::fleet::{DAY_MILLIS, millis};

/// To what old history is thinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// Hours of UTC.
    Hour,
    /// Days of UTC.
    Day,
}

impl Grain {
    fn millis(self) -> i64 {
        match self {
            Self::Hour => DAY_MILLIS / 24,
            Self::Day => DAY_MILLIS,
        }
    }
}

/// The start of the UTC day of an instant.
#[must_use]
pub fn day_start(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(millis(at).div_euclid(DAY_MILLIS) * DAY_MILLIS).unwrap_or(Timestamp::MIN)
}

/// The runs as they are after thinning what lies in the buckets from one instant to another, both starts of days. `runs` are consecutive, sorted by
/// space type and then by start.
#[must_use]
pub fn thin(runs: &[Run], grain: Grain, from: Timestamp, to: Timestamp) -> Vec<Run> {
    let breaks = breaks(runs);
    let mut thinned = Vec::with_capacity(runs.len());
    let mut ahead = runs;
    while let [first, rest @ ..] = ahead {
        let group = group_size(ahead, &breaks, grain, (from, to));
        match condense(&ahead[..group], ahead.get(group)) {
            Some(fewer) => {
                thinned.extend(fewer);
                ahead = &ahead[group..];
            }
            None if group > 1 => {
                thinned.extend_from_slice(&ahead[..group]);
                ahead = &ahead[group..];
            }
            None => {
                thinned.push(first.clone());
                ahead = rest;
            }
        }
    }
    thinned
}

/// When the total of any type changes, or whether it is known, in order: allocated space is not moved over these, so that its ratio to the total of
/// all types stays.
fn breaks(runs: &[Run]) -> Vec<Timestamp> {
    let mut breaks = Vec::new();
    for (place, run) in runs.iter().enumerate() {
        let next = runs.get(place + 1).filter(|next| next.space_type == run.space_type);
        let end = run.holds_until(next.map(|next| next.first_at));
        let goes_on = next.is_some_and(|next| next.first_at == end && next.total_gb == run.total_gb);
        if place == 0 || runs[place - 1].space_type != run.space_type {
            breaks.push(run.first_at);
        }
        if !goes_on {
            breaks.push(end);
            breaks.extend(next.map(|next| next.first_at));
        }
    }
    breaks.sort_unstable();
    breaks
}

/// How many of the runs, from the first on, can be put together; 0 when the first cannot.
fn group_size(runs: &[Run], breaks: &[Timestamp], grain: Grain, (from, to): (Timestamp, Timestamp)) -> usize {
    let first = &runs[0];
    let next_break = breaks.get(breaks.partition_point(|at| *at <= first.first_at));
    if first.first_at < from || first.first_at >= to {
        return 0;
    }
    let bucket = |at: Timestamp| millis(at).div_euclid(grain.millis());
    let belongs = |pair: &[Run]| {
        let (run, next) = (&pair[0], &pair[1]);
        let is_alike = run.total_gb == first.total_gb && run.interval_s == first.interval_s;
        // The next run of the type is the end of this one, inside the bucket or just at its end.
        let end = next.first_at;
        let last_moment = end.saturating_sub(SignedDuration::from_millis(1)).unwrap_or(end);
        next.space_type == run.space_type
            && is_alike
            && run.ended_at.is_none()
            && run.holds_until(Some(end)) == end
            && bucket(last_moment) == bucket(first.first_at)
            && next_break.is_none_or(|at| end <= *at)
    };
    runs.windows(2).take_while(|pair| belongs(pair)).count()
}

/// A group of runs as fewer runs, if that can be.
fn condense(group: &[Run], next: Option<&Run>) -> Option<Vec<Run>> {
    let (first, last, next) = (group.first()?, group.last()?, next?);
    let end = last.holds_until(Some(next.first_at));
    let ends = group.iter().skip(1).map(|run| run.first_at).chain([end]);
    let lasting = |(run, end): (&Run, Timestamp)| i128::from(millis(end) - millis(run.first_at));
    let weights = group.iter().zip(ends).map(lasting).collect::<Vec<_>>();
    let whole: i128 = weights.iter().sum();
    let sum: i128 = group.iter().zip(&weights).map(|(run, weight)| i128::from(run.allocated_gb) * weight).sum();
    let lower = i64::try_from(sum.div_euclid(whole)).ok()?;
    let of_upper = i64::try_from(sum.rem_euclid(whole)).ok()?;
    let samples: i64 = group.iter().map(|run| run.samples).sum();
    // In the direction in which the values went.
    let rises = last.allocated_gb >= first.allocated_gb;
    let whole = i64::try_from(whole).ok()?;
    let (allocated, split) = match (of_upper, rises) {
        (0, _) => (vec![lower], None),
        (of_upper, true) => (vec![lower, lower + 1], Some(whole - of_upper)),
        (of_upper, false) => (vec![lower + 1, lower], Some(of_upper)),
    };
    if allocated.len() >= group.len() {
        return None;
    }
    let split = split.map(|ms| first.first_at.saturating_add(SignedDuration::from_millis(ms)).unwrap_or(end));
    let second_at = split.unwrap_or(first.first_at);
    let closing = Run {
        first_at: second_at,
        last_at: last.last_at.max(second_at),
        samples,
        allocated_gb: *allocated.last()?,
        ..last.clone()
    };
    let Some(split) = split else { return Some(vec![closing]) };
    let interval = SignedDuration::from_secs(i64::from(first.interval_s));
    let share = i128::from(samples) * i128::from(millis(split) - millis(first.first_at)) / i128::from(whole);
    let share = i64::try_from(share).unwrap_or(samples).clamp(1, samples - 1);
    let opening = Run {
        last_at: split.saturating_sub(interval).unwrap_or(split).max(first.first_at),
        samples: share,
        allocated_gb: allocated[0],
        ..first.clone()
    };
    Some(vec![opening, Run { samples: samples - share, ..closing }])
}

/// The runs as they are after forgetting what is before an instant. `runs` are the oldest ones of each type, sorted by space type and then by
/// start.
#[must_use]
pub fn forget(runs: &[Run], before: Timestamp) -> Vec<Run> {
    let is_needed = |(place, run): &(usize, &Run)| {
        let next = runs.get(place + 1).filter(|next| next.space_type == run.space_type);
        next.is_none_or(|next| next.first_at > before)
    };
    runs.iter().enumerate().filter(is_needed).map(|(_, run)| run.clone()).collect()
}

#[cfg(test)]
mod tests;
