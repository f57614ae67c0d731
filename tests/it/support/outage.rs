//! A Postgres that can be taken away: a proxy in front of the test server's socket.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

/// The way to a database. While it is cut, nobody reaches the database and former connections are broken.
pub(crate) struct Way {
    folder: tempfile::TempDir,
    server: PathBuf,
    /// How to reach the database by this way.
    pub(crate) url: String,
    open: Mutex<Option<JoinHandle<()>>>,
}

impl Way {
    /// Opens a way to the database of a URL that names a socket's folder as `host`.
    pub(crate) fn open_to(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut by_way = url::Url::parse(url).unwrap();
        let server = by_way.query_pairs().find(|(name, _)| name == "host").map(|(_, host)| PathBuf::from(host.as_ref()));
        let server = server.expect("the private server listens on a socket").join(".s.PGSQL.5432");
        by_way.query_pairs_mut().clear().append_pair("host", folder.path().to_str().unwrap());
        let way = Self { folder, server, url: by_way.into(), open: Mutex::default() };
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

    /// Gives the database back.
    pub(crate) fn mend(&self) {
        let listener = UnixListener::bind(self.socket()).unwrap();
        let server = Arc::new(self.server.clone());
        let forward = async move {
            // Dropped with this task, and the connections with it.
            let mut connections = JoinSet::new();
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let server = Arc::clone(&server);
                connections.spawn(async move {
                    let mut server = UnixStream::connect(server.as_path()).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        };
        *self.open.lock().unwrap() = Some(tokio::spawn(forward));
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join(".s.PGSQL.5432")
    }
}
