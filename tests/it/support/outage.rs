//! A Postgres that can be taken away, or be made to hang or to be slow: a proxy in front of the test server's socket.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// The way to a database. While it is cut, nobody reaches the database and former connections are broken.
pub(crate) struct Way {
    folder: tempfile::TempDir,
    server: PathBuf,
    /// How to reach the database by this way.
    pub(crate) url: String,
    open: Mutex<Option<JoinHandle<()>>>,
    flow: watch::Sender<Flow>,
}

/// How bytes go along a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// At once.
    Free,
    /// Not at all, and nobody is told: as where a network drops packets. They arrive when the flow changes.
    Hanging,
    /// Each piece in either direction takes so long.
    Slow(Duration),
}

impl Way {
    /// Opens a way to the database of a URL that names a socket's folder as `host`.
    pub(crate) fn open_to(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut by_way = url::Url::parse(url).unwrap();
        let server = by_way.query_pairs().find(|(name, _)| name == "host").map(|(_, host)| PathBuf::from(host.as_ref()));
        let server = server.expect("the private server listens on a socket").join(".s.PGSQL.5432");
        by_way.query_pairs_mut().clear().append_pair("host", folder.path().to_str().unwrap());
        let way = Self { folder, server, url: by_way.into(), open: Mutex::default(), flow: watch::Sender::new(Flow::Free) };
        way.mend();
        way
    }

    /// Takes the database away.
    pub(crate) fn cut(&self) {
        if let Some(open) = self.open.lock().unwrap().take() {
            open.abort();
        }
        std::fs::remove_file(self.socket()).unwrap();
    }

    /// Changes how bytes go along, of former connections too.
    pub(crate) fn set_flow(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }

    /// Gives the database back.
    pub(crate) fn mend(&self) {
        let listener = UnixListener::bind(self.socket()).unwrap();
        let server = Arc::new(self.server.clone());
        let flow = self.flow.subscribe();
        let forward = async move {
            // Dropped with this task, and the connections with it.
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (server, flow) = (Arc::clone(&server), flow.clone());
                connections.spawn(async move {
                    let server = UnixStream::connect(server.as_path()).await.unwrap();
                    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                    // When either side is gone, so is the other.
                    tokio::select! {
                        _ = pass_on(from_client, to_server, flow.clone()) => {}
                        _ = pass_on(from_server, to_client, flow) => {}
                    }
                });
            }
        };
        *self.open.lock().unwrap() = Some(tokio::spawn(forward));
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join(".s.PGSQL.5432")
    }
}

async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut flow: watch::Receiver<Flow>,
) -> std::io::Result<()> {
    let mut piece = vec![0; 16 << 10];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        let now = *flow.borrow_and_update();
        match now {
            Flow::Free => {}
            Flow::Hanging => drop(flow.wait_for(|flow| *flow != Flow::Hanging).await),
            Flow::Slow(pause) => tokio::time::sleep(pause).await,
        }
        to.write_all(&piece[..length]).await?;
    }
}
