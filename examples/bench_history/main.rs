//! Measures a year of history of many tenants: its size, and how fast it is asked, exported and added to. `bench/history` builds and runs it;
//! `bench/README.md` says what the figures mean.
#![expect(clippy::print_stdout, reason = "the figures")]

mod asking;
mod export;
mod load;
#[path = "../bench_collector/machine.rs"]
#[expect(dead_code, reason = "processor time is measured by the other one")]
mod machine;
mod plain;
#[path = "../../tests/it/support/postgres.rs"]
mod postgres;
mod recording;
#[path = "../bench_collector/report.rs"]
mod report;
#[path = "../bench_collector/serve.rs"]
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use quotagraph::store::{self, SharedStore};
use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection, PgConnection, Row};

use self::load::History;
use self::report::Target;

/// Why a measurement could not be made.
type Failed = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Parser)]
struct Args {
    /// Tenants with a history.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(20..=1_000_000))]
    tenants: u32,

    /// Days of history, sampled every five minutes, with four changes a day.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(31..=3650))]
    days: u32,

    /// Of how many tenants plain SQL over one row for each sample is measured beside it; 0 for none.
    #[arg(long, default_value_t = 100)]
    plain: u32,

    /// How often questions to the fleet are repeated; the medians count.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    repetitions: u32,

    /// The built `quotagraph`. By default the one that was built beside this program.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    // Given up, everything that was started goes with the future.
    let outcome = tokio::select! {
        all_met = measure(&args) => all_met,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!("\nA target is missed.");
            ExitCode::FAILURE
        }
        Err(cause) => {
            println!("bench_history: {cause}");
            ExitCode::FAILURE
        }
    }
}

/// Makes all measurements, prints them, and says whether all targets are met.
async fn measure(args: &Args) -> Result<bool, Failed> {
    quotagraph::telemetry::init(quotagraph::telemetry::LogFormat::Text, "warn")?;
    let binary = args.binary.clone().map_or_else(serve::built_binary, Ok)?;
    let database = postgres::database().await;
    machine::print(&database.url).await?;
    let store = open(&database.url).await?;
    let history = History::load(&store, args.tenants, args.days).await?;
    println!(
        "\n{} runs of {} tenants over {} days, written in {:.0} s:",
        history.runs,
        args.tenants,
        args.days,
        history.took.as_secs_f64()
    );
    execute(&database.url, "vacuum analyze").await?;
    let gib = number(&database.url, "select pg_database_size(current_database())::float8").await? / 1e9;
    let mut all_met = report::print("size of the database, indexes included", "GB", 2, &[gib], Target::Below(2.0));
    for table in ["space_runs", "fleet_days", "fleet_openings", "fleet_changes", "tenants", "space_changes"] {
        let size = format!("select coalesce(pg_total_relation_size(to_regclass('{table}')), 0)::float8");
        report::print(&format!("  of which {table}"), "GB", 3, &[number(&database.url, &size).await? / 1e9], Target::None);
    }
    all_met &= asking::measure(&binary, &database.url, &history, args.repetitions).await?;
    all_met &= export::measure(&binary, &database.url, &history).await?;
    all_met &= recording::measure(&store, &history, args.repetitions).await?;
    if args.plain > 0 {
        plain::measure(&database.url, &history, args.plain).await?;
    }
    store.close().await;
    Ok(all_met)
}

async fn open(url: &str) -> Result<SharedStore, Failed> {
    let settings = store::Settings {
        url: SecretString::from(url),
        max_connections: 10,
        acquire_timeout: std::time::Duration::from_secs(30),
        listen: false,
    };
    let store = store::open(&settings).await?;
    store.migrate().await?;
    Ok(store)
}

/// Connects for statements that may take long.
async fn connect(database: &str) -> Result<PgConnection, Failed> {
    Ok(database.parse::<PgConnectOptions>()?.disable_statement_logging().connect().await?)
}

/// Runs statements.
async fn execute(database: &str, sql: &str) -> Result<(), Failed> {
    let mut connection = connect(database).await?;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// The number that a statement gives.
async fn number(database: &str, sql: &str) -> Result<f64, Failed> {
    let mut connection = connect(database).await?;
    let row = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(row.try_get(0)?)
}
