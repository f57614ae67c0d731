//! More connections than there may be.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::app::{Database, World, tenant};
use crate::support::process::patiently;
use crate::support::site::{Service, Site};
use crate::support::wire::{connect, head, rest};

#[tokio::test]
async fn whoever_says_nothing_for_longest_makes_room_for_others() {
    let world = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await;
    let app = world
        .start_with(|config| {
            config.server.connections = Some(3);
            config.server.header_timeout = Duration::from_mins(10);
        })
        .await;
    let mut first = connect(&app).await;
    let mut idle = vec![connect(&app).await, connect(&app).await];
    // They wait in the backlog.
    for _ in 0..3 {
        idle.push(connect(&app).await);
    }
    assert_eq!(patiently("an answer", app.get("/healthz")).await.0, 200);
    rest(&mut first).await;
    app.stop().await;
}

#[tokio::test]
async fn what_is_being_answered_is_not_closed_for_others() {
    let world = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await;
    world.set_behaviour("a", serde_json::json!({ "delay_ms": 3000 }));
    let app = world.start_with(|config| config.server.connections = Some(1)).await;
    let mut asking = connect(&app).await;
    let query = "query=%7Btenant(id:%22a%22)%7BspaceAllocation%7Btotal%7D%7D%7D";
    asking.write_all(format!("GET /graphql?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    let mut next = connect(&app).await;
    next.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(head(&mut asking).await.starts_with("HTTP/1.1 200"));
    // Then it is the other's turn.
    assert!(head(&mut next).await.starts_with("HTTP/1.1 200"));
    drop((asking, next));
    app.stop().await;
}

#[tokio::test]
async fn few_files_are_not_used_up_by_connections_and_the_log_says_once_that_there_is_no_room() {
    let site = Site::serving("server.header_timeout = \"10m\"\ncollector.enabled = false", &[tenant("acme", 1, 2)]).await;
    let mut command = Command::new("sh");
    let script = "ulimit -Sn 90 && ulimit -Hn 120 && exec \"$0\" serve";
    command.args(["-c", script, env!("CARGO_BIN_EXE_quotagraph")]).current_dir(site.path()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("QUOTAGRAPH_SERVER__DRAIN_DELAY", "0s");
    let service = Service::start(command).await;
    let address = service.base.trim_start_matches("http://").to_owned();
    let mut held = Vec::new();
    for number in 0..180 {
        let mut stream = patiently("a connection", TcpStream::connect(&address)).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"POST /graphql HTTP/1.1\r\nHost:").await.unwrap();
        }
        held.push(stream);
    }
    assert_eq!(
        service.allocated("acme").await,
        serde_json::json!({ "data": { "tenant": { "spaceAllocation": { "allocated": 1.0 } } } })
    );
    drop(held);
    let finished = service.terminate().await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let said: Vec<_> = finished.stderr.lines().filter(|line| line.contains("as many as may be (server.connections)")).collect();
    assert_eq!(said.len(), 1, "{}", finished.stderr);
    assert!(!finished.stderr.contains("cannot be accepted"), "{}", finished.stderr);
}
