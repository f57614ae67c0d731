//! The history that is measured with.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use quotagraph::clock::{Clock, SystemClock};
use quotagraph::quota::{Label, Run, Tenant, TenantId};
use quotagraph::store::{PackWhen, SharedStore};

use crate::Failed;

pub(crate) const INTERVAL_S: i64 = 300;
const CHANGES_A_DAY: u64 = 4;
const SLOTS_A_DAY: i64 = 86_400 / INTERVAL_S;
/// Days that are written of one tenant before the next one's turn: as the service would, but some weeks at a time, so that it takes minutes
/// and not a year.
const DAYS_AT_ONCE: i64 = 30;

/// What was written.
pub(crate) struct History {
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) runs: usize,
    pub(crate) took: Duration,
}

/// A small random generator (splitmix64), so that every run of this program measures the same history.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A tenant's values as they go on.
struct Walk {
    random: Random,
    allocated_gb: i64,
    total_gb: i64,
}

impl Walk {
    fn of(tenant: usize) -> Self {
        let mut random = Random(tenant as u64 * 7919);
        let total_gb = 10_000 + i64::try_from(random.below(90_000)).unwrap_or(0);
        Self { allocated_gb: total_gb / 3, total_gb, random }
    }

    /// Another value, rarely with another total.
    fn step(&mut self) {
        if self.random.below(500) == 0 {
            self.total_gb += 1000;
        }
        let change = i64::try_from(self.random.below(61)).unwrap_or(0) - 28;
        self.allocated_gb = (self.allocated_gb + if change == 0 { 3 } else { change }).clamp(1, self.total_gb);
    }

    /// The runs of some days: four changes a day at random slots.
    fn runs(&mut self, tenant: usize, from: Timestamp, days: i64) -> Vec<Run> {
        let slots = (0..days).flat_map(|day| {
            let mut slots: Vec<i64> =
                (0..CHANGES_A_DAY).map(|_| day * SLOTS_A_DAY + i64::try_from(self.random.below(288)).unwrap_or(0)).collect();
            slots.sort_unstable();
            slots
        });
        let mut starts: Vec<i64> = std::iter::once(0).chain(slots).collect();
        starts.dedup();
        starts.push(days * SLOTS_A_DAY);
        // As the collector spreads tenants over the interval.
        let offset = SignedDuration::from_millis(i64::try_from(tenant).unwrap_or(0) * 37 % 300_000);
        let at = |slot: i64| from + offset + SignedDuration::from_secs(slot * INTERVAL_S);
        let run = |w: &[i64]| {
            self.step();
            Run {
                space_type: 0,
                first_at: at(w[0]),
                last_at: at(w[1] - 1),
                interval_s: u32::try_from(INTERVAL_S).unwrap_or(1),
                samples: w[1] - w[0],
                allocated_gb: self.allocated_gb,
                total_gb: self.total_gb,
                ended_at: None,
            }
        };
        starts.windows(2).map(run).collect()
    }
}

impl History {
    /// Registers the tenants and writes their history up to now, by the same ways as `import` and the collector.
    pub(crate) async fn load(store: &SharedStore, tenants: u32, days: u32) -> Result<Self, Failed> {
        let started = Instant::now();
        let tenants = (0..tenants).map(tenant).collect::<Result<Vec<_>, _>>()?;
        let hour = 3_600_000;
        let to = Timestamp::from_millisecond(SystemClock.now().as_millisecond() / hour * hour)?;
        let from = to - SignedDuration::from_hours(24 * i64::from(days));
        store.register_tenants(&tenants, to).await?;
        let mut walks: Vec<Walk> = (0..tenants.len()).map(Walk::of).collect();
        let (mut day, mut count) = (0, 0);
        while day < i64::from(days) {
            let days = DAYS_AT_ONCE.min(i64::from(days) - day);
            let start = from + SignedDuration::from_hours(24 * day);
            // One after the other: what is written at the same time in several places leaves the pages of the index half empty.
            for (place, walk) in walks.iter_mut().enumerate() {
                let runs = walk.runs(place, start, days);
                store.insert_runs(&tenants[place].id, &runs).await?;
                count += runs.len();
            }
            while store.pack_fleet(PackWhen { at_least: 1, older_than: Timestamp::MIN }).await? > 0 {}
            day += days;
        }
        Ok(Self { tenants, from, to, runs: count, took: started.elapsed() })
    }
}

fn tenant(number: u32) -> Result<Tenant, Failed> {
    let id: TenantId = format!("tenant-{number:05}").parse()?;
    let region = Label { key: "region".to_owned(), value: format!("region-{:02}", number % 20) };
    Ok(Tenant { name: format!("Tenant {number}"), id, labels: vec![region] })
}
