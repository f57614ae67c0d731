//! More connections than there may be.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::app::{Database, World, tenant};
use crate::support::process::patiently;
use crate::support::site::{Service, Site};
use crate::support::subscriber::Socket;
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

/// What a crowd sends on each connection, and what it waits for then, if for anything.
type Crowd = (&'static str, Vec<u8>);

fn crowds() -> Vec<Crowd> {
    let keyed = "Host: localhost\r\nContent-Type: application/json\r\nX-API-Key: key of a\r\n";
    let upgrade = "GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n";
    // Windows of 0, and then GET /healthz of localhost.
    let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";
    let headers = b"\x82\x86\x04\x08/healthz\x41\x09localhost";
    let stream = |id: u8, flags: u8| [&[0, 0, u8::try_from(headers.len()).unwrap(), 1, flags, 0, 0, 0, id][..], headers].concat();
    let preface = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], settings].concat();
    vec![
        ("nothing", Vec::new()),
        ("half a head", b"POST /graphql HTTP/1.1\r\nHost:".to_vec()),
        ("a whole request", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("half a body", format!("POST /graphql HTTP/1.1\r\n{keyed}Content-Length: 100\r\n\r\n{{").into_bytes()),
        ("half a chunk", format!("POST /graphql HTTP/1.1\r\n{keyed}Transfer-Encoding: chunked\r\n\r\n5\r\n{{").into_bytes()),
        ("a WebSocket that says nothing", upgrade.into()),
        ("a WebSocket with half a message", [upgrade.as_bytes(), b"\x81\xfe\x01\0\0\0\0\0{"].concat()),
        ("a preface of HTTP/2", preface.clone()),
        ("answers by HTTP/2 that are not taken", [preface.clone(), stream(1, 5), stream(3, 5)].concat()),
    ]
}

#[tokio::test]
async fn whatever_a_crowd_waits_with_others_are_answered() {
    let world = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await;
    let app = world
        .start_with(|config| {
            crate::access::with_keys(config);
            let long = Duration::from_mins(10);
            config.server.connections = Some(10);
            (config.server.header_timeout, config.server.keep_alive) = (long, long);
            (config.limits.request_timeout, config.limits.stall_timeout) = (long, long);
        })
        .await;
    for (what, sent) in crowds() {
        let mut held = Vec::new();
        for _ in 0..60 {
            let mut stream = patiently(what, connect(&app)).await;
            stream.write_all(&sent).await.unwrap();
            held.push(stream);
        }
        let answer = tokio::time::timeout(Duration::from_secs(20), app.get("/healthz")).await;
        assert_eq!(answer.unwrap_or_else(|_| panic!("a crowd with {what} keeps others out")).0, 200, "{what}");
        drop(held);
    }
    app.stop().await;
}

#[tokio::test]
async fn whose_client_is_known_stays_while_others_make_room() {
    let world = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await;
    let app = world
        .start_with(|config| {
            crate::access::with_keys(config);
            config.server.connections = Some(4);
            config.server.header_timeout = Duration::from_mins(10);
        })
        .await;
    let ask = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-API-Key: key of a\r\nContent-Length: 24\r\n\r\n{\"query\":\"{__typename}\"}";
    let mut known = connect(&app).await;
    let mut answer = async |what: &str| {
        known.write_all(ask.as_bytes()).await.unwrap();
        let head = head(&mut known).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{what}: {head}");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
        patiently("a body", tokio::io::AsyncReadExt::read_exact(&mut known, &mut vec![0; length])).await.unwrap();
    };
    let mut silent = Vec::new();
    for _ in 0..3 {
        answer("before").await;
        silent.push(connect(&app).await);
    }
    let mut socket = Socket::init(&app, serde_json::json!({ "apiKey": "key of a" })).await;
    for _ in 0..5 {
        silent.push(connect(&app).await);
        answer("meanwhile").await;
        assert_eq!(patiently("an answer", app.get("/healthz")).await.0, 200);
    }
    socket.say(serde_json::json!({ "type": "ping" })).await;
    assert_eq!(socket.hear().await["type"], "pong");
    drop((silent, socket));
    app.stop().await;
}
