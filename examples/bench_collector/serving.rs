//! How soon the built `quotagraph serve` is ready, and how much memory it takes.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quotagraph::clock::SystemClock;
use quotagraph::koodrive::Credential;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use crate::fleet::{Fleet, SECRET};
use crate::report::{self, Target};
use crate::rounds::recorded;
use crate::{Failed, postgres};

/// Short, so that two rounds do not take long.
const INTERVAL_S: u32 = 5;
const READY_TARGET: Target = Target::Below(1.0);
const MEMORY_TARGET: Target = Target::Below(64.0);
/// How long anything may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_mins(1);

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
        serve.wait_for_rounds(2, tenants).await?;
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

/// A running service.
struct Serve {
    process: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Serve {
    /// Starts the service and waits until it is ready; says how long that took.
    async fn start(binary: &Path, folder: &Path, database: &str) -> Result<(Self, Duration), Failed> {
        let started = Instant::now();
        let mut process = Command::new(binary)
            .args(["--config", "quotagraph.toml", "serve"])
            .current_dir(folder)
            .env("DATABASE_URL", database)
            .env("QUOTAGRAPH_LOG__FORMAT", "json")
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|cause| format!("cannot start {}: {cause}", binary.display()))?;
        let stderr = process.stderr.take().ok_or("no pipe")?;
        // From here on the process ends with this value, whatever happens.
        let mut serve = Self { process, address: ([127, 0, 0, 1], 0).into(), log: Arc::default() };
        serve.address = follow_log(BufReader::new(stderr), &serve.log)?;
        while serve.get("/readyz").await?.0 != 200 {
            give_up_after(PATIENCE, started, "serve did not become ready")?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok((serve, started.elapsed()))
    }

    async fn wait_for_rounds(&self, rounds: u64, tenants: u32) -> Result<(), Failed> {
        let started = Instant::now();
        while recorded(&self.get("/metrics").await?.1) < rounds * u64::from(tenants) {
            give_up_after(PATIENCE, started, "the rounds did not end")?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn get(&self, path: &str) -> Result<(u16, String), Failed> {
        self.try_get(path).await.map_err(|cause| format!("serve did not answer: {cause}\n{}", self.log.lock()).into())
    }

    async fn try_get(&self, path: &str) -> Result<(u16, String), Failed> {
        let mut connection = TcpStream::connect(self.address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        let status = answer.split(' ').nth(1).unwrap_or_default().parse()?;
        Ok((status, answer))
    }

    /// A figure of `/proc/PID/status`.
    fn memory_mib(&self, field: &str) -> Result<f64, Failed> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let kib = status.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB"));
        Ok(kib.ok_or("the process is gone")?.parse::<f64>()? / 1024.0)
    }

    /// Ends it in order.
    fn stop(mut self) -> Result<(), Failed> {
        let told = Command::new("kill").arg(self.process.id().to_string()).status()?;
        let ended = self.process.wait()?;
        if told.success() && ended.success() {
            Ok(())
        } else {
            Err(format!("serve did not end well: {ended}\n{}", self.log.lock()).into())
        }
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Keeps the log from now on, and waits for the line of it that names the address.
fn follow_log(mut stderr: BufReader<ChildStderr>, log: &Arc<Mutex<String>>) -> Result<SocketAddr, Failed> {
    loop {
        let mut line = String::new();
        if stderr.read_line(&mut line)? == 0 {
            return Err(format!("serve ended: {}", log.lock()).into());
        }
        log.lock().push_str(&line);
        if let Some((_, rest)) = line.split_once("\"address\":\"") {
            let address = rest.split('"').next().unwrap_or_default().parse()?;
            let log = Arc::clone(log);
            std::thread::spawn(move || stderr.lines().map_while(Result::ok).for_each(|line| *log.lock() += &(line + "\n")));
            return Ok(address);
        }
    }
}

fn give_up_after(patience: Duration, started: Instant, why: &str) -> Result<(), Failed> {
    if started.elapsed() < patience { Ok(()) } else { Err(format!("{why} within {} s", patience.as_secs()).into()) }
}
