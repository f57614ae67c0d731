//! Where the issuer's keys come from, when they are fetched anew, and for how long they count.
//!
//! * At the start, and then behind the requests, when the set is older than [`FRESH_FOR`]. A file is read as soon as it changes.
//! * When a token is not signed by a key of the set, but not sooner than [`FETCH_EVERY`] after the last time: whoever sends made-up
//!   tokens does not make the service hammer the issuer.
//!
//! A set that cannot be fetched or read leaves the last good one in force, until that one has become too old. One that can be read counts,
//! whatever it has: an issuer withdraws its keys by leaving them out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex as Lock;
use tokio::sync::Mutex;
use tracing::{info, warn};
use url::Url;

use super::changes::Changes;
use super::key_set::KeySet;
use crate::clock::SharedClock;
use crate::file_stamp::FileStamp;
use crate::files;
use crate::proxy::Proxies;
use crate::shown;
use crate::telemetry;
use crate::tls::{self, BuildError};

/// Up to this age a set is used without a look at its source.
const FRESH_FOR: SignedDuration = SignedDuration::from_mins(10);

/// Between two fetches there is at least this.
const FETCH_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// How long a fetch may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long connecting to the issuer may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

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

/// How an issuer's keys are had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksSettings {
    /// Where they stand.
    pub source: JwksSource,
    /// How long they count when they cannot be had again.
    pub kept_for: SignedDuration,
    /// The proxies by which they are fetched.
    pub proxies: Proxies,
    /// A PEM file with certificates of authorities to be trusted beside the machine's own.
    pub ca_file: Option<PathBuf>,
    /// How that file is: another version of it makes other settings.
    pub(crate) ca_stamp: Option<FileStamp>,
}

/// Why the keys of an issuer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The file cannot be read or is no set of keys.
    #[error("auth.jwt.jwks_file: {} {problem}", shown::path(path))]
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

/// What came of a fetch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetched {
    at: Timestamp,
    /// Whether the source gave a set.
    pub(super) succeeded: bool,
}

/// How it is with an issuer's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerState {
    /// They were had when they were asked for last.
    Reached,
    /// They cannot be had; the former ones count.
    Away,
    /// There are none that count, so that no token can be judged.
    Unknown,
}

/// The keys of an issuer, kept up to date.
#[derive(Debug)]
pub(super) struct Jwks {
    settings: JwksSettings,
    client: reqwest::Client,
    clock: SharedClock,
    changes: Arc<Changes>,
    in_force: ArcSwap<InForce>,
    /// Until when the set counts, and when it is to be fetched again, in microseconds.
    counts_until: AtomicI64,
    due: AtomicI64,
    /// The last fetch. Held while one is under way.
    fetched: Mutex<Option<Fetched>>,
    /// Whether the last fetch failed.
    is_away: AtomicBool,
    /// For [`Self::look`]: whether the set counted, and how the file was.
    seen: Lock<(bool, Option<FileStamp>)>,
}

impl Jwks {
    /// The keys of a source. A file is read at once; an address is asked when the first token comes, or by [`Self::refresh_when_due`].
    pub(super) fn new(settings: JwksSettings, clock: SharedClock, changes: Arc<Changes>) -> Result<Self, JwksError> {
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(settings.ca_file.as_deref())?)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(FETCH_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("quotagraph/", env!("CARGO_PKG_VERSION")));
        let client = settings.proxies.set(builder)?.build();
        let client = client.map_err(|error| BuildError::Transport(telemetry::explain(&error)))?;
        let jwks = Self {
            settings,
            client,
            clock,
            changes,
            in_force: ArcSwap::default(),
            counts_until: AtomicI64::new(i64::MIN),
            due: AtomicI64::new(i64::MIN),
            fetched: Mutex::new(None),
            is_away: AtomicBool::new(false),
            seen: Lock::default(),
        };
        if let JwksSource::File(path) = &jwks.settings.source {
            let problem = |problem| JwksError::File { path: path.clone(), problem };
            let stamp = FileStamp::of(path);
            let json = read_file(path).map_err(problem)?;
            jwks.put_in_force(json).map_err(problem)?;
            if jwks.in_force.load().keys.is_empty() {
                return Err(problem("has no public key for RS256, ES256 or EdDSA".to_owned()));
            }
            *jwks.seen.lock() = (true, stamp);
        }
        Ok(jwks)
    }

    /// How they are had.
    pub(super) fn settings(&self) -> &JwksSettings {
        &self.settings
    }

    /// The set that was had last. Whether it counts is for [`Self::counts`] to say. When it is old, it is fetched anew behind.
    pub(super) fn current(self: &Arc<Self>, now: Timestamp) -> arc_swap::Guard<Arc<InForce>> {
        self.refresh_when_due(now);
        self.in_force.load()
    }

    /// Whether the set in force is young enough to judge tokens by.
    pub(super) fn counts(&self, now: Timestamp) -> bool {
        now.as_microsecond() < self.counts_until.load(Ordering::Relaxed)
    }

    /// How it is with the keys.
    pub(super) fn state(&self) -> IssuerState {
        match (self.counts(self.clock.now()), self.is_away.load(Ordering::Relaxed)) {
            (false, _) => IssuerState::Unknown,
            (true, true) => IssuerState::Away,
            (true, false) => IssuerState::Reached,
        }
    }

    /// Looks after the set; to be called every so often, so that what changes is in force also when no token comes.
    pub(super) fn look(self: &Arc<Self>) {
        let now = self.clock.now();
        let counts = self.counts(now);
        let mut seen = self.seen.lock();
        if seen.0 && !counts {
            warn!(source = %self.settings.source, "the keys of tokens are too old to count (auth.jwt.keys_kept_for); no token is let in");
            self.changes.tell();
        }
        seen.0 = counts;
        if let JwksSource::File(path) = &self.settings.source {
            let stamp = FileStamp::of(path);
            if stamp != seen.1 {
                seen.1 = stamp;
                drop(seen);
                self.refresh();
                return;
            }
        }
        drop(seen);
        self.refresh_when_due(now);
    }

    /// Fetches the set anew, behind, whenever that was done last.
    pub(super) fn refresh(self: &Arc<Self>) {
        let jwks = Arc::clone(self);
        tokio::spawn(async move {
            let mut fetched = jwks.fetched.lock().await;
            *fetched = Some(jwks.fetch_now().await);
        });
    }

    /// Fetches the set anew, behind, when it is time. One of many callers does it.
    pub(super) fn refresh_when_due(self: &Arc<Self>, now: Timestamp) {
        let due = self.due.load(Ordering::Relaxed);
        if now.as_microsecond() < due {
            return;
        }
        // Until the fetch is over it is due again only after the shortest wait; so it is tried again when it fails.
        let next = (now + FETCH_EVERY).as_microsecond();
        if self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let jwks = Arc::clone(self);
            tokio::spawn(async move { jwks.fetch_anew().await });
        }
    }

    /// Fetches the set anew, unless that was done a moment ago, and tells what came of it. Waits for a fetch that is under way.
    pub(super) async fn fetch_anew(&self) -> Fetched {
        let mut fetched = self.fetched.lock().await;
        let now = self.clock.now();
        match *fetched {
            Some(last) if now.duration_since(last.at).abs() < FETCH_EVERY => last,
            _ => *fetched.insert(self.fetch_now().await),
        }
    }

    /// How long to wait until the next fetch that a token may cause.
    pub(super) fn wait_after(&self, fetched: Fetched) -> Duration {
        let next = fetched.at + FETCH_EVERY;
        Duration::try_from(next.duration_since(self.clock.now())).unwrap_or_default()
    }

    /// Only one at a time: whoever calls this holds the lock.
    async fn fetch_now(&self) -> Fetched {
        let at = self.clock.now();
        let outcome = self.fetch().await.and_then(|json| self.put_in_force(json));
        let succeeded = outcome.is_ok();
        self.is_away.store(!succeeded, Ordering::Relaxed);
        if let Err(problem) = outcome {
            let source = &self.settings.source;
            if self.counts(at) {
                warn!(%source, problem, "the keys of tokens cannot be fetched; the former ones stay");
            } else {
                warn!(%source, problem, "the keys of tokens cannot be fetched; no token can be judged until they are");
            }
        }
        Fetched { at, succeeded }
    }

    async fn fetch(&self) -> Result<Vec<u8>, String> {
        match &self.settings.source {
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
        let (now, kept_for) = (self.clock.now(), self.settings.kept_for);
        // Well before it no longer counts.
        let due = FRESH_FOR.min(kept_for / 3);
        self.due.store(now.saturating_add(due).unwrap_or(Timestamp::MAX).as_microsecond(), Ordering::Relaxed);
        let counts_until = now.saturating_add(kept_for).unwrap_or(Timestamp::MAX);
        let counted = self.counts_until.swap(counts_until.as_microsecond(), Ordering::Relaxed) > now.as_microsecond();
        self.seen.lock().0 = true;
        let former = self.in_force.load();
        if former.json != json || former.generation == 0 {
            let source = &self.settings.source;
            if keys.is_empty() {
                warn!(%source, "the issuer has no public key for RS256, ES256 or EdDSA (any more); no token counts");
            } else {
                info!(%source, "the keys of tokens are in force");
            }
            self.in_force.store(Arc::new(InForce { keys, generation: former.generation + 1, json }));
            self.changes.tell();
        } else if !counted {
            self.changes.tell();
        }
        Ok(())
    }
}

impl std::fmt::Display for JwksSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            // What is asked for may hold a key.
            Self::Url(url) => write!(f, "{}://{}{}", url.scheme(), url.authority(), url.path()),
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
    files::read(path, MAX_BYTES as u64)
}
