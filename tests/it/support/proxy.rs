//! A proxy as companies have them: tunnels by CONNECT, and plain HTTP. It reaches one server only, whatever it is asked for.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// A running proxy.
pub struct Proxy {
    /// `host:port`
    pub place: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// One that leads to an address; with credentials, such as `user:password` in base64, only for those who send them.
    pub async fn start(to: SocketAddr, credentials: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = listener.local_addr().unwrap().to_string();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let noting = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let noting = Arc::clone(&noting);
                tokio::spawn(async move { lead(client, to, credentials, &noting).await });
            }
        });
        Self { place, asked }
    }

    /// The first lines of what it was asked.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

async fn lead(mut client: TcpStream, to: SocketAddr, credentials: Option<&str>, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    asked.lock().push(text.lines().next().unwrap_or_default().to_owned());
    let sent = text.lines().find_map(|line| line.to_ascii_lowercase().starts_with("proxy-authorization:").then(|| line.to_owned()));
    if let Some(wanted) = credentials
        && !sent.is_some_and(|line| line.ends_with(&format!("Basic {wanted}")))
    {
        return client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n").await;
    }
    let mut server = TcpStream::connect(to).await?;
    if text.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    } else {
        server.write_all(&head).await?;
    }
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}
