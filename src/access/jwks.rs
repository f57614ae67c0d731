//! Where the issuer's keys come from, when they are fetched anew, and for how long they count.
//!
//! * At the start, and then in the background, when the set is older than [`FRESH_FOR`]. A file is read as soon as it changes.
//! * When a token is not signed by a key of the set, but not sooner than [`FETCH_EVERY`] after the last time: whoever sends made-up
//!   tokens does not make the service hammer the issuer. Until then it is not known whether the issuer has a key that is not in the set. Of a
//!   file it is: that is read whenever it has changed.
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
use tracing::{info, warn};
use url::Url;

use super::changes::Changes;
use super::key_set::KeySet;
use super::turns::{FETCH_EVERY, Place, Turns};
use crate::clock::SharedClock;
use crate::file_stamp::FileStamp;
use crate::files;
use crate::proxy::Proxies;
use crate::shown;
use crate::telemetry;
use crate::tls::{self, BuildError};

/// Up to this age a set is used without a look at its source.
const FRESH_FOR: SignedDuration = SignedDuration::from_mins(10);

/// How long a fetch may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long connecting to the issuer may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A set's size at most. Sets of real issuers have a few KiB.
const MAX_BYTES: usize = 256 * 1024;

/// Where a JWK Set stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    File(PathBuf),
    /// An address: `https`, or `http` on loopback.
    Url(Url),
}

/// How an issuer's keys are had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksSettings {
    /// Where they stand.
    pub source: JwksSource,
    /// How long they are used when they cannot be fetched again.
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
    pub(super) keys: KeySet,
    /// Keys of former sets that are not in this one.
    pub(super) withdrawn: KeySet,
    /// Counts the sets that differ: what was verified by a former set may not hold any more.
    pub(super) generation: u64,
    json: Vec<u8>,
}

/// What came of looking for keys that are new.
#[derive(Clone, Copy, Debug)]
pub(super) enum Looked {
    /// The set in force is what the source has now.
    Now,
    /// The source may have other keys by now; how long to wait before they can be looked for.
    Unsure(Duration),
}

/// How it is with an issuer's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerState {
    /// They were had when they were asked for last.
    Reached,
    /// They cannot be fetched; the former ones are used.
    Away,
    /// It has none by which tokens can be verified, as far as is known.
    Empty,
    /// There are none that count, so that no token can be judged.
    Unknown,
}

impl IssuerState {
    /// Whether there are keys by which tokens can be let in.
    #[must_use]
    pub fn lets_in(self) -> bool {
        matches!(self, Self::Reached | Self::Away)
    }
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
    turns: Turns,
    /// Whether the last fetch failed.
    is_away: AtomicBool,
    /// For [`Self::look`]: whether the set counted, and how the file was.
    seen: Lock<(bool, Option<FileStamp>)>,
}

impl Jwks {
    /// The keys of a source. A file is read at once; an address is asked when the first token comes, or by [`Self::refresh_when_due`]. What
    /// is known of the same source by a `former` one is known here too.
    pub(super) fn new(
        settings: JwksSettings,
        former: Option<&Self>,
        clock: SharedClock,
        changes: Arc<Changes>,
    ) -> Result<Self, JwksError> {
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
            turns: Turns::default(),
            is_away: AtomicBool::new(false),
            seen: Lock::default(),
        };
        if let Some(former) = former.filter(|former| former.settings.source == jwks.settings.source) {
            jwks.take_over(former);
        } else if let JwksSource::File(path) = &jwks.settings.source {
            let problem = |problem| JwksError::File { path: path.clone(), problem };
            let stamp = FileStamp::of(path);
            let json = read_file(path).map_err(problem)?;
            jwks.put_in_force(json).map_err(problem)?;
            if jwks.in_force.load().keys.is_empty() {
                let bad = jwks.in_force.load().keys.show_bad().map(|bad| format!(" that can be used ({bad})")).unwrap_or_default();
                return Err(problem(format!("has no public key for RS256, ES256 or EdDSA{bad}")));
            }
            *jwks.seen.lock() = (true, stamp);
        }
        Ok(jwks)
    }

    /// Has the keys that a former one had of the same source, for as long as they count by these settings. They are fetched anew soon: how they are
    /// had has changed.
    fn take_over(&self, former: &Self) {
        self.in_force.store(former.in_force.load_full());
        let counts_until = former.counts_until.load(Ordering::Relaxed);
        if counts_until != i64::MIN {
            let longer = self.settings.kept_for.saturating_sub(former.settings.kept_for).as_micros();
            let longer = i64::try_from(longer).unwrap_or(i64::MAX);
            self.counts_until.store(counts_until.saturating_add(longer), Ordering::Relaxed);
        }
        self.is_away.store(former.is_away.load(Ordering::Relaxed), Ordering::Relaxed);
        let stamp = former.seen.lock().1.clone();
        *self.seen.lock() = (self.counts(self.clock.now()), stamp);
    }

    /// The set that was had last. Whether it counts is for [`Self::counts`] to say. When it is old, it is fetched again in the background.
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
            (true, _) if self.in_force.load().keys.is_empty() => IssuerState::Empty,
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
            warn!(source = %self.settings.source, "the keys of tokens are too old to be used (auth.jwt.keys_kept_for); all tokens are rejected");
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

    /// Fetches the set again in the background, whenever that was done last. However often this is called while a fetch is under way, one follows.
    pub(super) fn refresh(self: &Arc<Self>) {
        if self.turns.take_in_any_case(self.clock.now()) {
            self.begin();
        }
    }

    /// Fetches the set again in the background, when it is time. One of many callers does it.
    pub(super) fn refresh_when_due(self: &Arc<Self>, now: Timestamp) {
        let due = self.due.load(Ordering::Relaxed);
        if now.as_microsecond() < due {
            return;
        }
        // Until the fetch is over it is due again only after the shortest wait; so it is tried again when it fails.
        let next = now.saturating_add(FETCH_EVERY).unwrap_or(Timestamp::MAX).as_microsecond();
        if self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            && let Place::Own(_) = self.turns.take(now, false)
        {
            self.begin();
        }
    }

    /// Fetches the set anew for a token that no key of it has signed, unless that was done a moment ago. Waits for one fetch at most.
    pub(super) async fn look_for_new(self: &Arc<Self>) -> Looked {
        let now = self.clock.now();
        let has_changed = match &self.settings.source {
            JwksSource::File(path) => {
                let stamp = FileStamp::of(path);
                let mut seen = self.seen.lock();
                let has_changed = stamp != seen.1;
                seen.1 = stamp;
                if !has_changed && !self.is_away.load(Ordering::Relaxed) && !self.turns.is_running() {
                    return Looked::Now;
                }
                has_changed
            }
            JwksSource::Url(_) => false,
        };
        match self.turns.take(now, has_changed) {
            Place::Own(awaited) => {
                self.begin();
                if awaited.end().await {
                    return Looked::Now;
                }
            }
            Place::Joined(awaited) => _ = awaited.end().await,
            Place::TooSoon(wait) => return Looked::Unsure(wait),
        }
        Looked::Unsure(self.turns.wait(self.clock.now()))
    }

    /// Runs a fetch that was begun, and what is to follow it, apart from whoever wants it: a caller that goes away does not break it off.
    fn begin(self: &Arc<Self>) {
        let mut running = Running { jwks: Arc::clone(self), is_over: false };
        tokio::spawn(async move {
            while !running.is_over {
                let succeeded = running.jwks.fetch_now().await;
                running.is_over = !running.jwks.turns.end(succeeded, running.jwks.clock.now());
            }
        });
    }

    /// Only one at a time. Whether the source gave a set.
    async fn fetch_now(&self) -> bool {
        let at = self.clock.now();
        let fetched = tokio::time::timeout(FETCH_TIMEOUT, self.fetch()).await;
        let fetched = fetched.unwrap_or_else(|_| Err(format!("did not come within {} s", FETCH_TIMEOUT.as_secs())));
        let outcome = fetched.and_then(|json| self.put_in_force(json));
        let succeeded = outcome.is_ok();
        self.is_away.store(!succeeded, Ordering::Relaxed);
        if let Err(problem) = outcome {
            let source = &self.settings.source;
            if self.counts(at) {
                warn!(%source, problem, "the keys of tokens cannot be fetched; the former ones are used");
            } else {
                warn!(%source, problem, "the keys of tokens cannot be fetched; no token can be verified until they are");
            }
        }
        succeeded
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
            if let Some(bad) = keys.show_bad() {
                warn!(%source, keys = bad, "some keys of the issuer cannot be used; tokens signed by them are rejected");
            }
            if keys.is_empty() {
                warn!(%source, "the issuer has no public key for RS256, ES256 or EdDSA (any more); all tokens are rejected");
            } else {
                info!(%source, count = keys.len(), "the keys of tokens are in force");
            }
            let withdrawn = keys.withdrawn_since(&former.keys, &former.withdrawn);
            self.in_force.store(Arc::new(InForce { keys, withdrawn, generation: former.generation + 1, json }));
            self.changes.tell();
        } else if !counted {
            self.changes.tell();
        }
        Ok(())
    }
}

/// A fetch that is under way. However it ends, it is over: nobody waits for ever, and another one can begin.
struct Running {
    jwks: Arc<Jwks>,
    is_over: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        while !self.is_over {
            self.is_over = !self.jwks.turns.end(false, self.jwks.clock.now());
        }
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
