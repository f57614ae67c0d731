//! Connections at the end of the service.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::app::{Database, World, tenant};
use crate::support::process::until;
use crate::support::wire::{connect, rest};

#[tokio::test]
async fn who_has_connected_just_before_the_end_is_answered() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start().await;
    let mut fresh = connect(&app).await;
    // Connections are accepted in the order in which they came.
    assert_eq!(app.get("/healthz").await.0, 200);
    app.handle.stop();
    let address = app.base.trim_start_matches("http://").to_owned();
    until("the end of listening", async || TcpStream::connect(&address).await.is_err()).await;
    fresh.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let answer = String::from_utf8(rest(&mut fresh).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    app.stop().await;
}
