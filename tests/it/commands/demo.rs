//! `demo`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use jiff::SignedDuration;
use quotagraph::clock::{Clock as _, SystemClock};
use serde_json::Value;
use tokio::process::Command;

use crate::support::process::{Running, patiently, quotagraph, run, until};
use crate::support::site::{ask, client};

/// A demo whose temporary folder can be seen.
struct Demo {
    process: Running,
    folder: tempfile::TempDir,
}

impl Demo {
    fn start(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { process: Running::start(command(folder.path(), args)), folder }
    }

    /// Waits until it is ready, and gives what it printed.
    async fn ready(&mut self) -> String {
        self.process.stdout.until("the last line", |text| text.contains("Ctrl-C ends it") && text.ends_with('\n')).await
    }

    fn files(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = quotagraph(folder, &[&["demo"], args].concat());
    command.env("TMPDIR", folder);
    command
}

/// The address after a word.
fn address<'a>(printed: &'a str, word: &str) -> &'a str {
    let line = printed.lines().find(|line| line.trim_start().starts_with(word)).unwrap();
    line.split_whitespace().find(|part| part.starts_with("http://")).unwrap()
}

/// The commands under "Try:".
fn commands(printed: &str) -> Vec<&str> {
    let (_, rest) = printed.split_once("Try:").unwrap();
    rest.split("\n\n").filter_map(|part| Some(&part[part.find("curl ")?..])).collect()
}

fn assert_good(answer: &str, query: &str) {
    let answer: Value = serde_json::from_str(answer).unwrap_or_else(|_| panic!("{query}: {answer}"));
    assert!(answer.get("errors").is_none() && answer["data"].is_object(), "{query}: {answer}");
}

#[tokio::test]
async fn the_demo_answers_the_queries_that_it_prints_and_leaves_nothing_behind() {
    let began = SystemClock.now();
    let mut demo = Demo::start(&["--tenants", "3", "--days", "7", "--listen", "127.0.0.1:0"]);
    let printed = demo.ready().await;
    assert!(printed.starts_with("quotagraph demo: 3 simulated tenants with 7 days of history"), "{printed}");
    assert!(printed.contains("asked every 10 s: acme, aurora-foods, bluewater\n"), "{printed}");
    let graphql = address(&printed, "GraphQL");
    assert!(!graphql.contains(":0/"), "{graphql}");
    let client = client();
    let has_curl = Command::new("curl").arg("--version").stdout(Stdio::null()).status().await.is_ok();
    let commands = commands(&printed);
    let (queries, others): (Vec<_>, Vec<_>) = commands.into_iter().partition(|line| line.contains("'query={"));
    assert_eq!((queries.len(), others.len()), (4, 3), "{printed}");
    let [files, changes, failing] = &others[..] else { unreachable!() };
    // A tenant changes at once, and the collector asks each of them every ten seconds. Whoever comes later sees it by `since`.
    let subscription = changes.split_once("'query=").unwrap().1.split_once('\'').unwrap().0;
    let since = format!("spaceAllocationChanged(since: \"{began}\")");
    let subscription = subscription.replace("spaceAllocationChanged", &since);
    let mut url = reqwest::Url::parse(graphql).unwrap();
    url.query_pairs_mut().append_pair("query", &subscription);
    let mut stream = client.get(url).header("Accept", "text/event-stream").send().await.unwrap();
    let url = files.split('\'').nth(1).unwrap();
    let file = client.get(url).send().await.unwrap().text().await.unwrap();
    assert!(file.starts_with("tenant,space_type,start,") && file.lines().count() == 32, "{file}");
    for line in &queries {
        let query = line.split_once("'query=").unwrap().1.trim_end().strip_suffix('\'').unwrap();
        let mut url = reqwest::Url::parse(graphql).unwrap();
        url.query_pairs_mut().append_pair("query", query);
        let answer = client.get(url).send().await.unwrap().text().await.unwrap();
        assert_good(&answer, query);
        if has_curl {
            let output = patiently("curl", Command::new("sh").args(["-c", line]).output()).await.unwrap();
            assert_good(&String::from_utf8(output.stdout).unwrap(), line);
        }
    }

    let mut told = String::new();
    while !told.contains("\"spaceAllocationChanged\":{\"tenant\":{\"id\":\"") {
        let piece = patiently("an event", stream.chunk()).await.unwrap().expect("the stream goes on");
        told.push_str(&String::from_utf8_lossy(&piece));
    }
    let (url, body) = (failing.split_whitespace().nth(4).unwrap(), failing.split('\'').nth(1).unwrap());
    assert_eq!(client.put(url).body(body.to_owned()).send().await.unwrap().status(), 200, "{failing}");
    assert_eq!(client.delete(url).send().await.unwrap().status(), 200, "{failing}");

    let base = graphql.strip_suffix("/graphql").unwrap();
    let from = SystemClock.now() - SignedDuration::from_hours(6 * 24);
    let query = format!("{{ tenant(id: \"acme\") {{ usageOverTime(from: \"{from}\", interval: \"P1D\") {{ coverage }} }} }}");
    let coverage = ask(&client, base, &query).await["data"]["tenant"]["usageOverTime"]["coverage"].as_f64().unwrap();
    assert!(coverage > 0.99, "{coverage}");
    for word in ["GraphiQL", "metrics", "readiness", "upstream"] {
        assert_eq!(client.get(address(&printed, word)).send().await.unwrap().status(), 200, "{word}");
    }

    assert_eq!(demo.files().len(), 1, "the database stands in a folder of its own");
    demo.process.signal("INT");
    let Demo { process, folder } = demo;
    let finished = process.end().await;
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_demo_that_is_ended_while_it_prepares_leaves_nothing_behind() {
    let demo = Demo::start(&["--tenants", "10000", "--days", "3660", "--listen", "127.0.0.1:0"]);
    until("the demo's folder", async || !demo.files().is_empty()).await;
    demo.process.signal("INT");
    let Demo { process, folder } = demo;
    let finished = process.end().await;
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), ""));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_second_signal_ends_the_demo_at_once_and_leaves_nothing_behind() {
    let mut demo = Demo::start(&["--tenants", "1", "--days", "0", "--listen", "127.0.0.1:0"]);
    let printed = demo.ready().await;
    let (upstream, client) = (address(&printed, "upstream"), client());
    let told = client.put(format!("{upstream}/acme")).body(r#"{"delay_ms": 600000}"#).send().await.unwrap();
    assert_eq!(told.status(), 200);
    let request = client.post(address(&printed, "GraphQL")).header("content-type", "application/json");
    let refresh = r#"{"query": "mutation { refreshSpaceAllocation(tenantId: \"acme\") { allocated } }"}"#;
    let _waiting = tokio::spawn(request.body(refresh).send());
    let metrics = address(&printed, "metrics").to_owned();
    until("the call of the upstream", async || {
        let text = client.get(&metrics).send().await.unwrap().text().await.unwrap();
        text.lines().any(|line| line.starts_with("quotagraph_upstream_in_flight_requests ") && !line.ends_with(" 0"))
    })
    .await;
    demo.process.signal("INT");
    // The listener goes first; then it is known that the signal was taken.
    until("the end of listening", async || client.get(&metrics).send().await.is_err()).await;
    demo.process.signal("INT");
    let Demo { process, folder } = demo;
    assert_eq!(process.end().await.code, Some(130));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn the_demo_serves_its_own_machine_only_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let finished = run(command(folder.path(), &["--listen", "0.0.0.0:8080"])).await;
    let sentence = "the demo serves this machine only, not 0.0.0.0:8080; choose an address such as 127.0.0.1:8080";
    assert_eq!(finished.sentence(), sentence);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let finished = run(command(folder.path(), &["--tenants", "1", "--days", "1", "--listen", &address])).await;
    assert!(finished.sentence().ends_with("choose another address with --listen"), "{finished:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
