//! Subscribers that do nothing but be there, with as little of their own as can be.

use std::error::Error;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

type Failure = Box<dyn Error + Send + Sync>;

const QUERY: &str = "subscription { spaceAllocationChanged { tenant { id name } before { allocated } after { allocated total observedAt } recordedAt } }";

/// Opens subscriptions over a transport, prints a line when all are open, and keeps them.
pub(crate) async fn subscribe(address: &str, transport: &str, count: usize) -> Result<(), Failure> {
    let host = address.trim_start_matches("http://");
    let mut open = Vec::with_capacity(count);
    for _ in 0..count {
        open.push(match transport {
            "websocket" => over_websocket(host).await?,
            "sse" => over_events(host).await?,
            other => return Err(format!("there is no transport {other}").into()),
        });
    }
    println!("{count} subscriptions are open");
    std::future::pending::<()>().await;
    drop(open);
    Ok(())
}

async fn over_events(host: &str) -> Result<TcpStream, Failure> {
    let body = serde_json::json!({ "query": QUERY }).to_string();
    let request = format!(
        "POST /graphql HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\nX-Api-Key: bench\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(request.as_bytes()).await?;
    expect(&mut stream, "200").await?;
    Ok(stream)
}

async fn over_websocket(host: &str) -> Result<TcpStream, Failure> {
    let request = format!(
        "GET /graphql HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\nX-Api-Key: bench\r\n\r\n"
    );
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(request.as_bytes()).await?;
    expect(&mut stream, "101").await?;
    send(&mut stream, &serde_json::json!({ "type": "connection_init" })).await?;
    expect(&mut stream, "connection_ack").await?;
    send(&mut stream, &serde_json::json!({ "type": "subscribe", "id": "1", "payload": { "query": QUERY } })).await?;
    Ok(stream)
}

/// A text frame of a client, masked with zeros (RFC 6455, section 5.2).
async fn send(stream: &mut TcpStream, message: &serde_json::Value) -> Result<(), Failure> {
    let text = message.to_string();
    let length = u16::try_from(text.len())?.to_be_bytes();
    let mut frame = if text.len() < 126 { vec![0x81, 0x80 + length[1]] } else { vec![0x81, 0xFE, length[0], length[1]] };
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    Ok(stream.write_all(&frame).await?)
}

async fn expect(stream: &mut TcpStream, part: &str) -> Result<(), Failure> {
    let mut buffer = [0; 2048];
    let mut came = String::new();
    while !came.contains(part) {
        match stream.read(&mut buffer).await? {
            0 => return Err(format!("closed without {part}: {came}").into()),
            count => came += &String::from_utf8_lossy(&buffer[..count]),
        }
    }
    Ok(())
}
