//! What keeps `serve` from starting.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::app::tenant;
use crate::support::process::{Running, patiently};
use crate::support::site::Site;

#[tokio::test]
async fn serve_answers_on_the_port_that_it_logs() {
    let site = Site::serving("server.default_tenant = \"acme\"", &[tenant("acme", 812, 2048)]).await;
    let service = site.serve().await;
    let answer = service.ask("{ tenant { spaceAllocation { allocated total utilization } } }").await;
    let expected = json!({ "data": { "tenant": { "spaceAllocation": { "allocated": 812.0, "total": 2048.0, "utilization": 0.396_484_375 } } } });
    assert_eq!(answer, expected);
    assert_eq!(service.terminate().await.code, Some(0));
}

#[tokio::test]
async fn an_address_that_others_reach_needs_a_decision_that_is_written_down() {
    let site = Site::new("server.listen = \"0.0.0.0:0\"", &[tenant("acme", 1, 2)]).await;
    let finished = site.run(&["serve"]).await;
    let sentence = finished.sentence();
    assert!(
        sentence.contains("server.listen: 0.0.0.0:0 can be reached from other machines and nothing checks who asks"),
        "{sentence}"
    );
    assert!(sentence.contains("say in an [auth] section who may call"), "{sentence}");

    let mut command = site.command(&["serve"]);
    command.env("QUOTAGRAPH_AUTH__MODE", "none");
    let mut running = crate::support::process::Running::start(command);
    running.stderr.line("serving address=0.0.0.0:").await;
    running.signal("TERM");
    assert_eq!(running.end().await.code, Some(0));
}

#[tokio::test]
async fn a_taken_port_is_a_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let site = Site::new(&format!("server.listen = \"{address}\"\nlog.filter = \"warn\""), &[tenant("acme", 1, 2)]).await;
    let finished = site.run(&["serve"]).await;
    let sentence = finished.sentence();
    assert!(sentence.starts_with(&format!("cannot listen on {address}: ")), "{sentence}");
    assert!(sentence.ends_with("stop what listens there or choose another address with server.listen"), "{sentence}");
}

#[tokio::test]
async fn a_service_without_tenants_starts_and_says_so() {
    let site = Site::serving("", &[]).await;
    let service = site.serve().await;
    assert_eq!(service.ask("{ tenants { totalCount } }").await, json!({ "data": { "tenants": { "totalCount": 0 } } }));
    let finished = service.terminate().await;
    assert!(finished.stderr.contains("WARN") && finished.stderr.contains("the config has no tenants"), "{}", finished.stderr);
}

#[tokio::test]
async fn a_name_is_resolved_and_listened_on() {
    let site = Site::new("server.listen = \"localhost:0\"", &[tenant("acme", 812, 2048)]).await;
    let service = site.serve().await;
    assert_eq!(service.ask("{ tenant(id: \"acme\") { id } }").await, json!({ "data": { "tenant": { "id": "acme" } } }));
    assert_eq!(service.terminate().await.code, Some(0));
}

#[tokio::test]
async fn a_socket_in_the_file_system_is_served_on_and_removed_at_the_end() {
    let site = Site::new("collector.enabled = false", &[tenant("acme", 812, 2048)]).await;
    let path = site.path().join("socket");
    let serve = || {
        let mut command = site.command(&["serve"]);
        command.env("QUOTAGRAPH_SERVER__LISTEN", format!("unix:{}", path.display()));
        command
    };
    // Left by a process that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let mut running = Running::start(serve());
    running.stderr.line(&format!("serving address=unix:{}", path.display())).await;
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    patiently("an answer", stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let second = crate::support::process::run(serve()).await;
    let sentence = second.sentence();
    assert!(sentence.starts_with(&format!("cannot listen on unix:{}: ", path.display())), "{sentence}");
    assert!(path.exists());
    running.signal("TERM");
    assert_eq!(running.end().await.code, Some(0));
    assert!(!path.exists());

    std::fs::write(&path, "precious").unwrap();
    let third = crate::support::process::run(serve()).await;
    assert!(third.sentence().contains("the file is there and is no socket"), "{third:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}
