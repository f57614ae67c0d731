//! How soon the built `quotagraph serve` is ready, and how much memory it takes.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quotagraph::clock::SystemClock;
use quotagraph::koodrive::Credential;
use tokio::runtime::Handle;

use crate::fleet::{Fleet, SECRET};
use crate::report::{self, Target};
use crate::rounds::recorded;
use crate::serve::{PATIENCE, Serve, give_up_after};
use crate::{Failed, postgres};

/// Short, so that two rounds do not take long.
const INTERVAL_S: u32 = 5;
const READY_TARGET: Target = Target::Below(1.0);
const MEMORY_TARGET: Target = Target::Below(64.0);
/// Measures, prints, and says whether the targets are met.
pub(crate) async fn measure(binary: &Path, tenants: u32, repetitions: u32, upstream: &Handle) -> Result<bool, Failed> {
    let fleet = Fleet::start(tenants, Arc::new(SystemClock), upstream).await?;
    let folder = tempfile::Builder::new().prefix("quotagraph-bench-").tempdir()?;
    write_config(folder.path(), &fleet)?;
    let [mut new, mut again, mut resident, mut peak] = [const { Vec::new() }; 4];
    for _ in 0..repetitions {
        let database = postgres::database().await;
        let (serve, ready_after) = Serve::start(binary, folder.path(), &database.url).await?;
        new.push(ready_after.as_secs_f64());
        wait_for_rounds(&serve, 2, tenants).await?;
        resident.push(serve.memory_mib("VmRSS:")?);
        peak.push(serve.memory_mib("VmHWM:")?);
        serve.stop()?;
        let (serve, ready_after) = Serve::start(binary, folder.path(), &database.url).await?;
        again.push(ready_after.as_secs_f64());
        serve.stop()?;
    }
    fleet.stop().await;
    println!("\nquotagraph serve with {tenants} tenants:");
    let mut all_met = report::print("ready, from its start, with an empty database", "s", 3, &new, READY_TARGET);
    all_met &= report::print("ready, from its start, with the tenants known", "s", 3, &again, READY_TARGET);
    all_met &= report::print("resident memory after two rounds", "MiB", 1, &resident, MEMORY_TARGET);
    all_met &= report::print("resident memory at its peak until then", "MiB", 1, &peak, MEMORY_TARGET);
    Ok(all_met)
}

/// A config with a tenants file and a secret file for each tenant.
fn write_config(folder: &Path, fleet: &Fleet) -> Result<(), Failed> {
    let settings = format!(
        "tenants_file = \"tenants.toml\"\n[server]\nlisten = \"127.0.0.1:0\"\n[collector]\ninterval = \"{INTERVAL_S}s\"\n\
         [upstream]\nrequests_per_second = 1000000\n"
    );
    std::fs::write(folder.join("quotagraph.toml"), settings)?;
    let endpoint = fleet.endpoint();
    let mut tenants = String::new();
    for tenant in fleet.tenants() {
        let Credential::App { app_id, .. } = &tenant.credential else { continue };
        let (id, user_id) = (&tenant.id, &tenant.user_id);
        writeln!(tenants, "[[tenants]]\nid = \"{id}\"\nendpoint = \"{endpoint}\"\nuser_id = \"{user_id}\"")?;
        writeln!(tenants, "[tenants.auth]\napp_id = \"{app_id}\"\napp_secret_file = \"{id}.secret\"\n")?;
        std::fs::write(folder.join(format!("{id}.secret")), SECRET)?;
    }
    Ok(std::fs::write(folder.join("tenants.toml"), tenants)?)
}

async fn wait_for_rounds(serve: &Serve, rounds: u64, tenants: u32) -> Result<(), Failed> {
    let started = Instant::now();
    while recorded(&serve.get("/metrics").await?.1) < rounds * u64::from(tenants) {
        give_up_after(PATIENCE, started, "the rounds did not end")?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
