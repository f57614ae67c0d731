//! How many tenants per second are collected and recorded by a running service.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quotagraph::app::{App, AppHandle};
use quotagraph::config::Config;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tokio::runtime::Handle;

use crate::fleet::{Fleet, JumpingClock};
use crate::machine::Used;
use crate::report::{self, Target};
use crate::{Failed, open, postgres};

/// Long, so that no tenant becomes due a second time while a round lasts.
const INTERVAL_S: i64 = 86_400;
const TARGET: Target = Target::AtLeast(3000.0);
/// How often it is looked whether a round is over.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What a round's samples are to the history, and how many runs a complete round leaves for each tenant that fulfil a condition.
const ROUNDS: [(&str, &str, u32); 3] = [
    ("first round: every tenant is new", "true", 1),
    ("second round: equal samples extend runs", "samples >= 2", 1),
    ("third round: every value has changed", "true", 2),
];

/// Measures, prints, and says whether the target is met.
pub(crate) async fn measure(tenants: u32, repetitions: u32, upstream: &Handle) -> Result<bool, Failed> {
    let mut per_second = [const { Vec::new() }; 3];
    let mut processors = [const { Vec::new() }; 2];
    for _ in 0..repetitions {
        let used = Used::now()?;
        for (figures, took) in per_second.iter_mut().zip(repeat(tenants, upstream).await?) {
            figures.push(f64::from(tenants) / took.as_secs_f64());
        }
        let (own, others) = used.since()?;
        processors[0].push(own);
        processors[1].push(others);
    }
    println!("\n{tenants} tenants, collected and recorded:");
    let mut all_met = true;
    for ((what, ..), figures) in ROUNDS.iter().zip(&per_second) {
        all_met &= report::print(what, "tenants/s", 0, figures, TARGET);
    }
    report::print("three rounds, processor time here, simulator included", "s", 1, &processors[0], Target::None);
    report::print("three rounds, processor time of all other processes", "s", 1, &processors[1], Target::None);
    Ok(all_met)
}

/// How long each of the three rounds took, in a new database.
async fn repeat(tenants: u32, upstream: &Handle) -> Result<[Duration; 3], Failed> {
    let database = postgres::database().await;
    let clock = Arc::new(JumpingClock::default());
    let fleet = Fleet::start(tenants, clock.clone(), upstream).await?;
    let store = open(&database.url).await?;
    let app = App::build(&config(), fleet.watched(), store, clock.clone()).await?;
    let handle = app.handle();
    let mut checks = PgConnection::connect(&database.url).await?;

    let started = Instant::now();
    let running = tokio::spawn(app.run());
    let first = wait_for(&handle, &mut checks, tenants, 0, started).await?;
    let second = next_round(&clock, &handle, &mut checks, tenants, 1).await?;
    fleet.set_allocated(2000)?;
    let third = next_round(&clock, &handle, &mut checks, tenants, 2).await?;

    handle.stop();
    running.await??;
    checks.close().await?;
    fleet.stop().await;
    Ok([first, second, third])
}

/// Makes all tenants due and waits until they are recorded.
async fn next_round(
    clock: &JumpingClock,
    handle: &AppHandle,
    checks: &mut PgConnection,
    tenants: u32,
    round: usize,
) -> Result<Duration, Failed> {
    clock.jump(INTERVAL_S);
    wait_for(handle, checks, tenants, round, Instant::now()).await
}

/// Waits until the database holds a round completely. The service's own count says when it is worth asking the database.
async fn wait_for(
    handle: &AppHandle,
    checks: &mut PgConnection,
    tenants: u32,
    round: usize,
    started: Instant,
) -> Result<Duration, Failed> {
    let (_, condition, runs_per_tenant) = ROUNDS[round];
    let rounds = u64::try_from(round)? + 1;
    while recorded(&handle.metrics().encode()?) < rounds * u64::from(tenants) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let count = format!("select count(*) from space_snapshots where {condition}");
    loop {
        let row = sqlx::query(AssertSqlSafe(count.clone())).fetch_one(&mut *checks).await?;
        if row.try_get::<i64, _>(0)? >= i64::from(tenants * runs_per_tenant) {
            return Ok(started.elapsed());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How many samples were recorded, by what `/metrics` shows.
pub(crate) fn recorded(metrics: &str) -> u64 {
    let of_outcome = |line: &str| line.strip_prefix("quotagraph_recorded_samples_total")?.rsplit_once(' ')?.1.parse::<u64>().ok();
    metrics.lines().filter_map(of_outcome).sum()
}

/// The defaults, but for the limit that spares the real upstream.
fn config() -> Config {
    let mut config = Config::default();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.collector.interval = Duration::from_secs(INTERVAL_S.unsigned_abs());
    config.upstream.requests_per_second = 1_000_000;
    config
}
