//! Changes from before the feed, derived from the runs.

use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};

use jiff::{SignedDuration, Timestamp, ToSpan as _};

use crate::quota::{Run, TenantId, TimeRange, changes};
use crate::store::{History, RecordedChange, SnapshotQuery, StoreError};

/// How much history is read at first. Tenants may be many, and may change with every sample.
const FIRST_WINDOW: SignedDuration = SignedDuration::from_mins(30);

/// The shortest and the longest window.
const WINDOWS: RangeInclusive<SignedDuration> = SignedDuration::from_mins(1)..=SignedDuration::from_hours(24 * 8);

/// Runs that a window is to have: those with less become longer, those with more shorter.
const RUNS_OF_WINDOW: Range<usize> = 1024..8192;

/// How far before the place the derivation begins: far enough for any number of changes at one instant.
const LEAD: SignedDuration = SignedDuration::from_secs(1);

/// The derivation of the changes between a place and the beginning of the feed, a window at a time.
///
/// The places are those that the feed gives or has given: the instants of the observations, a microsecond apart where they are the same, in
/// the order of the tenants' ids. So whoever has met a change here does not meet it again in the feed, nor the other way round.
#[derive(Debug)]
pub(super) struct Replay {
    since: Timestamp,
    /// What was observed before is done.
    from: Timestamp,
    until: Timestamp,
    begun: bool,
    /// How much is read at once.
    window: SignedDuration,
    /// The place that was given last.
    last: Option<Timestamp>,
    /// Of each tenant the newest observation that was derived. What of it the feed has, too, must not come twice.
    pub(super) derived: HashMap<TenantId, Timestamp>,
}

impl Replay {
    /// Of the changes after `since` that were observed before `until`.
    pub(super) fn new(since: Timestamp, until: Timestamp) -> Self {
        let from = since.saturating_sub(LEAD).unwrap_or(Timestamp::MIN);
        Self { since, from, until, begun: false, window: FIRST_WINDOW, last: None, derived: HashMap::new() }
    }

    pub(super) fn is_over(&self) -> bool {
        self.from >= self.until
    }

    /// The feed begins later than it did: something was pruned meanwhile.
    pub(super) fn extend_to(&mut self, until: Timestamp) {
        self.until = self.until.max(until);
    }

    /// The changes of the next window, in their order.
    pub(super) async fn next_window(
        &mut self,
        store: &dyn History,
        tenants: &[TenantId],
    ) -> Result<Vec<RecordedChange>, StoreError> {
        if !self.begun {
            match earliest_run(store, tenants).await? {
                Some(earliest) => self.from = self.from.max(earliest),
                None => self.from = Timestamp::MAX,
            }
            self.begun = true;
        }
        if self.is_over() {
            return Ok(Vec::new());
        }
        let to = self.from.saturating_add(self.window).unwrap_or(Timestamp::MAX).min(self.until);
        let range = TimeRange { from: self.from, to };
        let runs = store.runs(tenants, range, None).await?;
        // The newest ones before the window are among them, of which there are as many in each.
        let within = runs.iter().flat_map(|(_, runs)| runs).filter(|run| run.first_at >= range.from).count();
        if within < RUNS_OF_WINDOW.start {
            self.window = self.window.saturating_mul(2).min(*WINDOWS.end());
        } else if within >= RUNS_OF_WINDOW.end {
            self.window = (self.window / 2).max(*WINDOWS.start());
        }
        let mut found = derive(&runs, range);
        place(&mut found, &mut self.last);
        found.retain(|change| change.recorded_at > self.since);
        for change in &found {
            self.derived.insert(change.tenant.clone(), change.change.after.observed_at());
        }
        self.from = to;
        Ok(found)
    }
}

/// The changes within a range, in their order.
fn derive(runs: &[(TenantId, Vec<Run>)], range: TimeRange) -> Vec<RecordedChange> {
    let of_tenant = |(tenant, runs): &(TenantId, Vec<Run>)| {
        let place = |change: crate::quota::Change| {
            let recorded_at = change.after.observed_at();
            RecordedChange { recorded_at, tenant: tenant.clone(), change }
        };
        changes(runs, range).into_iter().map(place).collect::<Vec<_>>()
    };
    let mut found: Vec<_> = runs.iter().flat_map(of_tenant).collect();
    found.sort_by(|a, b| (a.recorded_at, &a.tenant).cmp(&(b.recorded_at, &b.tenant)));
    found
}

/// Moves changes on, after the one before them where they would not come after it.
fn place(changes: &mut [RecordedChange], last: &mut Option<Timestamp>) {
    for change in changes {
        let next = last.and_then(|last| last.checked_add(1.microsecond()).ok());
        change.recorded_at = next.map_or(change.recorded_at, |next| next.max(change.recorded_at));
        *last = Some(change.recorded_at);
    }
}

async fn earliest_run(store: &dyn History, tenants: &[TenantId]) -> Result<Option<Timestamp>, StoreError> {
    let first = SnapshotQuery { limit: 1, ..SnapshotQuery::default() };
    let pages = store.snapshots(tenants, &first).await?;
    Ok(pages.iter().filter_map(|(_, page)| page.runs.first()).map(|run| run.first_at).min())
}
