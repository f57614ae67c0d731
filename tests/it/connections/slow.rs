//! Clients that take their time.

use std::time::{Duration, Instant};

use quotagraph::config::Config;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::support::app::{Database, World, tenant};
use crate::support::wire::{connect, head, rest, say};

const HEAD: Duration = Duration::from_millis(400);
const IDLE: Duration = Duration::from_millis(900);

fn impatient(config: &mut Config) {
    config.server.header_timeout = HEAD;
    config.server.keep_alive = IDLE;
    config.limits.request_timeout = HEAD;
}

#[tokio::test]
async fn a_head_that_does_not_come_to_its_end_ends_the_connection() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start_with(impatient).await;
    for began in [
        "",
        "\r\n",
        "G",
        "GET /graphql HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        "PRI * HTTP/2.0\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
    ] {
        let mut stream = connect(&app).await;
        let connected = Instant::now();
        stream.write_all(began.as_bytes()).await.unwrap();
        rest(&mut stream).await;
        assert!(connected.elapsed() >= HEAD, "{began:?} was ended after {:?}", connected.elapsed());
    }
    app.stop().await;
}

#[tokio::test]
async fn a_head_that_begins_behind_another_request_has_no_longer() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)])
        .await
        .start_with(|config| {
            config.server.header_timeout = HEAD;
            config.server.keep_alive = Duration::from_mins(10);
        })
        .await;
    let get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let post = |body: &str| {
        let head = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    let chunked = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    // It looks as though the head ended where it does not.
    let fooling = post(&format!("{{}}{}\r\n\r\n ", "        "));
    for packets in [
        vec![format!("{get}GET /hea")],
        vec![format!("{get}{get}G")],
        vec![format!("{}G", post("{}"))],
        vec![format!("{chunked}GET / HTTP/1.1\r\n")],
        vec![format!("{fooling}GET / HTTP/1.1")],
        vec![get.to_owned(), format!("{get}GET /hea")],
        vec![post("{}")[..60].to_owned(), format!("{}GET /hea", &post("{}")[60..])],
    ] {
        let mut stream = connect(&app).await;
        for packet in &packets {
            stream.write_all(packet.as_bytes()).await.unwrap();
            app.get("/healthz").await;
        }
        rest(&mut stream).await;
    }
    // An empty line between requests begins none.
    let mut stream = connect(&app).await;
    stream.write_all(format!("{}\r\n", post("{}")).as_bytes()).await.unwrap();
    let silence = tokio::time::timeout(HEAD * 4, rest(&mut stream)).await;
    assert!(silence.is_err(), "closed after {silence:?}");
    app.stop().await;
}

#[tokio::test]
async fn neither_more_of_a_head_nor_pings_make_the_time_longer() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start_with(impatient).await;
    let ping = b"\0\0\x08\x06\0\0\0\0\0pingpong";
    for (began, more) in [
        (&b"GET /graphql HTTP/1.1\r\nHost: localhost\r\n"[..], &b"X-More: 1\r\n"[..]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", ping),
    ] {
        let mut stream = connect(&app).await;
        stream.write_all(began).await.unwrap();
        let (mut reading, mut writing) = stream.split();
        let dribbling = async {
            // Ends by the error that a closed connection gives.
            while writing.write_all(more).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let mut bytes = Vec::new();
        let reading = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut bytes);
        crate::support::process::patiently("the end", async { tokio::join!(reading, dribbling) }).await.0.unwrap_or_default();
    }
    app.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_told_so() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start_with(impatient).await;
    let head = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    for began in
        [format!("{head}Content-Length: 100\r\n\r\n{{\"query\""), format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"que")]
    {
        let answer = say(&app, began.as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 408"), "{answer}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["errors"][0]["extensions"]["code"], "TIMEOUT");
        let sentence = "the request's body did not come within 0.4 s (limits.request_timeout)";
        assert_eq!(body["errors"][0]["message"], sentence);
    }
    app.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_own_time_and_one_that_is_used_is_not() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start_with(impatient).await;
    let mut stream = connect(&app).await;
    let opened = Instant::now();
    let mut answered = Instant::now();
    while opened.elapsed() < IDLE + HEAD {
        stream.write_all(b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        assert!(head(&mut stream).await.starts_with("HTTP/1.1 200"));
        answered = Instant::now();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rest(&mut stream).await;
    assert!(answered.elapsed() >= IDLE, "idle for {:?}", answered.elapsed());
    app.stop().await;
}
