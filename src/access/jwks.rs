//! Where the issuer's keys come from, and when they are fetched anew.
//!
//! * At the start, and then behind the requests, when the set is older than [`FRESH_FOR`].
//! * When a token names a key that is not in the set, but not sooner than [`FETCH_EVERY`] after the last time: whoever sends made-up
//!   tokens does not make the service hammer the issuer.
//!
//! A set that cannot be fetched or read leaves the last good one in force.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::RwLock;
use tokio::sync::Mutex;
use tracing::{info, warn};
use url::Url;

use super::key_set::KeySet;
use crate::clock::SharedClock;
use crate::telemetry;
use crate::tls::{self, BuildError};

/// Up to this age a set is used without a look at its source.
const FRESH_FOR: SignedDuration = SignedDuration::from_mins(10);

/// Between two fetches there is at least this.
const FETCH_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// How long a fetch may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// A set's size at most. Sets of real issuers have a few KiB.
const MAX_BYTES: usize = 256 * 1024;

/// Where a JWK Set stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    /// A file.
    File(PathBuf),
    /// An address: `https`, or `http` on loopback.
    Url(Url),
}

/// Why the keys of an issuer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The file cannot be read or is no set of keys.
    #[error("auth.jwt.jwks_file: {} {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The HTTP client cannot be set up.
    #[error("the client for auth.jwt.jwks_url cannot be set up: {0}")]
    Client(#[from] BuildError),
}

/// A set of keys that is in force.
#[derive(Debug, Default)]
pub(super) struct InForce {
    /// The keys.
    pub(super) keys: KeySet,
    /// Counts the sets that differ: what was verified by a former set may not hold any more.
    pub(super) generation: u64,
    json: Vec<u8>,
}

/// The keys of an issuer, kept up to date.
#[derive(Debug)]
pub(super) struct Jwks {
    source: JwksSource,
    client: reqwest::Client,
    clock: SharedClock,
    in_force: RwLock<Arc<InForce>>,
    /// When the set is to be fetched again, in microseconds.
    due: AtomicI64,
    /// The last fetch, whatever came of it. Held while one is under way.
    fetched: Mutex<Option<Timestamp>>,
}

impl Jwks {
    /// The keys of a source. A file is read at once; an address is asked when the first token comes, or by [`Self::refresh_when_due`].
    pub(super) fn new(source: JwksSource, clock: SharedClock) -> Result<Self, JwksError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(None)?)
            .timeout(FETCH_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("quotagraph/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| BuildError::Transport(telemetry::explain(&error)))?;
        let jwks =
            Self { source, client, clock, in_force: RwLock::default(), due: AtomicI64::new(i64::MIN), fetched: Mutex::new(None) };
        if let JwksSource::File(path) = &jwks.source {
            let problem = |problem| JwksError::File { path: path.clone(), problem };
            let json = read_file(path).map_err(problem)?;
            jwks.put_in_force(json).map_err(problem)?;
        }
        Ok(jwks)
    }

    /// The set that is in force. When it is old, it is fetched anew behind.
    pub(super) fn current(self: &Arc<Self>) -> Arc<InForce> {
        self.refresh_when_due();
        Arc::clone(&self.in_force.read())
    }

    /// Fetches the set anew, behind, when it is time. One of many callers does it.
    pub(super) fn refresh_when_due(self: &Arc<Self>) {
        let now = self.clock.now();
        let due = self.due.load(Ordering::Relaxed);
        // Until the fetch is over it is due again only after the shortest wait; so it is tried again when it fails.
        let next = (now + FETCH_EVERY).as_microsecond();
        if now.as_microsecond() >= due && self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let jwks = Arc::clone(self);
            tokio::spawn(async move { jwks.fetch_anew().await });
        }
    }

    /// Fetches the set anew, unless that was done a moment ago, and gives what is in force then. Waits for a fetch that is under way.
    pub(super) async fn fetch_anew(&self) -> Arc<InForce> {
        let mut fetched = self.fetched.lock().await;
        let now = self.clock.now();
        if fetched.is_none_or(|last| now.duration_since(last) >= FETCH_EVERY) {
            *fetched = Some(now);
            match self.fetch().await.and_then(|json| self.put_in_force(json)) {
                Ok(()) => {}
                Err(problem) => warn!(source = %self.source, problem, "the keys of tokens cannot be fetched; the former ones stay"),
            }
        }
        Arc::clone(&self.in_force.read())
    }

    async fn fetch(&self) -> Result<Vec<u8>, String> {
        match &self.source {
            JwksSource::File(path) => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || read_file(&path)).await.map_err(|error| error.to_string())?
            }
            JwksSource::Url(url) => fetch_url(&self.client, url).await.map_err(|error| match error {
                FetchError::Http(error) => format!("cannot be fetched: {}", telemetry::explain(&error)),
                FetchError::Status(status) => format!("answers with status {status}"),
                FetchError::TooLarge => format!("is larger than {MAX_BYTES} bytes"),
            }),
        }
    }

    fn put_in_force(&self, json: Vec<u8>) -> Result<(), String> {
        let keys = KeySet::parse(&json)?;
        self.due.store((self.clock.now() + FRESH_FOR).as_microsecond(), Ordering::Relaxed);
        let mut in_force = self.in_force.write();
        if in_force.json != json {
            *in_force = Arc::new(InForce { keys, generation: in_force.generation + 1, json });
            info!(source = %self.source, "the keys of tokens are in force");
        }
        Ok(())
    }
}

impl std::fmt::Display for JwksSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}

enum FetchError {
    Http(reqwest::Error),
    Status(u16),
    TooLarge,
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}

async fn fetch_url(client: &reqwest::Client, url: &Url) -> Result<Vec<u8>, FetchError> {
    let mut response = client.get(url.clone()).send().await?;
    if response.status().as_u16() != 200 {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))
}
