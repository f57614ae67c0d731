//! When tenants are full, by what their days are carried on to.
//!
//! A forecast takes a sixth of a millisecond, and a fleet is thousands. So they are made by as many threads as there are cores, none of which is
//! one that answers other requests, and each is kept until its tenant's days are others: until the tenant changes, or the hour.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::Semaphore;
use tokio::task::JoinError;

use crate::quota::TenantId;
use crate::quota::fleet::{Daily, FoundDays};
use crate::quota::forecast::forecast;
use crate::store::StoreError;
use crate::work::{self, Work};

/// How far ahead it is looked: the default horizon of a tenant's forecast.
pub const FULL_WITHIN_DAYS: usize = 180;

/// Of no consequence for the expected line.
const CONFIDENCE: f64 = 0.9;
/// Tenants that a thread takes at a time.
const BLOCK: usize = 64;
/// Tenants that are kept at most.
const CAPACITY: u64 = 1_000_000;
/// How long one is kept that nobody asks for. The days are others after an hour at the latest.
const IDLE: Duration = Duration::from_hours(1);

/// The forecasts that are kept. Cheap to clone; clones share them.
#[derive(Clone)]
pub(super) struct Forecasts {
    known: Cache<TenantId, Known>,
    hashing: RandomState,
    /// Who makes many has the cores to himself; who comes after him finds them made.
    turn: Arc<Semaphore>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Known {
    /// A hash of the days that it was made from.
    fingerprint: u64,
    days_until_full: Option<f64>,
}

impl Forecasts {
    /// None yet.
    pub(super) fn new() -> Self {
        let known = Cache::builder().max_capacity(CAPACITY).time_to_idle(IDLE).build();
        Self { known, hashing: RandomState::new(), turn: Arc::new(Semaphore::new(1)) }
    }

    /// In how many days each tenant is expected to be full, of those that are within the horizon. The days are those of the ids, in order.
    /// Nothing more is made when the work is given up.
    pub(super) async fn days_until_full(
        &self,
        ids: Vec<TenantId>,
        days: FoundDays,
        work: Arc<Work>,
    ) -> Result<Result<HashMap<TenantId, f64>, StoreError>, JoinError> {
        // What is one block takes a few milliseconds, and waits for nobody. The semaphore is never closed.
        let turn = if ids.len() > BLOCK { Arc::clone(&self.turn).acquire_owned().await.ok() } else { None };
        let forecasts = self.clone();
        // The turn ends with the work, also when nobody waits for it any more.
        let making = move || {
            let _turn = turn;
            forecasts.of_all(&ids, &days, &work)
        };
        tokio::task::spawn_blocking(making).await
    }

    fn of_all(&self, ids: &[TenantId], days: &FoundDays, work: &Work) -> Result<HashMap<TenantId, f64>, StoreError> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let next = AtomicUsize::new(0);
        let make = || {
            let mut found = Vec::new();
            loop {
                let first = next.fetch_add(BLOCK, Ordering::Relaxed);
                if first >= ids.len() {
                    return Ok(found);
                }
                for (place, id) in ids.iter().enumerate().skip(first).take(BLOCK) {
                    found.extend(self.of(id, &days.of(place), work)?.map(|days| (id.clone(), days)));
                }
            }
        };
        thread::scope(|scope| {
            let others = 1..ids.len().div_ceil(BLOCK).min(cores);
            let others: Vec<_> = others.map(|_| scope.spawn(make)).collect();
            let own: Result<Vec<_>, StoreError> = make();
            let others = others.into_iter().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            let others: Vec<Result<Vec<_>, StoreError>> = others.collect();
            let mut found: HashMap<_, _> = own?.into_iter().collect();
            for other in others {
                found.extend(other?);
            }
            Ok(found)
        })
    }

    fn of(&self, id: &TenantId, daily: &Daily, work: &Work) -> Result<Option<f64>, StoreError> {
        let fingerprint = self.fingerprint(daily);
        if let Some(known) = self.known.get(id).filter(|known| known.fingerprint == fingerprint) {
            work.spend(work::KNOWN_FORECAST)?;
            return Ok(known.days_until_full);
        }
        work.spend(work::FORECAST)?;
        let made = forecast(&daily.allocated_gb, daily.total_gb, FULL_WITHIN_DAYS, CONFIDENCE).ok();
        let days_until_full = made.and_then(|made| made.reaching(1.0).expected);
        self.known.insert(id.clone(), Known { fingerprint, days_until_full });
        // Who answers a portal and waits for a core shall wait for one forecast, not for many.
        thread::yield_now();
        Ok(days_until_full)
    }

    fn fingerprint(&self, daily: &Daily) -> u64 {
        let mut hasher = self.hashing.build_hasher();
        for day in &daily.allocated_gb {
            day.map(f64::to_bits).hash(&mut hasher);
        }
        hasher.write_u64(daily.total_gb.to_bits());
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::quota::fleet::{Change, DailyValues, Member, Pass as _, Step, millis};
    use crate::quota::forecast::MAX_DAYS;
    use crate::store::Answering;

    const TENANTS: u32 = 300;
    const TOTAL_GB: i64 = 10_000;

    fn id(number: u32) -> TenantId {
        format!("tenant-{number}").parse().unwrap()
    }

    fn now() -> Timestamp {
        "2026-03-02T12:34:56Z".parse().unwrap()
    }

    /// Sixty days of tenants that grow by their number of GB a day, the first of which grows by so many in addition just now.
    fn days(more_gb: i64) -> FoundDays {
        let members: Vec<_> =
            (0..TENANTS).map(|tenant_no| Member { tenant_no, group: 0, holds_until: Some(Timestamp::MAX) }).collect();
        let mut pass = DailyValues::new(&members, MAX_DAYS, now());
        for ago in (0..60).rev() {
            for tenant_no in 0..TENANTS {
                let at = millis(now() - SignedDuration::from_hours(24 * ago + 2));
                let (total_gb, held) = if ago == 59 { (TOTAL_GB, 1) } else { (0, 0) };
                let more_gb = if (tenant_no, ago) == (0, 0) { more_gb } else { 0 };
                let allocated_gb = i64::from(tenant_no) + more_gb;
                pass.add(Change { tenant_no, step: Step { at, space_type: 0, allocated_gb, total_gb, held } });
            }
        }
        pass.finish(&members)
    }

    fn endless() -> Arc<Work> {
        Arc::new(Work::endless(Duration::from_secs(1)))
    }

    #[tokio::test]
    async fn nothing_more_is_made_when_nobody_waits_or_it_is_too_much() {
        let forecasts = Forecasts::new();
        let ids: Vec<_> = (0..TENANTS).map(id).collect();
        let nobody = endless();
        nobody.give_up();
        let found = forecasts.days_until_full(ids.clone(), days(0), nobody).await.unwrap();
        assert!(matches!(found, Err(StoreError::GivenUp)));
        assert!(ids.iter().all(|id| !forecasts.known.contains_key(id)));
        // What was made until it was too much is kept: the next one makes the rest.
        let some = Arc::new(Work::new(200 * work::FORECAST, Arc::new(Answering::new(Duration::from_secs(1)))));
        assert!(forecasts.days_until_full(ids.clone(), days(0), Arc::clone(&some)).await.unwrap().is_err());
        assert!(some.is_exceeded());
        let made = ids.iter().filter(|id| forecasts.known.contains_key(*id)).count();
        assert_eq!(made, 200);
        let again = Arc::new(Work::new(200 * work::FORECAST, Arc::new(Answering::new(Duration::from_secs(1)))));
        assert!(forecasts.days_until_full(ids, days(0), again).await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn all_cores_say_what_one_forecast_after_the_other_says() {
        let ids: Vec<_> = (0..TENANTS).map(id).collect();
        let found = Forecasts::new().days_until_full(ids.clone(), days(0), endless()).await.unwrap().unwrap();
        for (place, id) in ids.iter().enumerate() {
            let daily = days(0).of(place);
            let expected = forecast(&daily.allocated_gb, daily.total_gb, FULL_WITHIN_DAYS, 0.5).unwrap().reaching(1.0).expected;
            assert_eq!(found.get(id), expected.as_ref(), "{id}");
        }
        assert!(found.len() > 100 && !found.contains_key(&ids[1]));
    }

    #[tokio::test]
    async fn a_forecast_is_made_again_only_when_its_days_are_others() {
        let forecasts = Forecasts::new();
        let ids: Vec<_> = (0..TENANTS).map(id).collect();
        forecasts.days_until_full(ids.clone(), days(0), endless()).await.unwrap().unwrap();
        // What is kept is altered, so that it shows where it is used.
        for id in &ids {
            let known = forecasts.known.get(id).unwrap();
            forecasts.known.insert(id.clone(), Known { days_until_full: Some(-1.0), ..known });
        }
        let again = forecasts.days_until_full(ids.clone(), days(0), endless()).await.unwrap().unwrap();
        assert!(ids.iter().all(|id| again.get(id) == Some(&-1.0)));
        let changed = forecasts.days_until_full(ids.clone(), days(TOTAL_GB), endless()).await.unwrap().unwrap();
        assert!(changed[&ids[0]].abs() < f64::EPSILON, "it is full now");
        assert!(ids[1..].iter().all(|id| changed.get(id) == Some(&-1.0)));
    }
}
