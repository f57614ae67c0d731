//! `quotagraph demo`: the whole thing on this machine in one go.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jiff::SignedDuration;
use secrecy::SecretString;

use super::progress::progress_bar;
use super::service::run_service;
use super::signals::{END_OR_HANG_UP, Signals};
use super::{Failed, open_store, output, system_clock};
use crate::app::{App, AppError};
use crate::clock::SharedClock;
use crate::config::{Config, Listen};
use crate::listener::Address;
use crate::quota::TimeRange;
use crate::simulator::demo::{DemoTenant, demo_tenants};
use crate::simulator::{CHANGE_EVERY, LiveChanges, Simulator};
use crate::store::SharedStore;
use crate::telemetry;
use crate::tenants::WatchedTenant;

/// The sampling interval of the history that is made up.
const HISTORY_INTERVAL_S: u32 = 300;
/// How long closing the database may take after a second signal.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Tenants whose ids are printed.
const NAMED: usize = 8;
const DEFAULT_LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 8080);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many tenants.
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    tenants: u32,

    /// How many days of history, sampled every five minutes.
    #[arg(long, value_name = "D", default_value_t = 90, value_parser = clap::value_parser!(u32).range(0..=3660))]
    days: u32,

    /// Where the service listens; loopback only [default: 127.0.0.1:8080, or any free port when that is taken].
    #[arg(long, value_name = "ADDR")]
    listen: Option<Listen>,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failed> {
    if let Some(address) = args.listen.as_ref().filter(|address| !address.is_local()) {
        return Err(format!("the demo serves this machine only, not {address}; choose an address such as 127.0.0.1:8080").into());
    }
    if let Some(Listen::Unix(path)) = &args.listen {
        let path = path.display();
        return Err(format!(
            "the demo is there to be opened in a browser, not at {path}; choose an address such as 127.0.0.1:8080"
        )
        .into());
    }
    telemetry::init(telemetry::LogFormat::Text, "warn")?;
    // From here on a signal ends it by this function's end, which removes the folder.
    let mut signals = Signals::listen(&END_OR_HANG_UP)?;
    let folder = tempfile::Builder::new().prefix("quotagraph-demo-").tempdir()?;
    let prepared = tokio::select! {
        prepared = prepare(&args, folder.path()) => prepared?,
        _ = signals.next() => return Ok(ExitCode::SUCCESS),
    };
    let Prepared { app, simulator, store, tenants } = prepared;
    explain(&args, &tenants, app.address(), simulator.addr())?;
    let changing = tenants.into_iter().filter_map(|demo| Some((simulator.tenant(demo.tenant.id.as_str())?, demo.model)));
    let code = tokio::select! {
        code = run_service(app, signals, None) => code?,
        never = LiveChanges::new(changing).keep(system_clock()) => match never {},
    };
    simulator.stop().await;
    // Closed already, except after a second signal; an open file would come back while the folder is removed.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, store.close()).await;
    Ok(code)
}

/// A demo that is ready.
struct Prepared {
    app: App,
    simulator: Simulator,
    store: SharedStore,
    tenants: Vec<DemoTenant>,
}

async fn prepare(args: &Args, folder: &Path) -> Result<Prepared, Failed> {
    let clock = system_clock();
    let tenants = demo_tenants(usize::try_from(args.tenants)?);
    let simulated = tenants.iter().map(|tenant| tenant.simulated.clone()).collect();
    let simulator = Simulator::start((Ipv4Addr::LOCALHOST, 0).into(), simulated, clock.clone()).await?;

    let mut config = Config::default();
    config.server.listen = args.listen.clone().unwrap_or(DEFAULT_LISTEN.into());
    config.server.default_tenant = tenants.first().map(|tenant| tenant.tenant.id.clone());
    config.database.url = SecretString::from(format!("sqlite:{}", folder.join("demo.db").display()));
    config.collector.interval = Duration::from_secs(10);
    config.cache.fresh_for = Duration::from_secs(15);
    config.upstream.requests_per_second = 2000;
    // Nobody balances a demo.
    config.server.drain_delay = Duration::ZERO;
    config.check()?;

    let store = open_store(&config).await?;
    store.migrate().await?;
    record_history(&store, &tenants, args.days, &clock).await?;
    let app =
        build(&mut config, &tenants, &simulator, &store, &clock, args.listen.is_none()).await.map_err(|cause| match cause {
            AppError::Listen { address, source } => {
                format!("cannot listen on {address}: {source}; choose another address with --listen").into()
            }
            other => Failed::from(other),
        })?;
    Ok(Prepared { app, simulator, store, tenants })
}

/// Builds the service; where the default port is taken, on any free one.
async fn build(
    config: &mut Config,
    tenants: &[DemoTenant],
    simulator: &Simulator,
    store: &SharedStore,
    clock: &SharedClock,
    any_port: bool,
) -> Result<App, AppError> {
    let watched = || -> Vec<_> {
        let watch = |demo: &DemoTenant| WatchedTenant {
            tenant: demo.tenant.clone(),
            account: demo.simulated.account(simulator.endpoint()),
        };
        tenants.iter().map(watch).collect()
    };
    match App::build(config, watched(), store.clone(), clock.clone()).await {
        Err(AppError::Listen { .. }) if any_port => {
            config.server.listen = (DEFAULT_LISTEN.0, 0).into();
            App::build(config, watched(), store.clone(), clock.clone()).await
        }
        built => built,
    }
}

/// Records what a collector would have recorded in the days before now.
async fn record_history(store: &SharedStore, tenants: &[DemoTenant], days: u32, clock: &SharedClock) -> Result<(), Failed> {
    let now = clock.now();
    let range = TimeRange { from: now - SignedDuration::from_hours(24 * i64::from(days)), to: now };
    let known: Vec<_> = tenants.iter().map(|demo| demo.tenant.clone()).collect();
    store.register_tenants(&known, now).await?;
    let progress = progress_bar("preparing history", tenants.len());
    for demo in tenants {
        let model = demo.model.clone();
        let runs = tokio::task::spawn_blocking(move || model.runs(range, HISTORY_INTERVAL_S)).await?;
        store.insert_runs(&demo.tenant.id, &runs).await?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(())
}

fn explain(args: &Args, tenants: &[DemoTenant], address: &Address, upstream: SocketAddr) -> Result<(), Failed> {
    let ids: Vec<&str> = tenants.iter().take(NAMED).map(|demo| demo.tenant.id.as_str()).collect();
    let (ids, more) = (ids.join(", "), if tenants.len() > NAMED { ", …" } else { "" });
    let (count, days) = (output::count(args.tenants, "simulated tenant"), output::count(args.days, "day"));
    let change_every = CHANGE_EVERY.as_secs();
    let from = (system_clock().now() - SignedDuration::from_hours(24 * 28)).strftime("%Y-%m-%dT00:00:00Z");
    output::print_line(format_args!(
        "quotagraph demo: {count} with {days} of history, asked every 10 s: {ids}{more}

  GraphQL     http://{address}/graphql
  GraphiQL    http://{address}/graphiql
  metrics     http://{address}/metrics
  readiness   http://{address}/readyz
  upstream    http://{upstream}/simulator/tenants   (a KooDrive that verifies every signature)

Try:

  # A tenant's quota, as a portal asks for it.
  curl -sG http://{address}/graphql --data-urlencode 'query={{ tenant {{ spaceAllocation {{ allocated total utilization }} }} }}'

  # The five fullest tenants.
  curl -sG http://{address}/graphql --data-urlencode 'query={{ tenants(first: 5, orderBy: {{ by: UTILIZATION, direction: DESC }})
    {{ totalCount nodes {{ name spaceAllocation {{ allocated(unit: TB) total(unit: TB) utilization observedAt source }} }} }} }}'

  # A tenant's usage by week in Shanghai's calendar, with what observations cover.
  curl -sG http://{address}/graphql --data-urlencode 'query={{ tenant(id: \"acme\") {{ usageOverTime(from: \"{from}\",
    interval: \"P1W\", timeZone: \"Asia/Shanghai\") {{ coverage points {{ start complete coverage allocated {{ average max }} }} }} }} }}'

  # How it grew within a month, and when 90 % of its space will be allocated.
  curl -sG http://{address}/graphql --data-urlencode 'query={{ tenant(id: \"acme\") {{ growth {{ perDay utilizationChange }}
    forecast(threshold: 0.9, confidence: 0.8) {{ unavailable reachesThresholdAt earliest latest backtestError }} }} }}'

  # The same tenant day by day, as a file; also format=ndjson and format=parquet.
  curl -s 'http://{address}/v1/export/usage?tenant=acme&format=csv'

  # What changes from now on: here a tenant does every {change_every} s.
  curl -sNG http://{address}/graphql -H 'Accept: text/event-stream' --data-urlencode 'query=subscription
    {{ spaceAllocationChanged {{ tenant {{ id }} before {{ allocated }} after {{ allocated total }} recordedAt }} }}'

  # The upstream fails for a tenant, whose last known value is then served as STALE. DELETE in place of PUT ends that.
  curl -s -X PUT http://{upstream}/simulator/tenants/acme -d '{{\"status\": 503}}'

Ctrl-C ends it; nothing is left behind."
    ))
}
