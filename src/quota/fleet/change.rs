//! Runs as a sequence of changes.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::quota::Run;

/// What changes of one space type at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// When, in milliseconds since 1970.
    pub at: i64,
    pub space_type: i32,
    /// By how much its carried allocated grows, in GB.
    pub allocated_gb: i64,
    /// By how much its carried total grows, in GB.
    pub total_gb: i64,
    /// 1 where observations begin to cover it, -1 where they cease to; 0 where neither changes.
    pub held: i32,
}

/// A step of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The tenant's number.
    pub tenant_no: u32,
    /// What changes.
    pub step: Step,
}

/// How far the newest run of a type holds, if the type has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NewestRun {
    /// Without end.
    HoldsOn,
    /// As far as its samples reach.
    Ends,
}

/// Amounts that steps add up to: allocated, total, held.
type Amounts = (i128, i128, i32);

/// The milliseconds since 1970 at or before an instant. Stored instants are whole milliseconds.
#[must_use]
pub fn millis(at: Timestamp) -> i64 {
    at.as_millisecond() - i64::from(at.subsec_nanosecond() % 1_000_000 < 0)
}

/// The steps of one tenant's runs, sorted by instant and type. `runs` are sorted by space type and then by start.
///
/// The newest run of a type holds without end, unless the type has ended: how far its samples reach changes with each of them, and is
/// known from elsewhere.
#[must_use]
pub fn steps(runs: &[Run]) -> Vec<Step> {
    in_steps(amounts(runs, NewestRun::HoldsOn))
}

/// The steps of a part of one tenant's runs: those that start in a range, and the newest one before it of each type; sorted by space type and
/// then by start. Every run holds as far as its samples reach.
///
/// From the range's start to its end they add up to what the steps of the whole history do: what is carried and covered at the start is that of
/// the newest runs before, one of which also shows that the tenant has begun, and whether a run after the range cuts one short is of no
/// account before its end. So a [`Pass`](super::Pass) over the range comes out the same, if its members hold without end.
#[must_use]
pub fn steps_of_part(runs: &[Run]) -> Vec<Step> {
    in_steps(amounts(runs, NewestRun::Ends))
}

/// The steps that turn the history `before` into `after`. Both are parts of the runs of one tenant, sorted by space type and then by start,
/// that reach on either side up to a run that is the same in both, or to the end of the history.
#[must_use]
pub fn difference(before: &[Run], after: &[Run]) -> Vec<Step> {
    let mut changed = amounts(after, NewestRun::HoldsOn);
    for (key, (allocated, total, held)) in amounts(before, NewestRun::HoldsOn) {
        let amount = changed.entry(key).or_default();
        *amount = (amount.0 - allocated, amount.1 - total, amount.2 - held);
    }
    in_steps(changed)
}

/// What changes at each instant of each type.
fn amounts(runs: &[Run], newest: NewestRun) -> BTreeMap<(i64, i32), Amounts> {
    let mut amounts = BTreeMap::new();
    let mut add = |at: Timestamp, space_type: i32, (allocated, total, held): Amounts| {
        let amount: &mut Amounts = amounts.entry((millis(at), space_type)).or_default();
        *amount = (amount.0 + allocated, amount.1 + total, amount.2 + held);
    };
    let mut carried = (0, 0);
    for (index, run) in runs.iter().enumerate() {
        if index > 0 && runs[index - 1].space_type != run.space_type {
            carried = (0, 0);
        }
        let value = (i128::from(run.allocated_gb), i128::from(run.total_gb));
        add(run.first_at, run.space_type, (value.0 - carried.0, value.1 - carried.1, 1));
        carried = value;
        let next = runs.get(index + 1).filter(|next| next.space_type == run.space_type);
        if newest == NewestRun::Ends || next.is_some() || run.ended_at.is_some() {
            add(run.holds_until(next.map(|next| next.first_at)), run.space_type, (0, 0, -1));
        }
        if let Some(ended_at) = run.ended_at {
            add(ended_at, run.space_type, (-value.0, -value.1, 0));
            carried = (0, 0);
        }
    }
    amounts
}

fn in_steps(amounts: BTreeMap<(i64, i32), Amounts>) -> Vec<Step> {
    let mut steps = Vec::with_capacity(amounts.len());
    for ((at, space_type), (mut allocated, mut total, mut held)) in amounts {
        // The correction of one extreme value by the other takes more than one step of 64 bits.
        while (allocated, total, held) != (0, 0, 0) {
            let step = Step { at, space_type, allocated_gb: narrow(allocated), total_gb: narrow(total), held };
            allocated -= i128::from(step.allocated_gb);
            total -= i128::from(step.total_gb);
            held = 0;
            steps.push(step);
        }
    }
    steps
}

/// As much of an amount as 64 bits hold.
fn narrow(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(if amount < 0 { i64::MIN } else { i64::MAX })
}
