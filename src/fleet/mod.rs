//! Sums over many tenants, from the store's log of changes.
//!
//! The rules are in [`crate::quota::fleet`]; here the log is read for a question and run through on a thread of its own, so that a sum
//! over fifteen million changes holds up no other request. What a pass had before the last packed day is kept for a while: the same
//! question again reads what came since, not the year. What is asked about few of the tenants is answered from their runs instead
//! (`source.rs`), by the same passes.

mod forecasting;
mod packing;
mod pass_cache;
mod reading;
mod request;
mod source;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::thread::available_parallelism;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use self::forecasting::FULL_WITHIN_DAYS;
use self::forecasting::Forecasts;
pub use self::packing::keep_packed;
use self::pass_cache::{DaysQuestion, PassCache, Question};
use self::reading::{Done, run_through_log, run_through_runs};
pub use self::request::SeriesRequest;
use self::source::Source;
use crate::quota::fleet::{DailyValues, Member, Pass, Standing, Standings, Sweep};
use crate::quota::forecast::MAX_DAYS;
use crate::quota::usage::UsageSeries;
use crate::quota::{TenantId, TimeRange};
use crate::store::{FleetMark, SharedStore, StoreError};
use crate::tenants::Tenants;
use crate::work::{TENANTS_OF_ONE, Work};

/// The sums. Cheap to clone; clones share what is kept.
#[derive(Clone)]
pub struct Fleets {
    store: SharedStore,
    tenants: Arc<Tenants>,
    kept: PassCache,
    forecasts: Forecasts,
    /// As many questions are answered at a time as there are cores: each holds figures of all tenants meanwhile.
    places: Arc<Semaphore>,
}

/// The tenants of a question, with the numbers that the passes know them by.
struct Asked {
    source: Source,
    members: HashMap<TenantId, Member>,
    /// What answering it may take.
    work: Arc<Work>,
    /// Given back with the answer.
    _place: Option<OwnedSemaphorePermit>,
}

impl std::fmt::Debug for Fleets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleets").finish_non_exhaustive()
    }
}

impl Fleets {
    /// Sums over what this store has of the tenants.
    #[must_use]
    pub fn new(store: SharedStore, tenants: Arc<Tenants>) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self { store, tenants, kept: PassCache::new(), forecasts: Forecasts::new(), places: Arc::new(Semaphore::new(cores)) }
    }

    /// The series of each fleet, in order. Fleets that share no tenant are summed in one pass.
    ///
    /// # Errors
    /// The database's, and when the work is given up; likewise below.
    pub async fn series(
        &self,
        fleets: &[Vec<TenantId>],
        request: &SeriesRequest,
        work: Arc<Work>,
    ) -> Result<Vec<UsageSeries>, StoreError> {
        let asked = self.asked(fleets.iter().flatten(), work).await?;
        let mut series: Vec<Option<UsageSeries>> = vec![None; fleets.len()];
        for places in disjoint(fleets) {
            let mut members = Vec::new();
            for (group, place) in (0_u32..).zip(&places) {
                let found = fleets[*place].iter().filter_map(|id| asked.members.get(id));
                members.extend(found.map(|member| Member { group, ..*member }));
            }
            // A tenant that has never been registered has no number yet; it counts as unobserved.
            let sizes = places.iter().map(|place| fleets[*place].len()).collect();
            for (place, found) in places.iter().zip(self.pass(&asked, members, sizes, request).await?) {
                series[*place] = Some(found);
            }
        }
        Ok(series.into_iter().flatten().collect())
    }

    /// Where each tenant that was ever observed stands over the stretch from `from` to `now`.
    ///
    /// # Errors
    /// The database's.
    pub async fn standings(
        &self,
        tenants: &[TenantId],
        from: Timestamp,
        now: Timestamp,
        work: Arc<Work>,
    ) -> Result<HashMap<TenantId, Standing>, StoreError> {
        let asked = self.asked(tenants, work).await?;
        let (ids, members) = asked.in_order(tenants);
        let Some(highest_no) = ids.keys().max().copied() else { return Ok(HashMap::new()) };
        let range = TimeRange { from, to: now };
        let pass = Standings::new(highest_no, from, now);
        let pass = self.run(&asked, range, None, None, pass).await?.pass;
        let by_id = |standing: Standing| Some((ids.get(&standing.tenant_no)?.clone(), standing));
        Ok(pass.finish(&members).into_iter().filter_map(by_id).collect())
    }

    /// In how many days each tenant's allocated is expected to reach its total, of those that do within [`FULL_WITHIN_DAYS`] from `now`. Ten thousand
    /// forecasts take two seconds of one core; those of tenants that have not changed are kept for an hour.
    ///
    /// # Errors
    /// The database's.
    pub async fn days_until_full(
        &self,
        tenants: &[TenantId],
        now: Timestamp,
        work: Arc<Work>,
    ) -> Result<HashMap<TenantId, f64>, StoreError> {
        let asked = self.asked(tenants, work).await?;
        let (ids, members) = asked.in_order(tenants);
        let question = (asked.source == Source::Log).then(|| DaysQuestion::new(&members, now));
        let kept = question.as_ref().and_then(|question| self.kept.get_days(question, now));
        let fresh = DailyValues::new(&members, MAX_DAYS, now);
        let done = self.run(&asked, TimeRange { from: fresh.from(), to: now }, None, kept, fresh).await?;
        if let Some((question, (mark, pass))) = question.zip(done.checkpoint) {
            self.kept.put_days(question, now, mark, pass);
        }
        let ids = members.iter().filter_map(|member| ids.get(&member.tenant_no).cloned()).collect();
        let found = self.forecasts.days_until_full(ids, done.pass.finish(&members), asked.work).await;
        found.map_err(|failed| StoreError::Database { action: "reading of the log of changes", source: Box::new(failed) })?
    }

    async fn pass(
        &self,
        asked: &Asked,
        members: Vec<Member>,
        sizes: Vec<usize>,
        request: &SeriesRequest,
    ) -> Result<Vec<UsageSeries>, StoreError> {
        let question = (asked.source == Source::Log).then(|| Question::new(&members, sizes.clone(), request));
        let kept = question.as_ref().and_then(|question| self.kept.get(question, request));
        let fresh = Sweep::new(&members, &sizes, Arc::clone(&request.buckets), request.asked, request.space_type, request.now);
        let range = TimeRange {
            from: request.buckets.first().map_or(request.now, |bucket| bucket.from),
            to: request.buckets.last().map_or(request.now, |bucket| bucket.to).min(request.now),
        };
        let done = self.run(asked, range, request.space_type, kept, fresh).await?;
        if let Some((question, (mark, sweep))) = question.zip(done.checkpoint) {
            self.kept.put(question, request, mark, sweep);
        }
        Ok(done.pass.finish(&members))
    }

    /// Runs `fresh`, or what was kept, through what the range needs.
    async fn run<P: Pass>(
        &self,
        asked: &Asked,
        range: TimeRange,
        space_type: Option<i32>,
        kept: Option<(FleetMark, P)>,
        fresh: P,
    ) -> Result<Done<P>, StoreError> {
        match asked.source {
            Source::Log => run_through_log(&self.store, range, kept, fresh, &asked.work).await,
            Source::Runs => run_through_runs(&self.store, &asked.members, range, space_type, fresh, &asked.work).await,
        }
    }

    /// Chooses from what a question about these tenants is answered, and numbers them.
    async fn asked<'a>(&self, tenants: impl IntoIterator<Item = &'a TenantId>, work: Arc<Work>) -> Result<Asked, StoreError> {
        // The semaphore is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let tenants: HashSet<&TenantId> = tenants.into_iter().collect();
        let source = Source::of(tenants.len(), self.tenants.current().all().len());
        let members = match source {
            Source::Log => {
                let all = work.wait(self.store.fleet_tenants()).await?;
                work.spend(all.len() / TENANTS_OF_ONE)?;
                all.into_iter().map(|t| (t.id, Member { tenant_no: t.tenant_no, group: 0, holds_until: t.holds_until })).collect()
            }
            Source::Runs => {
                // The steps of runs end by themselves.
                let member = |tenant_no| Member { tenant_no, group: 0, holds_until: Some(Timestamp::MAX) };
                (0..).zip(tenants).map(|(tenant_no, id)| (id.clone(), member(tenant_no))).collect()
            }
        };
        Ok(Asked { source, members, work, _place: place })
    }
}

impl Asked {
    /// Those of the tenants that have a number: their ids by it, and as members, in the order that they come in.
    fn in_order(&self, tenants: &[TenantId]) -> (HashMap<u32, TenantId>, Vec<Member>) {
        let found = || tenants.iter().filter_map(|id| Some((id, self.members.get(id)?)));
        (found().map(|(id, member)| (member.tenant_no, id.clone())).collect(), found().map(|(_, member)| *member).collect())
    }
}

/// The places of the fleets in as few parts as a simple search finds, so that no two of one part share a tenant.
fn disjoint(fleets: &[Vec<TenantId>]) -> Vec<Vec<usize>> {
    let mut parts: Vec<(HashSet<&TenantId>, Vec<usize>)> = Vec::new();
    for (place, fleet) in fleets.iter().enumerate() {
        let index = parts.iter().position(|(taken, _)| fleet.iter().all(|id| !taken.contains(id)));
        let index = index.unwrap_or(parts.len());
        if index == parts.len() {
            parts.push((HashSet::new(), Vec::new()));
        }
        let (taken, places) = &mut parts[index];
        taken.extend(fleet);
        places.push(place);
    }
    parts.into_iter().map(|(_, places)| places).collect()
}

#[cfg(test)]
mod tests {
    use super::disjoint;

    #[test]
    fn fleets_that_share_a_tenant_are_summed_apart() {
        let fleet = |ids: &[&str]| ids.iter().map(|id| id.parse().unwrap()).collect::<Vec<_>>();
        let fleets = [fleet(&["a", "b"]), fleet(&["c"]), fleet(&["b", "d"]), fleet(&[]), fleet(&["d"])];
        assert_eq!(disjoint(&fleets), [vec![0, 1, 3, 4], vec![2]]);
    }
}
