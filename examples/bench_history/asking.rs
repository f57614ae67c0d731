//! How fast questions about the history are answered, over HTTP, by a `quotagraph serve` of its own process.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::Failed;
use crate::load::History;
use crate::report::{self, Target};
use crate::serve::Serve;

const POINT: &str =
    "points { start coverage allocated { average min max } total { average } utilization { average max } } coverage";

/// Measures, prints, and says whether the targets are met.
pub(crate) async fn measure(binary: &Path, database: &str, history: &History, repetitions: u32) -> Result<bool, Failed> {
    let folder = tempfile::Builder::new().prefix("quotagraph-bench-").tempdir()?;
    write_config(folder.path(), history)?;
    let (serve, _) = Serve::start(binary, folder.path(), database).await?;
    // Who builds a client of reqwest brings the provider, also for plain HTTP.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let asked = Asked { client, url: format!("http://{}/graphql", serve.address()) };
    println!("\nasked over HTTP:");

    let (from, to) = (history.from, history.to);
    let of_tenant = |place: usize, interval: &str| {
        let id = &history.tenants[place * 7919 % history.tenants.len()].id;
        format!(
            "{{ tenant(id: \"{id}\") {{ usageOverTime(from: \"{from}\", to: \"{to}\", interval: \"{interval}\") {{ {POINT} }} }} }}"
        )
    };
    let days = asked.times(200, |place| of_tenant(place, "P1D")).await?;
    let mut all_met = report::print("one tenant, a year in days", "ms p50", 1, &[percentile(&days, 50)], Target::Below(5.0));
    all_met &= report::print("one tenant, a year in days", "ms p99", 1, &[percentile(&days, 99)], Target::Below(25.0));
    let hours = asked.times(50, |place| of_tenant(place + 500, "PT1H")).await?;
    all_met &= report::print("one tenant, a year in hours", "ms p50", 1, &[percentile(&hours, 50)], Target::Below(15.0));

    let repetitions = repetitions as usize;
    let shifted = |place: usize| from + SignedDuration::from_hours(24 * i64::try_from(place).unwrap_or(0) + 24);
    let fleet = |from: Timestamp| format!("{{ fleet {{ usageOverTime(from: \"{from}\") {{ {POINT} }} }} }}");
    let first = asked.times(repetitions, |place| fleet(shifted(place))).await?;
    all_met &= report::print("the fleet, a year in days, the first time", "ms", 1, &first, Target::Below(200.0));
    let again = asked.times(5 * repetitions, |_| fleet(shifted(0))).await?;
    all_met &= report::print("the fleet, a year in days, again", "ms", 1, &again, Target::Below(20.0));
    let zone = asked
        .times(repetitions, |place| {
            format!("{{ fleet {{ usageOverTime(from: \"{}\", timeZone: \"Asia/Kathmandu\") {{ {POINT} }} }} }}", shifted(place))
        })
        .await?;
    report::print("the same in Nepal's days, the first time", "ms", 1, &zone, Target::None);
    let grouped = |place: usize| {
        let from = shifted(place);
        format!(
            "{{ fleet {{ groups(label: \"region\") {{ value fleet {{ usageOverTime(from: \"{from}\", interval: \"P1M\") {{ {POINT} }} }} }} }} }}"
        )
    };
    let grouped = asked.times(repetitions, grouped).await?;
    all_met &= report::print("the fleet by a label of 20 values, a year in months", "ms", 1, &grouped, Target::Below(400.0));
    let few: Vec<_> = history.tenants.iter().step_by(500).map(|tenant| format!("\"{}\"", tenant.id)).collect();
    let of_few = |place: usize| {
        let (ids, from) = (few.join(", "), shifted(place));
        format!("{{ fleet(where: {{ ids: [{ids}] }}) {{ usageOverTime(from: \"{from}\") {{ {POINT} }} }} }}")
    };
    let of_few = asked.times(repetitions, of_few).await?;
    report::print(&format!("a fleet of {} of them, a year in days", few.len()), "ms", 1, &of_few, Target::None);
    let list = |place: usize| {
        let from = shifted(place);
        format!(
            "{{ tenants(first: 20) {{ nodes {{ usageOverTime(from: \"{from}\") {{ points {{ allocated {{ average }} }} }} }} }} }}"
        )
    };
    let list = asked.times(repetitions, list).await?;
    report::print("a list of 20 tenants, a year in days", "ms", 1, &list, Target::None);
    for by in ["GROWTH", "UTILIZATION"] {
        // Never the same question twice: an answer that is kept is not what is measured.
        let top =
            |place: usize| format!("{{ fleet {{ top(by: {by}, first: {}) {{ rank value tenant {{ id name }} }} }} }}", 10 + place);
        let top = asked.times(repetitions, top).await?;
        all_met &= report::print(&format!("top(by: {by}) over all"), "ms", 1, &top, Target::Below(200.0));
    }
    let full = |place: usize| format!("{{ fleet {{ top(by: SOONEST_FULL, first: {}) {{ rank value }} }} }}", 10 + place);
    let full = asked.times(repetitions.max(2), full).await?;
    report::print("top(by: SOONEST_FULL) over all, the first time", "ms", 1, &full[..1], Target::None);
    report::print("top(by: SOONEST_FULL) over all, again", "ms", 1, &full[1..], Target::None);
    report::print("resident memory of serve at its peak", "MiB", 1, &[serve.memory_mib("VmHWM:")?], Target::None);
    serve.stop()?;
    Ok(all_met)
}

struct Asked {
    client: reqwest::Client,
    url: String,
}

impl Asked {
    /// How many milliseconds each of so many questions takes, one after the other.
    async fn times(&self, count: usize, question: impl Fn(usize) -> String) -> Result<Vec<f64>, Failed> {
        let mut times = Vec::with_capacity(count);
        for place in 0..count {
            let body = json!({ "query": question(place) }).to_string();
            let started = Instant::now();
            let response = self.client.post(&self.url).header("content-type", "application/json").body(body).send().await?;
            let answer = response.bytes().await?;
            times.push(started.elapsed().as_secs_f64() * 1000.0);
            let answer: Value = serde_json::from_slice(&answer)?;
            if answer.get("errors").is_some() || answer["data"].is_null() {
                return Err(format!("{}: {}", question(place), answer["errors"]).into());
            }
        }
        Ok(times)
    }
}

fn percentile(times: &[f64], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// A config with a tenants file. Nothing is collected: the upstream does not exist.
pub(crate) fn write_config(folder: &Path, history: &History) -> Result<(), Failed> {
    let settings = "tenants_file = \"tenants.toml\"\n[server]\nlisten = \"127.0.0.1:0\"\n[collector]\nenabled = false\n\
                    [cache]\nfresh_for = \"400d\"\nstale_for = \"400d\"\n";
    std::fs::write(folder.join("quotagraph.toml"), settings)?;
    std::fs::write(folder.join("secret"), "a secret of the usual length, 0123456789abcdef")?;
    let mut tenants = String::new();
    for tenant in &history.tenants {
        let (id, name, region) = (&tenant.id, &tenant.name, &tenant.labels[0].value);
        writeln!(tenants, "[[tenants]]\nid = \"{id}\"\nname = \"{name}\"\nendpoint = \"http://127.0.0.1:9\"\nuser_id = \"1\"")?;
        writeln!(
            tenants,
            "labels = {{ region = \"{region}\" }}\n[tenants.auth]\napp_id = \"app\"\napp_secret_file = \"secret\"\n"
        )?;
    }
    Ok(std::fs::write(folder.join("tenants.toml"), tenants)?)
}
