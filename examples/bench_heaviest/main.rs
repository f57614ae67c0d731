//! Measures the heaviest documents that are allowed: what each takes of processor time and memory, and whether others are still answered beside
//! it. `bench/heaviest` builds and runs it; `bench/README.md` says what the figures mean.
#![expect(clippy::print_stdout, reason = "the figures")]

mod documents;
mod load;
#[path = "../bench_collector/machine.rs"]
#[expect(dead_code, reason = "processor time is measured by the other one")]
mod machine;
mod measuring;
#[path = "../../tests/it/support/postgres.rs"]
mod postgres;
#[path = "../bench_collector/serve.rs"]
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use quotagraph::store::{self, SharedStore};
use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use self::load::History;
use self::measuring::Row;

/// Why a measurement could not be made.
type Failed = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Backend {
    Postgres,
    Sqlite,
}

#[derive(Debug, Parser)]
struct Args {
    /// A tenth of the history, for a quick look.
    #[arg(long)]
    quick: bool,

    /// Tenants with four changes a day.
    #[arg(long, default_value_t = 2000)]
    tenants: u32,

    /// Tenants more that change with every sample, every five minutes.
    #[arg(long, default_value_t = 20)]
    dense: u32,

    /// Days of history.
    #[arg(long, default_value_t = 365)]
    days: u32,

    /// Only the documents whose name has this in it.
    #[arg(long, default_value = "")]
    only: String,

    /// Where the history is.
    #[arg(long, value_enum, default_value_t = Backend::Postgres)]
    database: Backend,

    /// The built `quotagraph`. By default the one that was built beside this program.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = Args::parse();
    if args.quick {
        (args.tenants, args.dense, args.days) = (args.tenants.min(500), args.dense.min(6), args.days.min(120));
    }
    // Given up, everything that was started goes with the future.
    let outcome = tokio::select! {
        missed = measure(&args) => missed,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    match outcome {
        Ok(missed) if missed.is_empty() => ExitCode::SUCCESS,
        Ok(missed) => {
            println!("\nMissed:");
            for row in &missed {
                println!("  {}", row.missed());
            }
            ExitCode::FAILURE
        }
        Err(cause) => {
            println!("bench_heaviest: {cause}");
            ExitCode::FAILURE
        }
    }
}

/// Makes all measurements, prints them, and gives those that miss a target.
async fn measure(args: &Args) -> Result<Vec<Row>, Failed> {
    quotagraph::telemetry::init(quotagraph::telemetry::LogFormat::Text, "warn")?;
    let binary = args.binary.clone().map_or_else(serve::built_binary, Ok)?;
    // Who builds a client of reqwest brings the provider, also for plain HTTP.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::Builder::new().prefix("quotagraph-bench-").tempdir()?;
    let private = postgres::database().await;
    machine::print(&private.url).await?;
    let url = match args.database {
        Backend::Postgres => private.url.clone(),
        Backend::Sqlite => format!("sqlite:{}", folder.path().join("heaviest.db").display()),
    };
    let store = open(&url).await?;
    let history = History::load(&store, args.tenants, args.dense, args.days).await?;
    store.close().await;
    if args.database == Backend::Postgres {
        let mut connection = url.parse::<PgConnectOptions>()?.disable_statement_logging().connect().await?;
        sqlx::raw_sql("vacuum analyze").execute(&mut connection).await?;
        connection.close().await?;
    }
    println!(
        "history      {} runs over {} days in {:?}: of {} tenants with four changes a day and {} with one every five minutes, in {:.0} s\n",
        history.runs,
        args.days,
        args.database,
        args.tenants,
        args.dense,
        history.took.as_secs_f64()
    );
    history.write_config(folder.path())?;
    measuring::print_head();
    let mut missed = Vec::new();
    for document in documents::all(&history).into_iter().filter(|document| document.name.contains(&args.only)) {
        let row = measuring::measure(&binary, folder.path(), &url, &document).await?;
        println!("{}", row.line());
        if !row.meets_all() {
            missed.push(row);
        }
    }
    Ok(missed)
}

async fn open(url: &str) -> Result<SharedStore, Failed> {
    let settings = store::Settings {
        url: SecretString::from(url),
        max_connections: 10,
        acquire_timeout: Duration::from_secs(30),
        listen: false,
    };
    let store = store::open(&settings).await?;
    store.migrate().await?;
    Ok(store)
}
