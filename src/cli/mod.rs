//! The subcommands. Each parses its arguments, calls the library, and prints.
//!
//! What a command is asked for goes to stdout, everything else to stderr. Errors are one sentence that says what to mend; exit code 1,
//! and 2 for wrong usage.

mod check;
mod demo;
mod fetch;
mod hash_key;
mod migrate;
mod schema;
mod serve;
mod service;
mod sign;
mod simulate;
mod upstream;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::clock::{SharedClock, SystemClock};
use crate::config::{self, Config};
use crate::tenants::WatchedTenant;
use crate::{store, telemetry};

/// A GraphQL service over the storage quota of KooDrive tenants.
///
/// Portals ask for a tenant's allocated and total space and get an answer from a cache in front of a signed upstream client; analysts
/// read usage over time from snapshots that a collector records in Postgres or `SQLite`.
///
/// To see it work: quotagraph demo
#[derive(Debug, Parser)]
#[command(name = "quotagraph", version, max_term_width = 100)]
struct Cli {
    /// The config file; quotagraph.toml in the working directory by default. Every field is documented in quotagraph.example.toml.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service: GraphQL, the collector, health and metrics.
    Serve,
    /// See it work on this machine: a simulated KooDrive, tenants with history, and the service. Needs no config and leaves nothing behind.
    Demo(demo::Args),
    /// Run the simulated KooDrive alone. It verifies signatures and dates, and can be told to fail.
    Simulate(simulate::Args),
    /// Validate the config, then make one signed call per tenant and show the results. Fails if any call failed.
    Check,
    /// Make one call for a tenant and print the answer as JSON.
    Fetch(TenantArg),
    /// Print the signed headers of a request for a tenant, one per line, as `curl -H @-` reads them.
    Sign(TenantArg),
    /// Apply the missing migrations to the database and say which.
    Migrate,
    /// Print the GraphQL schema (SDL).
    Schema,
    /// Print the SHA-256 of an API key for the config. Reads the key from stdin, or makes one when stdin is a terminal or empty.
    HashKey,
}

#[derive(Debug, clap::Args)]
struct TenantArg {
    /// The tenant's id in the config.
    tenant: String,
}

/// Why a command failed, as one sentence.
type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Parses the command line, runs the command and gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => return fail(&cause),
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(cause) => fail(cause.as_ref()),
    }
}

async fn run(cli: Cli) -> Result<ExitCode, Failed> {
    let config = cli.config.as_deref();
    match cli.command {
        Command::Serve => serve::run(config).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Simulate(args) => simulate::run(config, args).await,
        Command::Check => check::run(config).await,
        Command::Fetch(arg) => fetch::run(config, &arg.tenant).await,
        Command::Sign(arg) => sign::run(config, &arg.tenant),
        Command::Migrate => migrate::run(config).await,
        Command::Schema => schema::run(),
        Command::HashKey => hash_key::run(),
    }
}

#[expect(clippy::print_stderr, reason = "the sentence that says what to mend")]
fn fail(cause: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprint!("quotagraph: {cause}");
    let mut source = cause.source();
    while let Some(deeper) = source {
        // Messages often repeat their source already.
        if !cause.to_string().contains(&deeper.to_string()) {
            eprint!(": {deeper}");
        }
        source = deeper.source();
    }
    eprintln!();
    ExitCode::FAILURE
}

/// Reads the config and starts the log.
fn load_config(path: Option<&Path>) -> Result<Config, Failed> {
    let config = config::load(path, config::process_environment())?;
    telemetry::init(config.log.format, &config.log.filter)?;
    Ok(config)
}

fn load_tenants(config: &Config) -> Result<Vec<WatchedTenant>, Failed> {
    Ok(config::load_tenants(config, config::process_environment())?)
}

async fn open_store(config: &Config) -> Result<store::SharedStore, Failed> {
    let settings = store::Settings {
        url: config.database.url.clone(),
        max_connections: config.database.max_connections,
        acquire_timeout: config.database.acquire_timeout,
    };
    Ok(store::open(&settings).await?)
}

fn system_clock() -> SharedClock {
    Arc::new(SystemClock)
}
