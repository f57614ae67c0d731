//! What a document takes, and what others notice of it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::{Client, Response};
use serde_json::Value;

use crate::Failed;
use crate::documents::Document;
use crate::serve::Serve;

const MOST_CPU_S: f64 = 4.0;
const MOST_MB: f64 = 300.0;
const LATEST: Duration = Duration::from_millis(100);
/// How often others ask.
const PROBE_EVERY: Duration = Duration::from_millis(5);
/// How long a client waits that goes away.
const GONE_AFTER: Duration = Duration::from_millis(300);
/// What an event begins with.
const EVENT: &[u8] = b"event: next\n";
/// What a service does that has nothing to do, in seconds of processor time in half a second.
const IDLE: f64 = 0.02;

/// What came.
struct Outcome {
    told: String,
    /// How many answers: of a subscription, one for each event.
    answers: u32,
}

/// The figures of a document.
pub(crate) struct Row {
    name: String,
    outcome: String,
    took: Duration,
    /// For each answer.
    cpu_s: f64,
    peak_mb: f64,
    /// The longest that `/healthz` took while two of it were made.
    health: Duration,
    /// Processor time after the client has gone.
    gone_s: f64,
}

pub(crate) fn print_head() {
    println!("{:<52} {:>8} {:>8} {:>10} {:>9} {:>9}  answer", "document", "answered", "CPU", "peak", "/healthz", "CPU gone");
}

impl Row {
    pub(crate) fn line(&self) -> String {
        format!(
            "{:<52} {:>6.2} s {:>6.2} s {:>7.0} MB {:>6.0} ms {:>7.2} s  {}{}",
            self.name,
            self.took.as_secs_f64(),
            self.cpu_s,
            self.peak_mb,
            self.health.as_secs_f64() * 1000.0,
            self.gone_s,
            self.outcome,
            if self.meets_all() { "" } else { "  MISSED" }
        )
    }

    pub(crate) fn meets_all(&self) -> bool {
        self.cpu_s <= MOST_CPU_S && self.peak_mb <= MOST_MB && self.health <= LATEST
    }

    pub(crate) fn missed(&self) -> String {
        let mut missed = Vec::new();
        if self.cpu_s > MOST_CPU_S {
            missed.push(format!("{:.1} s of processor time instead of {MOST_CPU_S}", self.cpu_s));
        }
        if self.peak_mb > MOST_MB {
            missed.push(format!("{:.0} MB instead of {MOST_MB}", self.peak_mb));
        }
        if self.health > LATEST {
            missed.push(format!("/healthz after {} ms instead of {}", self.health.as_millis(), LATEST.as_millis()));
        }
        format!("{}: {}", self.name, missed.join(", "))
    }
}

/// Measures a document in a service of its own, so that nothing is kept from another one.
pub(crate) async fn measure(binary: &Path, folder: &Path, database: &str, document: &Document) -> Result<Row, Failed> {
    let (serve, _) = Serve::start(binary, folder, database).await?;
    let asking = Asking { client: Client::builder().no_proxy().build()?, serve: &serve, document };
    // Whatever is made once.
    asking.ask("{ tenants(first: 3) { nodes { growth { perDay } } } fleet { spaceAllocation { total } } }").await?;
    let pid = serve.pid();
    settle(pid).await?;
    let (before, resident) = (cpu_s(pid)?, serve.memory_mib("VmRSS:")?);
    fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
    let started = Instant::now();
    let outcome = asking.outcome().await?;
    let took = started.elapsed();
    settle(pid).await?;
    let cpu_s_taken = (cpu_s(pid)? - before) / f64::from(outcome.answers);
    let peak_mb = (serve.memory_mib("VmHWM:")? - resident) * 1.048_576;
    let health = {
        let both = async { tokio::try_join!(asking.outcome(), asking.outcome()) };
        let mut both = std::pin::pin!(both);
        let mut longest = Duration::ZERO;
        loop {
            let started = Instant::now();
            let probe = async {
                serve.get("/healthz").await?;
                longest = longest.max(started.elapsed());
                tokio::time::sleep(PROBE_EVERY).await;
                Ok::<_, Failed>(())
            };
            let mut probe = std::pin::pin!(probe);
            tokio::select! {
                done = &mut both => {
                    done?;
                    // One that was under way counts, too.
                    probe.await?;
                    break;
                }
                probed = &mut probe => probed?,
            }
        }
        longest
    };
    settle(pid).await?;
    let before = cpu_s(pid)?;
    let _ = tokio::time::timeout(GONE_AFTER, asking.outcome()).await;
    let at_end = cpu_s(pid)?;
    settle(pid).await?;
    let gone_s = if at_end > before { cpu_s(pid)? - at_end } else { 0.0 };
    serve.stop()?;
    Ok(Row { name: document.name.clone(), outcome: outcome.told, took, cpu_s: cpu_s_taken, peak_mb, health, gone_s })
}

struct Asking<'a> {
    client: Client,
    serve: &'a Serve,
    document: &'a Document,
}

impl Asking<'_> {
    async fn send(&self, body: String) -> Result<Response, Failed> {
        let accept = if self.document.events.is_some() { "text/event-stream" } else { "application/json" };
        let request = self.client.post(format!("http://{}/graphql", self.serve.address()));
        let request = request.header("content-type", "application/json").header("accept", accept);
        Ok(request.header("accept-encoding", self.document.encoding).body(body).send().await?)
    }

    async fn ask(&self, query: &str) -> Result<(), Failed> {
        let request = self.client.post(format!("http://{}/graphql", self.serve.address()));
        let body = serde_json::json!({ "query": query }).to_string();
        let answer = request.header("content-type", "application/json").body(body).send().await?.text().await?;
        if answer.contains("\"errors\"") { Err(answer.into()) } else { Ok(()) }
    }

    /// Asks, and says what the answer was.
    async fn outcome(&self) -> Result<Outcome, Failed> {
        let mut response = self.send(self.document.body.clone()).await?;
        let (mut taken, mut head, mut answers) = (0, Vec::new(), 0);
        while let Some(part) = response.chunk().await? {
            taken += part.len();
            answers += u32::try_from(part.windows(EVENT.len()).filter(|window| *window == EVENT).count())?;
            if head.len() < 100_000 {
                head.extend_from_slice(&part);
            }
            if self.document.events.is_some_and(|enough| taken >= enough) {
                break;
            }
        }
        let events = if self.document.events.is_some() { format!(" in {answers} events") } else { String::new() };
        let told = format!("{:.1} MB{events}{}", f64::from(u32::try_from(taken)?) / 1e6, told(&head));
        Ok(Outcome { told, answers: answers.max(1) })
    }
}

/// The code and the sentence of an answer's first error.
fn told(head: &[u8]) -> String {
    let text = String::from_utf8_lossy(head);
    let text = text.split_once("\"errors\":").map(|(_, errors)| errors.to_owned());
    let Some(errors) = text else { return String::new() };
    let mut values = serde_json::Deserializer::from_str(&errors).into_iter::<Value>();
    let Some(Ok(errors)) = values.next() else { return ", errors".to_owned() };
    let (code, message) = (&errors[0]["extensions"]["code"], &errors[0]["message"]);
    format!(", {}: {}", code.as_str().unwrap_or_default(), message.as_str().unwrap_or_default())
}

/// Waits until the service has nothing more to do.
async fn settle(pid: u32) -> Result<(), Failed> {
    let deadline = Instant::now() + Duration::from_mins(5);
    loop {
        let before = cpu_s(pid)?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        if cpu_s(pid)? - before <= IDLE {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err("the service works on and on".into());
        }
    }
}

/// Processor time that a process has taken, in seconds; Linux counts hundredths.
fn cpu_s(pid: u32) -> Result<f64, Failed> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold blanks.
    let (_, fields) = stat.rsplit_once(") ").ok_or("no such figures")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / 100.0)
}
