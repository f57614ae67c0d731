//! Heads of requests that two servers could understand in two ways, or that nobody understands.

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::wire::{connect, rest, say};

const QUERY: &str = "{\"query\":\"{__typename}\"}";

async fn status(app: &TestApp, request: &str) -> (u16, String) {
    let answer = say(app, request.as_bytes()).await;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{request:?} got {answer:?}")), answer)
}

#[tokio::test]
async fn what_is_ambiguous_or_malformed_is_refused() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start().await;
    let post = |headers: &str, body: &str| {
        format!("POST /graphql HTTP/1.1\r\n{headers}Connection: close\r\nContent-Type: application/json\r\n\r\n{body}")
    };
    let host = "Host: localhost\r\n";
    let chunked = "18\r\n{\"query\":\"{__typename}\"}\r\n0\r\n\r\n";
    let get = |headers: &str| format!("GET /healthz HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    for (request, expected) in [
        (post(&format!("{host}Content-Length: 24\r\n"), QUERY), 200),
        (post(&format!("{host}Transfer-Encoding: chunked\r\n"), chunked), 200),
        (post(&format!("{host}Transfer-Encoding: Chunked\r\n"), chunked), 200),
        // One of two lengths.
        (post(&format!("{host}Content-Length: 24\r\nTransfer-Encoding: chunked\r\n"), chunked), 400),
        (post(&format!("{host}Transfer-Encoding: chunked\r\nContent-Length: 24\r\n"), chunked), 400),
        (post(&format!("{host}TRANSFER-ENCODING: chunked\r\nCONTENT-LENGTH: 0\r\n"), chunked), 400),
        (post(&format!("{host}Content-Length: 24\r\nContent-Length: 23\r\n"), QUERY), 400),
        (post(&format!("{host}Content-Length: 24, 23\r\n"), QUERY), 400),
        (post(&format!("{host}Content-Length: +24\r\n"), QUERY), 400),
        (post(&format!("{host}Content-Length: -1\r\n"), QUERY), 400),
        (post(&format!("{host}Content-Length : 24\r\n"), QUERY), 400),
        (post(&format!("{host}Content-Length: 99999999999999999999\r\n"), QUERY), 400),
        // Codings that are not understood.
        (post(&format!("{host}Transfer-Encoding: gzip, chunked\r\n"), chunked), 501),
        (post(&format!("{host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), chunked), 501),
        (post(&format!("{host}Transfer-Encoding: identity\r\n"), QUERY), 400),
        (post(&format!("{host}Transfer-Encoding: xchunked\r\n"), chunked), 400),
        // Chunks that are none.
        (post(&format!("{host}Transfer-Encoding: chunked\r\n"), "zz\r\n{}\r\n0\r\n\r\n"), 400),
        (post(&format!("{host}Transfer-Encoding: chunked\r\n"), "-1\r\n{}\r\n0\r\n\r\n"), 400),
        (post(&format!("{host}Transfer-Encoding: chunked\r\n"), "2\r\n{}X0\r\n\r\n"), 400),
        (post(&format!("{host}Transfer-Encoding: chunked\r\n"), "fffffffffffffffff\r\n{}"), 400),
        // Hosts.
        (get(host), 200),
        (get("Host: 127.0.0.1:8080\r\n"), 200),
        (get("Host: [::1]:8080\r\n"), 200),
        (get(""), 400),
        (get("Host: localhost\r\nHost: localhost\r\n"), 400),
        (get("Host: localhost\r\nhost: other\r\n"), 400),
        (get("Host:\r\n"), 400),
        (get("Host: a b\r\n"), 400),
        (get("Host: user@localhost\r\n"), 400),
        (get("Host: localhost/path\r\n"), 400),
        (get("Host: localhost:port\r\n"), 400),
        (get("Host: localhost, other\r\n"), 400),
        ("GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), 200),
        ("GET http://localhost/healthz HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), 400),
        ("GET http://user@localhost/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), 400),
        ("GET /healthz HTTP/1.0\r\n\r\n".to_owned(), 200),
        ("GET /healthz HTTP/1.0\r\nHost: localhost\r\nHost: localhost\r\n\r\n".to_owned(), 400),
        // Lines that are none.
        (get("Host: localhost\r\nX-A\r\n"), 400),
        (get("Host: localhost\r\n X-Folded: 1\r\n"), 400),
        (get("Host: localhost\r\nX-A: a\0b\r\n"), 400),
        ("GET /healthz HTTP/1.2\r\nHost: localhost\r\n\r\n".to_owned(), 400),
        ("GET  /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 400),
    ] {
        let (status, answer) = status(&app, &request).await;
        assert_eq!(status, expected, "{request:?} got {answer:?}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nX-Content-Type-Options: nosniff"), "{request:?} got {answer:?}");
        if status != 200 {
            let errors: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{request:?} got {answer:?}: {error}"));
            assert!(errors["errors"][0]["message"].as_str().is_some_and(|sentence| sentence.len() > 20), "{errors}");
            assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())) && head.contains("\r\nDate: "), "{head}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn heads_that_are_too_large_are_told_what_is() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start().await;
    let line = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "a".repeat(length));
    let headers = "X-A: 1\r\n".repeat(200);
    for (request, expected, sentence) in [
        (line(70_000), 414, "the target of the request is too long; send the query by POST"),
        (line(10_000), 404, "there is nothing here"),
        (
            format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"),
            431,
            "the request has too many headers, or too large ones; send fewer",
        ),
        (
            format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: {}\r\n\r\n", "a".repeat(300_000)),
            431,
            "the request has too many headers, or too large ones; send fewer",
        ),
    ] {
        let (status, answer) = status(&app, &request).await;
        assert_eq!(status, expected, "{answer:?}");
        if status != 404 {
            let errors: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
            assert_eq!(errors["errors"][0]["message"], sentence);
        }
        assert!(answer.contains("\r\nX-Content-Type-Options: nosniff"), "{answer}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_is_refused_by_its_head_gets_an_error_in_the_usual_form() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start().await;
    let (_, answer) = status(&app, "GET /graphql HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    assert_eq!(body["errors"][0]["message"], "the request has no Host header; send one");
    app.stop().await;
}

#[tokio::test]
async fn of_two_requests_at_once_each_is_judged_by_its_own_head() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start().await;
    let first =
        format!("POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n{QUERY}");
    let second = format!(
        "POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n18\r\n{QUERY}\r\n0\r\n\r\n"
    );
    let answers = say(&app, format!("{first}{second}").as_bytes()).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    app.stop().await;
}

/// What comes of these packets, each sent when the service has had time to read the one before it.
async fn say_in_packets(app: &TestApp, packets: &[&str]) -> String {
    let mut stream = connect(app).await;
    stream.set_nodelay(true).unwrap();
    for packet in packets {
        // What is refused in the middle need not be taken to its end.
        let _ = stream.write_all(packet.as_bytes()).await;
        // An answer to somebody else takes longer than reading what is there.
        app.get("/healthz").await;
    }
    String::from_utf8_lossy(&rest(&mut stream).await).into_owned()
}

#[tokio::test]
async fn a_length_beside_chunks_is_refused_wherever_the_request_stands_among_others() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start().await;
    let get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned();
    let post = |length: usize, body: &str| {
        format!(
            "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let chunks = format!("a;x=y\r\n{}\r\ne\r\n{}\r\n0\r\nX-Trailer: 1\r\n\r\n", &QUERY[..10], &QUERY[10..]);
    let chunked = |more: &str, end: &str| {
        format!("POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}\r\n{end}")
    };
    let good = chunked("Transfer-Encoding: chunked\r\n", &chunks);
    let last = chunked("Connection: close\r\nTransfer-Encoding: chunked\r\n", &chunks);
    let padded = format!("{QUERY}{}", " ".repeat(1000));
    let firsts = [
        get.clone(),
        get.repeat(3),
        post(24, QUERY),
        post(padded.len(), &padded),
        good.clone(),
        format!("{good}\r\n"),
        format!("{get}{good}{}", post(24, QUERY)),
        "POST /graphql HTTP/1.1\nHost: localhost\nContent-Type: application/json\nContent-Length: 24\n\n{\"query\":\"{__typename}\"}".to_owned(),
    ];
    for first in &firsts {
        let answers_before = first.matches("HTTP/1.1").count();
        for lengths in
            ["Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "transfer-encoding: CHUNKED\r\ncontent-length: x\r\n"]
        {
            let bad = chunked(lengths, &chunks);
            for cut in [0, 1, 10, bad.find("ength").unwrap(), bad.len() - chunks.len(), bad.len()] {
                let (with_first, later) = bad.split_at(cut);
                let answers = say_in_packets(&app, &[&format!("{first}{with_first}"), later]).await;
                assert_eq!(answers.matches("HTTP/1.1 200").count(), answers_before, "{first:?} {with_first:?} {answers}");
                assert_eq!(answers.matches("HTTP/1.1 400").count(), 1, "{first:?} {with_first:?} {answers}");
                assert!(answers.contains("both Content-Length and Transfer-Encoding"), "{answers}");
            }
        }
        // What is right is answered, however it comes.
        for cut in [0, 10, last.len() - 3, last.len()] {
            let (with_first, later) = last.split_at(cut);
            let answers = say_in_packets(&app, &[&format!("{first}{with_first}"), later]).await;
            assert_eq!(answers.matches("HTTP/1.1 200").count(), answers_before + 1, "{first:?} {with_first:?} {answers}");
        }
        let all: Vec<String> = format!("{first}{last}").chars().map(String::from).collect();
        let answers = say_in_packets(
            &app,
            &all.chunks(97).map(<[String]>::concat).collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>(),
        )
        .await;
        assert_eq!(answers.matches("HTTP/1.1 200").count(), answers_before + 1, "{first:?} {answers}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_body_that_looks_like_the_end_of_a_head_hides_no_length() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start().await;
    let bad = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = format!("18\r\n{QUERY}\r\n0\r\n\r\n");
    // What is read with the first request, of the second one.
    for more in [bad.len(), 60, 30] {
        let (with_first, later) = bad.split_at(more);
        // As long after the end of the head as the second request is before the end of what is read.
        let body = format!("{QUERY}{}\r\n\r\n{}", " ".repeat(more - QUERY.len().min(more - 4) - 4), " ".repeat(500));
        let first = format!(
            "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answers = say_in_packets(&app, &[&format!("{first}{with_first}"), &format!("{later}{chunks}")]).await;
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 1, "{answers}");
        assert_eq!(answers.matches("HTTP/1.1 400").count(), 1, "{answers}");
        assert!(answers.contains("Content-Length"), "{answers}");
    }
    app.stop().await;
}

#[tokio::test]
async fn an_answer_to_a_body_that_is_too_large_arrives_although_more_is_coming() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start().await;
    let head = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n\r\n";
    let (status, answer) = status(&app, &format!("{head}{}", " ".repeat(2_000_000))).await;
    assert_eq!(status, 413, "{answer}");
    app.stop().await;
}

#[tokio::test]
async fn names_of_headers_are_in_title_case() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start().await;
    let upgrade = "GET /graphql HTTP/1.0\r\nHost: localhost\r\n\r\n";
    let (_, answer) = status(&app, upgrade).await;
    assert!(answer.contains("\r\nContent-Type: ") && answer.contains("\r\nContent-Length: "), "{answer}");
    app.stop().await;
}
