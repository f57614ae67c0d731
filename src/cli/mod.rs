//! The subcommands. Each parses its arguments, calls the library, and prints.
//!
//! What a command is asked for goes to stdout, everything else to stderr. Errors are one sentence that says what to mend; exit code 1,
//! and 2 for wrong usage.

mod check;
mod demo;
mod export;
mod fetch;
mod hash_key;
mod import;
mod migrate;
mod output;
mod progress;
mod reloading;
mod schema;
mod serve;
mod service;
mod sign;
mod signals;
mod simulate;
mod upstream;
mod version;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ContextValue;
use clap::{Parser, Subcommand};

use crate::clock::{SharedClock, SystemClock};
use crate::config::{self, Config, Log};
use crate::store::StoreError;
use crate::tenants::WatchedTenant;
use crate::{shown, store, telemetry};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "quotagraph",
    version = version::VERSION.as_str(),
    max_term_width = 100,
    about = "A GraphQL service over the storage quota of KooDrive tenants",
    long_about = "A GraphQL service over the storage quota of KooDrive tenants.

Portals ask for a tenant's allocated and total space and get an answer from a cache in front of a signed upstream client; \
analysts read usage over time from snapshots that a collector records in Postgres or SQLite.

To see it work, without any config: quotagraph demo
To run it: copy quotagraph.example.toml to quotagraph.toml, name your tenants in it, try `quotagraph check`, then `quotagraph serve`."
)]
struct Cli {
    /// The config file [default: quotagraph.toml in the working directory]. quotagraph.example.toml documents every field; demo,
    /// schema and hash-key read none.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service: GraphQL, the collector, health and metrics.
    ///
    /// SIGTERM and SIGINT end it in order: requests are drained and everything observed is written; a second one ends it at once. SIGHUP
    /// reads the tenants again, and so does a change of the files that they and their secrets stand in.
    Serve,
    /// See it work on this machine, with simulated tenants; needs no config.
    ///
    /// Starts a simulated KooDrive that verifies every signature, makes up tenants with history, runs the service, and prints what to open
    /// and what to try. Nothing is left behind.
    Demo(demo::Args),
    /// Run the simulated KooDrive alone, for those who develop against it.
    ///
    /// It verifies signatures and dates as the real one does, and can be told to fail. Its tenants are those of the config; when there is
    /// none, it makes some up and prints a config for them.
    Simulate(simulate::Args),
    /// Validate the config, then make one signed call per tenant and look at the database.
    ///
    /// Reads all files that the config names. Prints a table of results. Changes nothing: the database is neither made nor migrated. The exit
    /// code is 1 if the config is not valid, any call failed, or the database cannot be used.
    Check,
    /// Make one call for a tenant and print the answer as JSON.
    Fetch(TenantArg),
    /// Print the signed headers of a request for a tenant, for curl.
    ///
    /// One header a line, as `curl -H @-` reads them. Nothing is sent. The headers prove who asks; the token of a tenant that has one
    /// is among them.
    Sign(TenantArg),
    /// Write history to a file: usage in buckets, or snapshots run by run.
    ///
    /// Reads the config's database directly; the service need not run. Tenants that the config no longer names are exported too.
    Export(export::Args),
    /// Add history from a file, or take such an addition back.
    ///
    /// The file has samples, with the columns `tenant,space_type,observed_at,allocated_gb,total_gb`, or snapshots as `export snapshots` writes them, as CSV or
    /// NDJSON, rows in any order. Without --apply nothing is written: it says what would change.
    ///
    /// Samples of a tenant at one instant are one answer: a space type that the file names for the tenant, but not at that instant, has
    /// ended. Of types that it never names it says nothing. Everything is read and checked before anything is written.
    Import(import::Args),
    /// Apply the missing migrations to the database and say which.
    Migrate(migrate::Args),
    /// Print the GraphQL schema (SDL).
    Schema(schema::Args),
    /// Print the SHA-256 of an API key, for the config.
    ///
    /// Reads the key from stdin. When stdin is a terminal or empty, makes a key and shows it on stderr.
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
    let cli = Cli::try_parse().unwrap_or_else(|refusal| shorten(refusal).exit());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => return fail(&cause),
    };
    let outcome = runtime.block_on(run(cli));
    // What is still under way was given its time; nothing may hold up the end.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|cause| fail(cause.as_ref()))
}

/// What is wrong with a command line, which repeats of what was given no more than any message does.
fn shorten(mut refusal: clap::Error) -> clap::Error {
    let long: Vec<_> = refusal
        .context()
        .filter_map(|(kind, value)| if let ContextValue::String(text) = value { Some((kind, text.clone())) } else { None })
        .collect();
    for (kind, text) in long {
        refusal.insert(kind, ContextValue::String(shown::cut(&text).into_owned()));
    }
    refusal
}

async fn run(cli: Cli) -> Result<ExitCode, Failed> {
    let config = cli.config.as_deref();
    match cli.command {
        Command::Serve => Box::pin(serve::run(config)).await,
        Command::Demo(args) => Box::pin(demo::run(args)).await,
        Command::Simulate(args) => simulate::run(config, args).await,
        Command::Check => check::run(config).await,
        Command::Fetch(arg) => fetch::run(config, &arg.tenant).await,
        Command::Sign(arg) => sign::run(config, &arg.tenant),
        Command::Export(args) => export::run(config, args).await,
        Command::Import(args) => import::run(config, args).await,
        Command::Migrate(args) => migrate::run(config, args).await,
        Command::Schema(args) => schema::run(&args),
        Command::HashKey => hash_key::run(),
    }
}

fn fail(cause: &(dyn std::error::Error + 'static)) -> ExitCode {
    output::say(format_args!("quotagraph: {}", telemetry::explain(cause)));
    ExitCode::FAILURE
}

/// Reads the config and starts the log.
fn load_config(path: Option<&Path>) -> Result<Config, Failed> {
    let config = config::load(path, config::process_environment())?;
    start_log(&config.log)?;
    Ok(config)
}

fn start_log(log: &Log) -> Result<(), Failed> {
    Ok(telemetry::init(log.format, &log.filter)?)
}

fn load_tenants(config: &Config) -> Result<Vec<WatchedTenant>, Failed> {
    Ok(config::load_tenants(config, config::process_environment())?)
}

/// Opens the database; makes a `SQLite` file that is not there.
async fn open_store(config: &Config) -> Result<store::SharedStore, Failed> {
    store::open(&store_settings(config)).await.map_err(explain_store)
}

/// Opens a database that is there.
async fn open_existing_store(config: &Config) -> Result<store::SharedStore, Failed> {
    store::open_existing(&store_settings(config)).await.map_err(explain_store)
}

/// Looks whether `serve` can use the database, and changes nothing.
async fn check_store(config: &Config) -> Result<(), Failed> {
    store::check(&store_settings(config), !config.database.migrate).await.map_err(explain_store)
}

fn store_settings(config: &Config) -> store::Settings {
    store::Settings {
        url: config.database.url.clone(),
        max_connections: config.database.max_connections,
        acquire_timeout: config.database.acquire_timeout,
        listen: config.database.listen,
    }
}

fn explain_store(cause: StoreError) -> Failed {
    match cause {
        StoreError::Database { .. } | StoreError::Slow(_) | StoreError::GivenUp => {
            format!("{}; see that the server runs and that database.url is right", telemetry::explain(&cause)).into()
        }
        StoreError::Unusable(_) => cause.into(),
    }
}

fn system_clock() -> SharedClock {
    Arc::new(SystemClock)
}
