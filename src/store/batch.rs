//! What a batch of observations changes, worked out in memory between the reading and the writing of a transaction. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::imports::ImportedRuns;
use super::instant::cut;
use super::recording::Observation;
use super::schedule::{CollectionError, CollectionStatus};
use super::shaping::newest_answer;
use crate::quota::fleet::{self, Step};
use crate::quota::recording::{Effect, History};
use crate::quota::{Change, MAX_SPACE_TYPES_EVER, Run, Sample, TenantId};

/// What is stored of a tenant beside its runs and what the config says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TenantRow {
    /// Every type that the tenant ever had.
    pub space_types: Vec<i32>,
    /// The status and the schedule.
    pub status: CollectionStatus,
    /// Until when a collector has claimed the tenant.
    pub lease_until: Option<Timestamp>,
    /// The newest sample's instant.
    pub last_observed_at: Option<Timestamp>,
    /// Until when the newest sample holds.
    pub holds_until: Option<Timestamp>,
}

/// A stretch of a type's history that must be read: the runs that start in it, and the nearest one on either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub tenant: TenantId,
    /// One of its types.
    pub space_type: i32,
    /// The first instant.
    pub from: Timestamp,
    /// The last instant, inclusive.
    pub to: Timestamp,
}

/// What is to be written, in this order.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The effect of each observation; `None` for failures and unknown tenants.
    pub effects: Vec<Option<Effect>>,
    /// Runs that became part of others, by type and start.
    pub deleted: Vec<(TenantId, i32, Timestamp)>,
    /// Runs that are new or changed.
    pub put: Vec<(TenantId, Run)>,
    /// Types that a tenant has for the first time.
    pub new_types: Vec<(TenantId, i32)>,
    /// Rows whose status, schedule or claim changed.
    pub rows: Vec<(TenantId, TenantRow)>,
    /// What changed for the sums over tenants.
    pub fleet: Vec<(TenantId, Step)>,
    /// What changed of tenants' newest answers, in the order of the observations: for the feed.
    pub observed: Vec<(TenantId, Change)>,
}

/// Observations with the rows of those of their tenants that are collected.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    observations: &'a [Observation],
    rows: BTreeMap<TenantId, TenantRow>,
    /// The places of samples that are not taken, since the tenant would have too many types.
    refused: BTreeSet<usize>,
}

impl<'a> Batch<'a> {
    /// Joins observations with the rows of their tenants, which the caller has locked.
    pub(super) fn new(observations: &'a [Observation], rows: BTreeMap<TenantId, TenantRow>) -> Self {
        let mut batch = Self { observations, rows, refused: BTreeSet::new() };
        batch.refused = batch.find_refused();
        batch
    }

    /// Which samples bring more types than a tenant may ever have. Each type of the past costs every later recording; a hostile upstream that
    /// lists others each time would stop the recording of all tenants in the end.
    fn find_refused(&self) -> BTreeSet<usize> {
        let mut brought = BTreeMap::<&TenantId, BTreeSet<i32>>::new();
        let mut refused = BTreeSet::new();
        for (place, tenant, sample) in self.samples() {
            let known = &self.rows[tenant].space_types;
            let brought = brought.entry(tenant).or_default();
            let types = sample.allocation.by_type().iter().map(|value| value.space_type);
            let new: Vec<i32> = types.filter(|listed| !brought.contains(listed) && !known.contains(listed)).collect();
            if new.is_empty() || known.len() + brought.len() + new.len() <= MAX_SPACE_TYPES_EVER {
                brought.extend(new);
            } else {
                refused.insert(place);
            }
        }
        refused
    }

    /// What must be read before [`Batch::plan`].
    pub(super) fn stretches(&self) -> Vec<Stretch> {
        let mut bounds = BTreeMap::<&TenantId, (Timestamp, Timestamp)>::new();
        for (_, tenant, sample) in self.samples() {
            let at = sample.allocation.observed_at();
            let (from, to) = bounds.entry(tenant).or_insert((at, at));
            *from = at.min(*from);
            *to = at.max(*to);
        }
        let of_types = |(tenant, (from, to)): (&TenantId, (Timestamp, Timestamp))| {
            let of_type = |space_type: &i32| Stretch { tenant: tenant.clone(), space_type: *space_type, from, to };
            self.rows[tenant].space_types.iter().map(of_type).collect::<Vec<_>>()
        };
        bounds.into_iter().flat_map(of_types).collect()
    }

    /// Works out what changes. `stored` holds the runs of all [`Batch::stretches`].
    pub(super) fn plan(mut self, stored: &BTreeMap<TenantId, Vec<Run>>) -> Changes {
        let mut changes = Changes { effects: vec![None; self.observations.len()], ..Changes::default() };
        let before = self.rows.clone();
        self.plan_runs(stored, &mut changes);
        self.plan_rows();
        changes.rows = self.rows.into_iter().filter(|(tenant, row)| before[tenant] != *row).collect();
        changes
    }

    /// The samples of known tenants that are taken, with their place in the batch.
    fn samples(&self) -> impl Iterator<Item = (usize, &'a TenantId, &'a Sample)> {
        let known = |(place, o): (usize, &'a Observation)| {
            let sample = o.outcome.as_ref().ok()?;
            let is_taken = self.rows.contains_key(&o.tenant) && !self.refused.contains(&place);
            is_taken.then_some((place, &o.tenant, sample))
        };
        self.observations.iter().enumerate().filter_map(known)
    }

    fn plan_runs(&mut self, stored: &BTreeMap<TenantId, Vec<Run>>, changes: &mut Changes) {
        let mut by_tenant = BTreeMap::<&TenantId, Vec<(usize, &Sample)>>::new();
        for (place, tenant, sample) in self.samples() {
            by_tenant.entry(tenant).or_default().push((place, sample));
        }
        for (tenant, mut samples) in by_tenant {
            samples.sort_by_key(|(_, sample)| sample.allocation.observed_at());
            let mut history = stored.get(tenant).into_iter().flatten().cloned().collect::<History>();
            let before: Vec<_> = history.runs().cloned().collect();
            let mut newest = newest_answer(history.runs());
            for (place, sample) in samples {
                changes.effects[place] = Some(history.record(sample));
                let former = std::mem::replace(&mut newest, newest_answer(history.runs()));
                // A late sample never changes the newest answer, whatever runs of other times are not at hand.
                let is_late = former.as_ref().is_some_and(|former| former.observed_at() > sample.allocation.observed_at());
                if let Some(after) = &newest
                    && !is_late
                    && former.as_ref().is_none_or(|former| former.by_type() != after.by_type())
                {
                    changes.observed.push((tenant.clone(), Change { before: former, after: after.clone() }));
                }
            }
            let after: Vec<_> = history.runs().cloned().collect();
            changes.add_difference(tenant, &before, &after, &self.rows[tenant].space_types);
            if let Some(row) = self.rows.get_mut(tenant) {
                row.observe(&before, &after);
            }
        }
        changes.observed.sort_by_key(|(_, change)| change.after.observed_at());
    }

    fn plan_rows(&mut self) {
        let mut in_order = self.observations.iter().enumerate().collect::<Vec<_>>();
        in_order.sort_by_key(|(_, o)| o.attempted_at);
        for (place, observation) in in_order {
            let Some(row) = self.rows.get_mut(&observation.tenant) else { continue };
            if self.refused.contains(&place) {
                row.apply(&Observation { outcome: Err(too_many_types()), ..observation.clone() });
            } else {
                row.apply(observation);
            }
        }
    }
}

/// What a collection says of a sample that is not taken.
fn too_many_types() -> CollectionError {
    let message = format!(
        "KooDrive has listed more than {MAX_SPACE_TYPES_EVER} different space types for this tenant by now; answers with further ones are not recorded."
    );
    CollectionError { code: "UPSTREAM_INVALID".to_owned(), message }
}

/// Whether runs are of more types, together with those that a tenant has had, than it may ever have.
pub(super) fn has_too_many_types(row: &TenantRow, runs: &[Run]) -> bool {
    let new: BTreeSet<i32> = runs.iter().map(|run| run.space_type).filter(|t| !row.space_types.contains(t)).collect();
    !new.is_empty() && row.space_types.len() + new.len() > MAX_SPACE_TYPES_EVER
}

impl Stretch {
    /// What must be read before runs are added to a tenant.
    pub(super) fn around(tenant: &TenantId, row: &TenantRow, runs: &[Run]) -> Vec<Self> {
        let from = runs.iter().map(|run| run.first_at).min();
        let to = runs.iter().map(|run| run.last_at).max();
        let Some((from, to)) = from.zip(to) else { return Vec::new() };
        Self::within(tenant, row, from, to)
    }

    /// What must be read before a tenant's runs are revised: also the run before one that starts with the stretch, since it holds until
    /// the next one.
    pub(super) fn revised(tenant: &TenantId, row: &TenantRow, from: Timestamp, to: Timestamp) -> Vec<Self> {
        let before = from.saturating_sub(SignedDuration::from_millis(1)).unwrap_or(Timestamp::MIN);
        Self::within(tenant, row, before, to)
    }

    fn within(tenant: &TenantId, row: &TenantRow, from: Timestamp, to: Timestamp) -> Vec<Self> {
        Self::of_types(tenant, &row.space_types, from, to)
    }

    /// The same stretch of each type.
    pub(super) fn of_types(tenant: &TenantId, space_types: &[i32], from: Timestamp, to: Timestamp) -> Vec<Self> {
        space_types.iter().map(|space_type| Self { tenant: tenant.clone(), space_type: *space_type, from, to }).collect()
    }
}

impl Changes {
    /// Adds whole runs, which overlap neither each other nor what is stored around them.
    pub(super) fn adding(tenant: &TenantId, row: &TenantRow, stored: &[Run], runs: &[Run]) -> Self {
        let history: History = stored.iter().chain(runs).cloned().collect();
        let after: Vec<_> = history.runs().cloned().collect();
        let before: History = stored.iter().cloned().collect();
        let before: Vec<_> = before.runs().cloned().collect();
        Self::turning(tenant, row, &before, &after)
    }

    /// Turns the runs `before` of a tenant into `after`; both are sorted by space type and then by start.
    fn turning(tenant: &TenantId, row: &TenantRow, before: &[Run], after: &[Run]) -> Self {
        let mut changes = Self::default();
        changes.add_difference(tenant, before, after, &row.space_types);
        let mut observed = row.clone();
        observed.observe(before, after);
        if observed != *row {
            changes.rows.push((tenant.clone(), observed));
        }
        changes
    }

    /// Puts some runs of a tenant, with the nearest ones on either side, in the place of others, and says which went and which came.
    pub(super) fn replacing(tenant: &TenantId, row: &TenantRow, before: &[Run], after: &[Run]) -> (Self, ImportedRuns) {
        let mut changes = Self::turning(tenant, row, before, after);
        let by_key =
            |runs: &[Run]| runs.iter().map(|run| ((run.space_type, run.first_at), run.clone())).collect::<BTreeMap<_, _>>();
        let (old, new) = (by_key(before), by_key(after));
        let only = |one: &BTreeMap<_, Run>, other: &BTreeMap<_, Run>| {
            one.iter().filter(|(key, run)| other.get(*key) != Some(*run)).map(|(_, run)| run.clone()).collect::<Vec<_>>()
        };
        changes.delete_others(tenant, before, after);
        (changes, ImportedRuns { removed: only(&old, &new), added: only(&new, &old), are_reduced: false })
    }

    /// Makes the runs `before` the fewer runs `after`; both are sorted by space type and then by start. The newest run of each
    /// type stays.
    pub(super) fn making_less(tenant: &TenantId, space_types: &[i32], before: &[Run], after: &[Run]) -> Self {
        let mut changes = Self::default();
        changes.add_difference(tenant, before, after, space_types);
        changes.delete_others(tenant, before, after);
        changes
    }

    /// Deletes the runs in whose place others come that start with them: what is put over a run changes neither its value nor its interval.
    fn delete_others(&mut self, tenant: &TenantId, before: &[Run], after: &[Run]) {
        let starts = after.iter().map(|run| ((run.space_type, run.first_at), run)).collect::<BTreeMap<_, _>>();
        let differs = |run: &Run, other: &Run| (run.value(), run.interval_s) != (other.value(), other.interval_s);
        let is_other = |run: &&Run| starts.get(&(run.space_type, run.first_at)).is_some_and(|new| differs(run, new));
        let others = before.iter().filter(is_other).map(|run| (tenant.clone(), run.space_type, run.first_at));
        self.deleted.extend(others);
    }

    /// Adds what turns the runs `before` into `after`; both are sorted by space type and then by start.
    fn add_difference(&mut self, tenant: &TenantId, before: &[Run], after: &[Run], known_types: &[i32]) {
        self.fleet.extend(fleet::difference(before, after).into_iter().map(|step| (tenant.clone(), step)));
        let mut gone = before.iter().map(|run| ((run.space_type, run.first_at), run)).collect::<BTreeMap<_, _>>();
        for run in after {
            if gone.remove(&(run.space_type, run.first_at)) != Some(run) {
                self.put.push((tenant.clone(), run.clone()));
            }
            let type_is_listed = |(t, listed): &(TenantId, i32)| t == tenant && *listed == run.space_type;
            if !known_types.contains(&run.space_type) && !self.new_types.last().is_some_and(type_is_listed) {
                self.new_types.push((tenant.clone(), run.space_type));
            }
        }
        self.deleted.extend(gone.into_keys().map(|(space_type, first_at)| (tenant.clone(), space_type, first_at)));
    }
}

impl TenantRow {
    /// Takes up how far the newest sample reaches, when the runs `before` became `after`.
    fn observe(&mut self, before: &[Run], after: &[Run]) {
        let newest = |runs: &[Run]| runs.iter().map(|run| (run.last_at, run.holds_until_next())).max();
        let (former, newest) = (newest(before), newest(after));
        let is_newest = |found: Option<(Timestamp, Timestamp)>| found.map(|(last_at, _)| last_at) >= self.last_observed_at;
        if is_newest(former) || is_newest(newest) {
            self.last_observed_at = newest.map(|(last_at, _)| last_at);
            self.holds_until = newest.map(|(_, holds_until)| holds_until);
        }
    }

    /// Takes up what an attempt says about the status. A late one never moves it backwards, and the same one twice counts once.
    fn apply(&mut self, observation: &Observation) {
        let at = cut(observation.attempted_at);
        let status = &mut self.status;
        let is_newest = status.last_attempt_at.is_none_or(|last| at >= last);
        status.last_attempt_at = status.last_attempt_at.max(Some(at));
        match &observation.outcome {
            Ok(_) => {
                status.last_success_at = status.last_success_at.max(Some(at));
                if is_newest {
                    status.consecutive_failures = 0;
                }
            }
            Err(error) => {
                let last_error_at = status.last_error.as_ref().map(|(_, error_at)| *error_at);
                if is_newest && last_error_at != Some(at) {
                    status.consecutive_failures = status.consecutive_failures.saturating_add(1);
                }
                if last_error_at.is_none_or(|last| at >= last) {
                    status.last_error = Some((error.clone(), at));
                }
            }
        }
        if let Some(next) = observation.next_due_at.map(cut) {
            let not_before = if is_newest { None } else { status.next_attempt_at };
            status.next_attempt_at = Some(next).max(not_before);
            self.lease_until = None;
        }
    }
}

/// The pair of runs of one type that overlap, if there is one.
pub(super) fn find_overlap<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Option<(&'a Run, &'a Run)> {
    let mut sorted = runs.into_iter().collect::<Vec<_>>();
    sorted.sort_by_key(|run| (run.space_type, run.first_at));
    let overlaps = |w: &&[&Run]| {
        let start = w[1].first_at;
        w[0].space_type == w[1].space_type && (w[0].last_at >= start || w[0].ended_at.is_some_and(|ended| ended > start))
    };
    sorted.windows(2).find(overlaps).map(|w| (w[0], w[1]))
}
