//! What the figures were measured on.

use std::fs::read_to_string;

use sqlx::{Connection, PgConnection, Row};

use crate::Failed;

/// Prints the processors and the versions.
pub(crate) async fn print(database: &str) -> Result<(), Failed> {
    let cores = std::thread::available_parallelism()?;
    let load = read_to_string("/proc/loadavg")?;
    println!("processors   {cores} x {}; load before: {}", processor()?, load.split(' ').next().unwrap_or_default());
    println!("versions     quotagraph {}, Postgres {}", env!("CARGO_PKG_VERSION"), setting(database, "server_version").await?);
    let durable = [setting(database, "fsync").await?, setting(database, "synchronous_commit").await?];
    println!(
        "Postgres     fsync {}, synchronous_commit {}, in a folder of {}",
        durable[0],
        durable[1],
        std::env::temp_dir().display()
    );
    Ok(())
}

fn processor() -> Result<String, Failed> {
    let info = read_to_string("/proc/cpuinfo")?;
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Ok(model.map_or("unknown", |(_, name)| name).to_owned())
}

async fn setting(database: &str, name: &'static str) -> Result<String, Failed> {
    let mut connection = PgConnection::connect(database).await?;
    let row = sqlx::query("select current_setting($1)").bind(name).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(row.try_get(0)?)
}

/// Seconds of processor time, since the machine started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    own: f64,
    all: f64,
}

/// Hundredths of a second: what Linux tells processor time in, on every machine of today.
const TICKS_PER_SECOND: f64 = 100.0;

impl Used {
    /// What has been used until now.
    pub(crate) fn now() -> Result<Self, Failed> {
        let process = read_to_string("/proc/self/stat")?;
        // The name, in parentheses, may hold blanks. Fields 14 and 15 are the time in user and in kernel mode.
        let own = process.rsplit_once(") ").map_or(0.0, |(_, fields)| ticks(fields, &[11, 12]));
        let machine = read_to_string("/proc/stat")?;
        // user, nice, system, irq, softirq
        let all = machine.lines().next().map_or(0.0, |line| ticks(line.trim_start_matches("cpu").trim_start(), &[0, 1, 2, 5, 6]));
        Ok(Self { own, all })
    }

    /// What this process has used since, and what everything else on the machine has.
    pub(crate) fn since(self) -> Result<(f64, f64), Failed> {
        let now = Self::now()?;
        let own = now.own - self.own;
        Ok((own, now.all - self.all - own))
    }
}

fn ticks(fields: &str, places: &[usize]) -> f64 {
    let fields: Vec<&str> = fields.split(' ').collect();
    let tick = |place: &usize| fields.get(*place).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    places.iter().map(tick).sum::<f64>() / TICKS_PER_SECOND
}
