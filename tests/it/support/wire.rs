//! Connections byte by byte.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::app::TestApp;
use super::process::patiently;

pub async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.base.trim_start_matches("http://")).await.unwrap()
}

/// All that still comes. A reset is an end, too.
pub async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = patiently("the end of the connection", stream.read_to_end(&mut bytes)).await;
    bytes
}

/// What comes of this on a new connection, to its end.
pub async fn say(app: &TestApp, bytes: &[u8]) -> String {
    let mut stream = connect(app).await;
    // What is refused in the middle need not be taken to its end.
    let _ = stream.write_all(bytes).await;
    String::from_utf8_lossy(&rest(&mut stream).await).into_owned()
}

/// The head of the next answer.
pub async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let byte = patiently("the head of an answer", stream.read_u8()).await;
        bytes.push(byte.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&bytes))));
    }
    String::from_utf8(bytes).unwrap()
}
