//! `WebSocket`s frame by frame, before anybody has proved anything.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::process::patiently;
use crate::support::wire::{connect, head, rest};

async fn upgrade(app: &TestApp) -> TcpStream {
    let mut stream = connect(app).await;
    let request = "GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = head(&mut stream).await;
    // As the Python client gql compares it.
    assert!(head.starts_with("HTTP/1.1 101") && head.contains("\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"), "{head}");
    stream
}

/// A frame as clients send it, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | u8::try_from(length).unwrap()),
        Ok(length) => {
            frame.push(0xfe);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0xff);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

const FINAL_TEXT: u8 = 0x81;

#[tokio::test]
async fn what_is_no_message_ends_with_a_close_frame_that_says_why() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start().await;
    let unmasked = vec![FINAL_TEXT, 2, b'{', b'}'];
    let only_the_head_of_a_large_one = frame(FINAL_TEXT, &vec![b' '; 300_000])[..14].to_vec();
    let mut endless: Vec<u8> = frame(0x01, &vec![b' '; 60_000]);
    for _ in 0..10 {
        endless.extend(frame(0x00, &vec![b' '; 60_000]));
    }
    for (what, bytes, expected) in [
        ("a message that is too large", frame(FINAL_TEXT, &vec![b' '; 300_000]), 1009),
        ("the head of one", only_the_head_of_a_large_one, 1009),
        ("a length beyond all memory", [&[FINAL_TEXT, 0xff][..], &[0x7f; 8], &[0; 4]].concat(), 1009),
        ("fragments without end", endless, 1009),
        ("much before its client is known", frame(FINAL_TEXT, b"{\"type\":\"pong\"}").repeat(5000), 1009),
        ("what is not UTF-8", frame(FINAL_TEXT, b"\xff\xfe"), 1007),
        ("what is not UTF-8 in fragments", [frame(0x01, b"\xc3"), frame(0x80, b"\x28")].concat(), 1007),
        ("a reserved opcode", frame(0x83, b""), 1002),
        ("a reserved control opcode", frame(0x8b, b""), 1002),
        ("a reserved bit", frame(0xc1, b"{}"), 1002),
        ("a frame that is not masked", unmasked, 1002),
        ("a ping in fragments", frame(0x09, b""), 1002),
        ("a ping that is too large", frame(0x89, &[0; 126]), 1002),
        ("the end of a message that did not begin", frame(0x80, b"{}"), 1002),
        ("a message within another", [frame(0x01, b"{"), frame(FINAL_TEXT, b"{}")].concat(), 1002),
        ("bytes that are no text", frame(0x82, b"{}"), 4400),
        ("text that is no message", frame(FINAL_TEXT, b"{}"), 4400),
        ("a close", frame(0x88, &[0x03, 0xe8]), 1000),
    ] {
        let mut stream = upgrade(&app).await;
        // More than is looked at: the connection must not be reset for it before the reason has arrived.
        stream.write_all(&[bytes, vec![0; 1000]].concat()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert_eq!(answer.first(), Some(&0x88), "{what}: {answer:?}");
        assert_eq!(u16::from_be_bytes([answer[2], answer[3]]), expected, "{what}: {}", String::from_utf8_lossy(&answer[4..]));
    }
    app.stop().await;
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn pings_whose_answers_nobody_reads_take_no_memory_and_end_the_connection() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)])
        .await
        .start_with(|config| config.limits.stall_timeout = Duration::from_secs(1))
        .await;
    let mut stream = upgrade(&app).await;
    let before = resident_kib();
    let pings = frame(0x89, &[0; 125]).repeat(500);
    let mut sent = 0_u64;
    // Ends by the error that a closed connection gives, and long before so much is taken.
    patiently("the end of the connection", async {
        while stream.write_all(&pings).await.is_ok() {
            sent += pings.len() as u64;
            assert!(sent < 1 << 30, "all pings are taken");
        }
    })
    .await;
    // Other tests run in this process too.
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 200 * 1024, "{grown} KiB more after {sent} bytes of pings");
    app.stop().await;
}

#[tokio::test]
async fn pings_that_are_read_are_answered() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start().await;
    let mut stream = upgrade(&app).await;
    stream.write_all(&[frame(0x89, b"one"), frame(0x89, b"two")].concat()).await.unwrap();
    let mut answers = [0; 10];
    patiently("two pongs", tokio::io::AsyncReadExt::read_exact(&mut stream, &mut answers)).await.unwrap();
    assert_eq!(&answers, b"\x8a\x03one\x8a\x03two");
    app.stop().await;
}

#[tokio::test]
async fn once_let_in_a_client_may_send_as_much_as_it_likes() {
    let app = World::new(Database::sqlite(), vec![tenant("a", 1, 2)]).await.start().await;
    let mut stream = upgrade(&app).await;
    stream.write_all(&frame(FINAL_TEXT, b"{\"type\":\"connection_init\"}")).await.unwrap();
    let padding = " ".repeat(200_000);
    for _ in 0..3 {
        stream.write_all(&frame(FINAL_TEXT, format!("{{\"type\":\"pong\"{padding}}}").as_bytes())).await.unwrap();
    }
    stream.write_all(&frame(0x89, b"end")).await.unwrap();
    let expected = b"\x81\x19{\"type\":\"connection_ack\"}\x8a\x03end";
    let mut answers = vec![0; expected.len()];
    patiently("the answers", tokio::io::AsyncReadExt::read_exact(&mut stream, &mut answers)).await.unwrap();
    assert_eq!(answers, expected, "{}", String::from_utf8_lossy(&answers));
    app.stop().await;
}
