//! Measures the collector, the start of `serve` and its memory against Postgres. `bench/collector` builds and runs it; `bench/README.md`
//! says what the figures mean.
//!
//! The upstream is the simulator, in this process but in a runtime of its own, so that it shares the processors and nothing else with
//! what is measured.
#![expect(clippy::print_stdout, reason = "the figures")]

mod fleet;
mod machine;
#[path = "../../tests/it/support/postgres.rs"]
mod postgres;
mod recording;
mod report;
mod rounds;
mod serve;
mod serving;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use quotagraph::store::{self, SharedStore};
use secrecy::SecretString;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// Why a measurement could not be made.
type Failed = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Parser)]
struct Args {
    /// Tenants that are collected.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    tenants: u32,

    /// Tenants that `serve` watches when its start and memory are measured.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    served: u32,

    /// How often each measurement is repeated; the medians count.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    repetitions: u32,

    /// The built `quotagraph`. By default the one that was built beside this program.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!("\nA target is missed.");
            ExitCode::FAILURE
        }
        Err(cause) => {
            println!("bench_collector: {cause}");
            ExitCode::FAILURE
        }
    }
}

/// Makes all measurements, prints them, and says whether all targets are met.
fn run(args: &Args) -> Result<bool, Failed> {
    quotagraph::telemetry::init(quotagraph::telemetry::LogFormat::Text, "warn")?;
    let upstream = runtime()?;
    let service = runtime()?;
    let all_met = service.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        // Given up, everything that was started goes with the future.
        tokio::select! {
            all_met = measure(args, upstream.handle()) => all_met,
            _ = terminate.recv() => Err("terminated".into()),
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        }
    });
    upstream.shutdown_background();
    all_met
}

async fn measure(args: &Args, upstream: &Handle) -> Result<bool, Failed> {
    machine::print(&postgres::database().await.url).await?;
    let mut all_met = rounds::measure(args.tenants, args.repetitions, upstream).await?;
    all_met &= recording::measure(args.repetitions).await?;
    let binary = args.binary.clone().map_or_else(serve::built_binary, Ok)?;
    all_met &= serving::measure(&binary, args.served, args.repetitions, upstream).await?;
    Ok(all_met)
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build()
}

/// Opens a store as `serve` does by default, migrated.
async fn open(url: &str) -> Result<SharedStore, Failed> {
    let settings = store::Settings {
        url: SecretString::from(url),
        max_connections: 10,
        acquire_timeout: std::time::Duration::from_secs(5),
        listen: false,
    };
    let store = store::open(&settings).await?;
    store.migrate().await?;
    Ok(store)
}
