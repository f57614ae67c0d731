//! A `quotagraph serve` of its own process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Failed;

/// How long anything may take before the measurement is given up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A running service.
pub(crate) struct Serve {
    process: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Serve {
    /// Starts the service and waits until it is ready; says how long that took.
    pub(crate) async fn start(binary: &Path, folder: &Path, database: &str) -> Result<(Self, Duration), Failed> {
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

    pub(crate) async fn get(&self, path: &str) -> Result<(u16, String), Failed> {
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

    /// Where it listens.
    #[expect(clippy::allow_attributes, reason = "only one of the programs that share this file has it unused")]
    #[allow(dead_code, reason = "not all programs that share this file need it")]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    #[expect(clippy::allow_attributes, reason = "only one of the programs that share this file uses it")]
    #[allow(dead_code, reason = "not all programs that share this file need it")]
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A figure of `/proc/PID/status`.
    pub(crate) fn memory_mib(&self, field: &str) -> Result<f64, Failed> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let kib = status.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB"));
        Ok(kib.ok_or("the process is gone")?.parse::<f64>()? / 1024.0)
    }

    /// Ends it in order.
    pub(crate) fn stop(mut self) -> Result<(), Failed> {
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

/// Cargo puts examples into a folder beside the binaries of the same profile.
pub(crate) fn built_binary() -> Result<PathBuf, Failed> {
    let here = std::env::current_exe()?;
    let profile = here.parent().and_then(Path::parent).ok_or("this program stands in no folder")?;
    Ok(profile.join("quotagraph"))
}

pub(crate) fn give_up_after(patience: Duration, started: Instant, why: &str) -> Result<(), Failed> {
    if started.elapsed() < patience { Ok(()) } else { Err(format!("{why} within {} s", patience.as_secs()).into()) }
}
