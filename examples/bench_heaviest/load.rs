//! The history that is measured with.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use quotagraph::clock::{Clock, SystemClock};
use quotagraph::quota::{Label, Run, Tenant, TenantId};
use quotagraph::store::{PackWhen, SharedStore};

use crate::Failed;

const INTERVAL_S: u32 = 300;
const INTERVAL: SignedDuration = SignedDuration::from_secs(300);
const SLOTS_A_DAY: i64 = 288;
/// Days that are written of one tenant before the next one's turn.
const DAYS_AT_ONCE: i64 = 30;
/// Space types that each tenth tenant lists, all but the first unchanged for a year: as many as an answer may have.
const TYPES: i32 = 64;
/// Labels that a tenant has.
const LABELS: u32 = 12;

/// What was written.
pub(crate) struct History {
    pub(crate) tenants: Vec<Tenant>,
    /// How many of the tenants change with every sample; they come first.
    pub(crate) dense: usize,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) runs: usize,
    pub(crate) took: Duration,
}

/// A tenant's values as they go on; a small generator (splitmix64), so that every run of this program measures the same history.
struct Walk {
    seed: u64,
    allocated_gb: i64,
    total_gb: i64,
}

impl Walk {
    fn of(tenant: usize) -> Self {
        let mut walk = Self { seed: tenant as u64 * 7919, allocated_gb: 0, total_gb: 0 };
        walk.total_gb = 10_000 + walk.below(90_000);
        walk.allocated_gb = walk.total_gb / 3;
        walk
    }

    fn below(&mut self, bound: u64) -> i64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((z ^ (z >> 31)) % bound).unwrap_or(0)
    }

    fn run(&mut self, from: Timestamp, first: i64, until: i64) -> Run {
        let change = self.below(61) - 28;
        self.allocated_gb = (self.allocated_gb + if change == 0 { 3 } else { change }).clamp(1, self.total_gb);
        let at = |slot: i64| from + INTERVAL * i32::try_from(slot).unwrap_or(0);
        Run {
            space_type: 0,
            first_at: at(first),
            last_at: at(until - 1),
            interval_s: INTERVAL_S,
            samples: until - first,
            allocated_gb: self.allocated_gb,
            total_gb: self.total_gb,
            ended_at: None,
        }
    }

    /// The runs of some days: one for each slot, or four a day.
    fn runs(&mut self, from: Timestamp, days: i64, is_dense: bool) -> Vec<Run> {
        let slots = days * SLOTS_A_DAY;
        let mut starts: Vec<i64> = if is_dense {
            (0..slots).collect()
        } else {
            let mut starts: Vec<i64> = (0..days * 4).map(|_| self.below(slots.unsigned_abs())).chain([0]).collect();
            starts.sort_unstable();
            starts.dedup();
            starts
        };
        starts.push(slots);
        starts.windows(2).map(|slot| self.run(from, slot[0], slot[1])).collect()
    }
}

impl History {
    /// Registers the tenants and writes their history up to now.
    pub(crate) async fn load(store: &SharedStore, tenants: u32, dense: u32, days: u32) -> Result<Self, Failed> {
        let started = Instant::now();
        let tenants = (0..dense + tenants).map(tenant).collect::<Result<Vec<_>, _>>()?;
        let dense = dense as usize;
        let hour = 3_600_000;
        let to = Timestamp::from_millisecond(SystemClock.now().as_millisecond() / hour * hour)?;
        let from = to - SignedDuration::from_hours(24 * i64::from(days));
        store.register_tenants(&tenants, to).await?;
        let mut walks: Vec<Walk> = (0..tenants.len()).map(Walk::of).collect();
        let (mut day, mut count) = (0, 0);
        while day < i64::from(days) {
            let days = DAYS_AT_ONCE.min(i64::from(days) - day);
            let start = from + SignedDuration::from_hours(24 * day);
            for (place, walk) in walks.iter_mut().enumerate() {
                let runs = walk.runs(start, days, place < dense);
                for part in runs.chunks(5000) {
                    store.insert_runs(&tenants[place].id, part).await?;
                }
                count += runs.len();
            }
            while store.pack_fleet(PackWhen { at_least: 1, older_than: Timestamp::MIN }).await? > 0 {}
            day += days;
        }
        for tenant in tenants.iter().skip(dense).step_by(10) {
            let of_type = |space_type| Run {
                space_type,
                first_at: from,
                last_at: to - INTERVAL,
                interval_s: INTERVAL_S,
                samples: i64::from(days) * SLOTS_A_DAY,
                allocated_gb: 1,
                total_gb: 2,
                ended_at: None,
            };
            let runs: Vec<Run> = (1..TYPES).map(of_type).collect();
            store.insert_runs(&tenant.id, &runs).await?;
            count += runs.len();
        }
        while store.pack_fleet(PackWhen { at_least: 1, older_than: Timestamp::MIN }).await? > 0 {}
        Ok(Self { tenants, dense, from, to, runs: count, took: started.elapsed() })
    }

    /// A config with a tenants file. Nothing is collected: the upstream does not exist.
    pub(crate) fn write_config(&self, folder: &Path) -> Result<(), Failed> {
        let settings = "tenants_file = \"tenants.toml\"\n[server]\nlisten = \"127.0.0.1:0\"\n[collector]\nenabled = false\n\
                        [cache]\nfresh_for = \"400d\"\nstale_for = \"400d\"\n";
        std::fs::write(folder.join("quotagraph.toml"), settings)?;
        std::fs::write(folder.join("secret"), "a secret of the usual length, 0123456789abcdef")?;
        let mut tenants = String::new();
        for tenant in &self.tenants {
            let labels: Vec<_> = tenant.labels.iter().map(|label| format!("{} = \"{}\"", label.key, label.value)).collect();
            let (id, name, labels) = (&tenant.id, &tenant.name, labels.join(", "));
            writeln!(tenants, "[[tenants]]\nid = \"{id}\"\nname = \"{name}\"\nendpoint = \"http://127.0.0.1:9\"\nuser_id = \"1\"")?;
            writeln!(tenants, "labels = {{ {labels} }}\n[tenants.auth]\napp_id = \"app\"\napp_secret_file = \"secret\"\n")?;
        }
        Ok(std::fs::write(folder.join("tenants.toml"), tenants)?)
    }
}

fn tenant(number: u32) -> Result<Tenant, Failed> {
    let id: TenantId = format!("tenant-{number:05}").parse()?;
    let label = |place: u32| Label { key: format!("label{place:02}"), value: format!("value-{:02}", number % (10 + place)) };
    Ok(Tenant { name: format!("Tenant {number}"), id, labels: (0..LABELS).map(label).collect() })
}
