//! HTTP as it is on the wire, to the byte.

use std::fmt::Write as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::app::TestApp;
use super::process::patiently;

/// A connection with an answer on it.
pub struct Raw {
    pub connection: TcpStream,
    pub status: u16,
    /// The head but for its first line, in lower case.
    pub head: String,
    /// What came of the body.
    pub body: Vec<u8>,
}

impl Raw {
    /// Sends `METHOD TARGET VERSION` with these headers besides `Host`, and reads the head of the answer.
    pub async fn send(app: &TestApp, first_line: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = format!("{first_line}\r\nHost: localhost\r\n");
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        let mut connection = TcpStream::connect(app.base.trim_start_matches("http://")).await.unwrap();
        connection.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
        let mut came = Vec::new();
        let end = loop {
            let read = patiently("the head of an answer", connection.read_buf(&mut came)).await.unwrap();
            assert_ne!(read, 0, "the connection ended after {:?}", String::from_utf8_lossy(&came));
            if let Some(end) = came.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
        };
        let head = String::from_utf8(came[..end].to_vec()).unwrap().to_ascii_lowercase();
        let (first, head) = head.split_once("\r\n").unwrap();
        let status = first.split(' ').nth(1).unwrap().parse().unwrap();
        Self { connection, status, head: head.to_owned(), body: came.split_off(end + 4) }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().filter_map(|line| line.split_once(": ")).find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Reads on until the body holds something.
    pub async fn until(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.body).contains(text) {
            let read = patiently(text, self.connection.read_buf(&mut self.body)).await.unwrap();
            assert_ne!(read, 0, "the connection ended after {:?}", String::from_utf8_lossy(&self.body));
        }
    }

    /// Reads on until the connection ends, in order or reset.
    pub async fn read_to_end(&mut self) {
        let _ = patiently("the end of a connection", self.connection.read_to_end(&mut self.body)).await;
    }
}
