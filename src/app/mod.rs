//! The composition root: a config, tenants, a store and a clock become a running service. The commands and the tests call the same
//! functions, so that the tests cannot drift from what is shipped.

#![warn(missing_docs)]

mod settings;
mod unknown_tenants;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use self::settings::{
    allowed_hosts, allowed_metrics_hosts, at_least_one, auth_settings, cache_settings, collector_settings, connection_settings,
    document_limits, gate_settings, longest_lag, request_limits, retention_ages, signed, socket_limits, subscription_limits,
};
pub use self::settings::{document_settings, koodrive_settings};
use crate::access::{Allowance, ConcurrencyLimit, Gate, JwksError, ReplaceError};
use crate::allocations::Allocations;
use crate::answers::Answers;
use crate::clock::SharedClock;
use crate::collector::Collector;
use crate::computing::Computing;
use crate::config::{Auth, Config, Listen};
use crate::feed::Feed;
use crate::fleet::{Fleets, keep_packed};
use crate::graphql::{self, KnownDocuments, Services};
use crate::http::{self, AllowedOrigins, AnswerCache, Documents, Edge, Exports, HttpState, Policy, Readiness, Unsent};
use crate::koodrive::{self, Client};
use crate::listener::{self, Address, Bound, Listener};
use crate::metrics::Metrics;
use crate::proxy::Proxies;
use crate::recorder::{Writer, recorder};
use crate::retention::{Ages, keep_retained};
use crate::store::{Answering, SharedStore, StoreError};
use crate::supervisor::{Supervisor, Task};
use crate::telemetry;
use crate::tenants::{Replacement, Tenants, WatchedTenant};
use crate::tls::{Certificate, CertificateError, watch_expiry};

/// Of the time to shut down, the share that requests and asks under way may take; the rest is for the last writes.
const DRAIN_SHARE: f64 = 0.7;

/// Connections to the address of the figures; those who scrape are few.
const FIGURES_CONNECTIONS: usize = 50;

/// Why the service could not start or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; {} with server.listen", advise(source))]
    Listen {
        /// What was to be listened on.
        address: Listen,
        /// The system's reason.
        source: io::Error,
    },
    /// The address for the figures cannot be listened on.
    #[error("cannot listen on {address}: {source}; {} with metrics.listen", advise(source))]
    ListenForMetrics {
        /// Of the listener.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The threads for what takes long cannot be started.
    #[error("cannot start threads: {0}; raise the limit on processes")]
    Threads(#[source] io::Error),
    /// The upstream client cannot be made.
    #[error(transparent)]
    Client(#[from] koodrive::BuildError),
    /// The keys that verify tokens cannot be used.
    #[error(transparent)]
    TokenKeys(#[from] JwksError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The file of trusted documents cannot be used.
    #[error("graphql.trusted_documents_file: {0}")]
    Documents(#[from] http::ManifestError),
    /// The database cannot be used.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A task failed; its panic is in the log.
    #[error("the service stopped because its {0} failed; the log says why")]
    TaskFailed(&'static str),
    /// Not everything could be written before the time to shut down was over.
    #[error("the service stopped before everything observed was written, because the database did not answer in time")]
    Unwritten,
}

/// What to do about an address that cannot be listened on.
fn advise(cause: &io::Error) -> &'static str {
    match cause.kind() {
        ErrorKind::AddrInUse => "stop what listens there or choose another address",
        ErrorKind::AddrNotAvailable => "choose an address that this machine has",
        ErrorKind::PermissionDenied => "only a privileged user may do that: choose another address, such as a port from 1024 on,",
        _ => "choose another address",
    }
}

/// A service that is built and bound, but does not run yet.
pub struct App {
    listener: Listener<Edge>,
    /// What serves the figures alone, on an address of their own.
    figures: Option<Listener<Edge>>,
    collector: Option<Collector>,
    feed: Feed,
    sockets: TaskTracker,
    writer: Writer,
    ages: Ages,
    certificate_file: Option<PathBuf>,
    shutdown_timeout: Duration,
    handle: AppHandle,
}

/// What may be done with a service from outside while it runs. Cheap to clone.
#[derive(Clone)]
pub struct AppHandle {
    tenants: Arc<Tenants>,
    allocations: Allocations,
    collector: Collector,
    store: SharedStore,
    clock: SharedClock,
    metrics: Arc<Metrics>,
    documents: Arc<Documents>,
    supervisor: Supervisor,
    gate: Arc<Gate>,
    draining: CancellationToken,
    drain_delay: Duration,
    environment_proxies: Proxies,
    stop: CancellationToken,
}

impl App {
    /// Binds the address (port 0 takes a free one) and puts the parts together. The store is migrated.
    ///
    /// # Errors
    /// When the address is taken, the client's settings, the trusted documents, the certificate or the keys of tokens cannot be used, or the
    /// database fails.
    pub async fn build(
        config: &Config,
        watched: Vec<WatchedTenant>,
        store: SharedStore,
        clock: SharedClock,
    ) -> Result<Self, AppError> {
        let tls = config.server.tls.as_ref();
        let certificate = load_certificate(config)?;
        let documents = Arc::new(Documents::open(document_settings(config))?);
        let bound = bind(config).await?;
        let figures_bound = bind_figures(config).await?;

        let metrics = Arc::new(Metrics::default());
        let supervisor = Supervisor::new(metrics.tasks.clone());
        let client = Client::new(&koodrive_settings(config), Arc::clone(&clock), metrics.upstream.clone())?;
        let (recorder, writer) = recorder(Arc::clone(&store), metrics.collector.clone(), supervisor.clone());
        let tenants = Arc::new(Tenants::new(watched));
        let gate = Arc::new(Gate::open(gate_settings(config), Arc::clone(&tenants), &clock)?);
        unknown_tenants::warn_of_them(&gate);
        let allocations = Allocations::new(
            cache_settings(config),
            client,
            Arc::clone(&store),
            recorder.clone(),
            Arc::clone(&clock),
            metrics.cache.clone(),
        );
        let collector = Collector::new(
            collector_settings(config),
            Arc::clone(&tenants),
            allocations.clone(),
            Arc::clone(&store),
            recorder,
            Arc::clone(&clock),
            metrics.collector.clone(),
            supervisor.clone(),
        );
        let handle = AppHandle {
            tenants: Arc::clone(&tenants),
            allocations: allocations.clone(),
            collector: collector.clone(),
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            documents: Arc::clone(&documents),
            supervisor: supervisor.clone(),
            gate: Arc::clone(&gate),
            draining: CancellationToken::new(),
            drain_delay: config.server.drain_delay,
            environment_proxies: config.environment_proxies.clone(),
            stop: CancellationToken::new(),
        };
        handle.register_tenants().await?;

        let feed = Feed::open(
            Arc::clone(&store),
            Arc::clone(&tenants),
            Arc::clone(&gate),
            allocations.clone(),
            Arc::clone(&clock),
            signed(config.database.changes_kept_for),
        )
        .await?;
        let kept = AnswerCache {
            answers: Answers::new(config.cache.answer_bytes, metrics.answers.clone()),
            allocations: allocations.clone(),
            clock: Arc::clone(&clock),
        };
        let computing = Computing::start().map_err(AppError::Threads)?;
        let services = services(config, &handle, &feed, &computing);
        let exports = exports(config, &store, &clock);
        let readiness = Readiness {
            store,
            clock,
            lag_at_most: config.collector.enabled.then(|| longest_lag(config)),
            metrics: metrics.collector.clone(),
            supervisor,
            draining: handle.draining.clone(),
        };
        let trusted_proxies: Arc<[_]> = config.server.trusted_proxies.as_slice().into();
        let figures = figures_bound.zip(config.metrics.listen).map(|(bound, address)| {
            let hosts = allowed_metrics_hosts(config, address);
            figures_listener(config, bound, http::metrics_routes(Arc::clone(&metrics), hosts, Arc::clone(&trusted_proxies)))
        });
        let sockets = TaskTracker::new();
        let known = KnownDocuments::new(document_limits(config), metrics.http.validations.clone());
        let state = HttpState {
            schema: graphql::schema(services, document_limits(config), known.clone()),
            known,
            documents,
            database: Arc::new(Answering::new(config.database.acquire_timeout)),
            computing: computing.clone(),
            gate: Arc::clone(&gate),
            kept,
            exports,
            metrics,
            readiness: Arc::new(readiness),
            limits: request_limits(config),
            policy: Arc::new(Policy {
                hosts: allowed_hosts(config),
                origins: AllowedOrigins::new(&config.cors.allowed_origins),
                trusted_proxies,
            }),
            stop: handle.stop.clone(),
            sockets: sockets.clone(),
            open_sockets: ConcurrencyLimit::new(socket_limits(config)),
            unsent: Unsent::new(config.limits.unsent_bytes),
        };
        let listener = listener(config, bound, certificate, http::routes(state, config.graphql.graphiql));
        let collector = config.collector.enabled.then_some(collector);
        Ok(Self {
            listener,
            figures,
            collector,
            feed,
            sockets,
            writer,
            ages: retention_ages(config),
            certificate_file: tls.map(|tls| tls.certificate_file.clone()),
            shutdown_timeout: config.server.shutdown_timeout,
            handle,
        })
    }

    /// The address that is listened on; of several, the first one.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.listener.bound.addresses()[0]
    }

    /// All addresses that are listened on.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        self.listener.bound.addresses()
    }

    /// The address that has the figures alone, if there is one.
    #[must_use]
    pub fn metrics_address(&self) -> Option<&Address> {
        self.figures.as_ref().and_then(|listener| listener.bound.addresses().first())
    }

    /// The handle to the service.
    #[must_use]
    pub fn handle(&self) -> AppHandle {
        self.handle.clone()
    }

    /// Serves and collects until the handle's [`AppHandle::stop`]. Then requests are drained, the collector finishes what it asked,
    /// everything observed is written, and the store is closed: all within the config's `shutdown_timeout`.
    ///
    /// # Errors
    /// When a part failed, or when the time ran out before everything was written.
    pub async fn run(self) -> Result<(), AppError> {
        let stop = self.handle.stop.clone();
        let mut server = tokio::spawn(self.listener.run(stop.clone()));
        let mut showing = tokio::spawn({
            let stop = stop.clone();
            async move {
                match self.figures {
                    Some(listener) => listener.run(stop).await,
                    None => stop.cancelled().await,
                }
            }
        });
        let mut collecting = tokio::spawn({
            let stop = stop.clone();
            async move {
                match self.collector {
                    Some(collector) => collector.run(stop).await,
                    None => stop.cancelled().await,
                }
            }
        });
        self.handle.keep_gate();
        let mut following = tokio::spawn(self.feed.follow(stop.clone(), self.handle.supervisor.clone()));
        self.handle.keep_house(self.ages, self.certificate_file);
        let all_observed = CancellationToken::new();
        let mut writing = tokio::spawn(self.writer.run(all_observed.clone()));

        let failed = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            _ = &mut server => Some("server"),
            _ = &mut showing => Some("server of figures"),
            _ = &mut collecting => Some("collector"),
            _ = &mut following => Some("feed"),
            _ = &mut writing => Some("recorder"),
        };
        stop.cancel();
        let deadline = tokio::time::Instant::now() + self.shutdown_timeout;
        let drained = tokio::time::Instant::now() + self.shutdown_timeout.mul_f64(DRAIN_SHARE);
        let drain = async {
            finish(&mut server, "requests").await;
            finish(&mut showing, "figures").await;
            finish(&mut following, "feed").await;
            self.sockets.close();
            self.sockets.wait().await;
            finish(&mut collecting, "collector").await;
        };
        if tokio::time::timeout_at(drained, drain).await.is_err() {
            warn!("some requests or asks were still under way; they are cut off");
            server.abort();
            showing.abort();
            following.abort();
            collecting.abort();
        }
        all_observed.cancel();
        let written = writing.is_finished() || tokio::time::timeout_at(deadline, &mut writing).await.is_ok();
        // Idle connections close at once; one that hangs must not hold up the end.
        let _ = tokio::time::timeout_at(deadline, self.handle.store.close()).await;
        match (failed, written) {
            (Some(part), _) => Err(AppError::TaskFailed(part)),
            (None, false) => Err(AppError::Unwritten),
            (None, true) => Ok(()),
        }
    }
}

/// Reads the certificate, the trusted documents and the issuer's keys that stand in files, and warns of what is odd, as the service does when
/// it starts. Starts nothing.
///
/// # Errors
/// When one of them cannot be used.
pub fn check_parts(config: &Config, watched: Vec<WatchedTenant>, clock: &SharedClock) -> Result<(), AppError> {
    load_certificate(config)?;
    Documents::open(document_settings(config))?;
    let gate = Gate::open(gate_settings(config), Arc::new(Tenants::new(watched)), clock)?;
    unknown_tenants::warn_of_them(&gate);
    Ok(())
}

/// The certificate to serve https with, if there is one.
fn load_certificate(config: &Config) -> Result<Option<Certificate>, CertificateError> {
    let tls = config.server.tls.as_ref();
    tls.map(|tls| Certificate::load(&tls.certificate_file, &tls.key_file)).transpose()
}

/// What serves the figures alone.
fn figures_listener(config: &Config, bound: Bound, routes: Edge) -> Listener<Edge> {
    let settings = listener::Settings { connections: FIGURES_CONNECTIONS, ..connection_settings(config) };
    Listener { bound, certificate: None, routes, settings }
}

/// What serves everything.
fn listener(config: &Config, bound: Bound, certificate: Option<Certificate>, routes: Edge) -> Listener<Edge> {
    let routes = if certificate.is_some() { routes.over_tls() } else { routes };
    Listener { bound, certificate, routes, settings: connection_settings(config) }
}

/// The address that is listened on.
async fn bind(config: &Config) -> Result<Bound, AppError> {
    let address = &config.server.listen;
    let bound = Bound::bind(address, config.auth.is_none()).await;
    bound.map_err(|source| AppError::Listen { address: address.clone(), source })
}

/// The address for the figures alone, if there is to be one.
async fn bind_figures(config: &Config) -> Result<Option<Bound>, AppError> {
    let Some(address) = config.metrics.listen else { return Ok(None) };
    let bound = Bound::bind(&address.into(), false).await;
    bound.map(Some).map_err(|source| AppError::ListenForMetrics { address, source })
}

fn exports(config: &Config, store: &SharedStore, clock: &SharedClock) -> Exports {
    let permits = usize::try_from(config.limits.exports).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
    Exports { store: Arc::clone(store), clock: Arc::clone(clock), permits: Arc::new(Semaphore::new(permits)) }
}

fn tell_of_auth(auth: Option<&Auth>) {
    if auth.and_then(Auth::api_keys).is_some_and(|keys| keys.is_empty()) {
        warn!("no API key is left: nobody is let in by one, and the service would not start so (auth.keys)");
    }
    let keys = auth.map_or(0, |auth| auth.keys.len());
    let tokens = auth.is_some_and(|auth| auth.jwt.is_some());
    info!(keys, tokens, "who may call was replaced");
}

async fn finish<T>(task: &mut JoinHandle<T>, part: &str) {
    if !task.is_finished()
        && let Err(cause) = task.await
    {
        error!(error = telemetry::explain(&cause), part, "a task failed");
    }
}

impl AppHandle {
    /// Begins the orderly end at once.
    pub fn stop(&self) {
        self.draining.cancel();
        self.stop.cancel();
    }

    /// What keeps the tasks of the background alive.
    #[must_use]
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// Starts what looks after who may call.
    fn keep_gate(&self) {
        let Self { supervisor, gate, stop, .. } = self.clone();
        tokio::spawn(async move {
            let start = || Arc::clone(&gate).keep(stop.clone());
            supervisor.keep(Task::housekeeping("issuer_keys"), stop.clone(), start).await;
        });
    }

    /// Starts what keeps the database small, and what looks at the certificate.
    fn keep_house(&self, ages: Ages, certificate: Option<PathBuf>) {
        let Self { supervisor, store, clock, stop, .. } = self.clone();
        let packing = {
            let (store, clock, stop) = (Arc::clone(&store), Arc::clone(&clock), stop.clone());
            move || keep_packed(Arc::clone(&store), Arc::clone(&clock), stop.clone())
        };
        let (packers, until) = (supervisor.clone(), stop.clone());
        tokio::spawn(async move { packers.keep(Task::housekeeping("packing"), until, packing).await });
        if let Some(file) = certificate {
            let (watchers, until) = (supervisor.clone(), stop.clone());
            let watching = {
                let (clock, stop) = (Arc::clone(&clock), stop.clone());
                move || watch_expiry(file.clone(), Arc::clone(&clock), stop.clone())
            };
            tokio::spawn(async move { watchers.keep(Task::housekeeping("certificate"), until, watching).await });
        }
        if ages.are_set() {
            let until = stop.clone();
            let retaining = move || keep_retained(Arc::clone(&store), Arc::clone(&clock), ages, stop.clone());
            tokio::spawn(async move { supervisor.keep(Task::housekeeping("retention"), until, retaining).await });
        }
    }

    /// Begins the orderly end as balancers need it: readiness fails from now on, everything is served on for the config's `drain_delay`, in
    /// which they notice, and then it ends.
    pub async fn drain(&self) {
        self.draining.cancel();
        tokio::select! {
            () = tokio::time::sleep(self.drain_delay) => {}
            () = self.stop.cancelled() => {}
        }
        self.stop();
    }

    /// Watches these tenants instead of the present ones.
    ///
    /// # Errors
    /// When the database fails; the tenants are watched all the same. [`Self::register_tenants`] tries again.
    pub async fn replace_tenants(&self, watched: Vec<WatchedTenant>) -> Result<Replacement, StoreError> {
        let replacement = self.watch_tenants(watched);
        self.register_tenants().await?;
        Ok(replacement)
    }

    /// Watches these tenants instead of the present ones, of which the database hears by [`Self::register_tenants`].
    pub fn watch_tenants(&self, watched: Vec<WatchedTenant>) -> Replacement {
        let replacement = self.gate.replace_tenants(|| self.tenants.replace(watched));
        self.tell_of_tenants(replacement);
        unknown_tenants::warn_of_them(&self.gate);
        replacement
    }

    /// Lets callers in as `[auth]` says from now on. Callers whose credentials are no longer valid lose their connections.
    ///
    /// # Errors
    /// When it cannot be used, or would let in everybody where until now callers had to prove who they are; the former rules stay in force.
    pub fn replace_auth(&self, auth: Option<&Auth>) -> Result<(), ReplaceError> {
        self.gate.replace(auth_settings(auth, &self.environment_proxies), || ())?;
        tell_of_auth(auth);
        unknown_tenants::warn_of_them(&self.gate);
        Ok(())
    }

    /// Both at once: nobody is let in by the one version of `[auth]` to the tenants of the other. The database hears of the tenants by
    /// [`Self::register_tenants`].
    ///
    /// # Errors
    /// As [`Self::replace_auth`]; then the tenants stay, too.
    pub fn replace_auth_and_tenants(&self, auth: Option<&Auth>, watched: Vec<WatchedTenant>) -> Result<(), ReplaceError> {
        let settings = auth_settings(auth, &self.environment_proxies);
        let replacement = self.gate.replace(settings, || self.tenants.replace(watched))?;
        tell_of_auth(auth);
        self.tell_of_tenants(replacement);
        unknown_tenants::warn_of_them(&self.gate);
        Ok(())
    }

    /// Takes from callers what `[auth]` does not give them any more, and gives nobody more.
    pub fn take_back(&self, auth: Option<&Auth>) {
        self.gate.take_back(&auth_settings(auth, &self.environment_proxies));
    }

    fn tell_of_tenants(&self, replacement: Replacement) {
        let current = self.tenants.current();
        self.allocations.forget_former(&current);
        let Replacement { added, removed, new_access } = replacement;
        info!(tenants = current.all().len(), added, removed, new_access, "the tenants were replaced");
    }

    /// Has the keys of the tokens' issuer fetched again, in the background.
    pub fn refresh_keys(&self) {
        self.gate.refresh_keys();
    }

    /// Reads the file of trusted documents again, if it has changed or somebody asks for it.
    ///
    /// # Errors
    /// When it cannot be used; the former documents stay in force.
    pub fn reload_documents(&self, asked: bool) -> Result<(), AppError> {
        if let Some(documents) = self.documents.reload(asked)? {
            info!(documents, "the trusted documents were replaced");
        }
        Ok(())
    }

    /// The collector, to be stepped by hand.
    #[must_use]
    pub fn collector(&self) -> &Collector {
        &self.collector
    }

    /// The figures.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Has the database know the tenants that are watched, and their schedules.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn register_tenants(&self) -> Result<(), StoreError> {
        let tenants: Vec<_> = self.tenants.current().all().iter().map(|watched| watched.tenant.clone()).collect();
        self.store.register_tenants(&tenants, self.clock.now()).await
    }
}

/// What resolvers work with.
fn services(config: &Config, handle: &AppHandle, feed: &Feed, computing: &Computing) -> Services {
    Services {
        allocations: handle.allocations.clone(),
        computing: computing.clone(),
        fleets: Fleets::new(Arc::clone(&handle.store), Arc::clone(&handle.tenants)),
        store: Arc::clone(&handle.store),
        clock: Arc::clone(&handle.clock),
        default_tenant: config.server.default_tenant.clone(),
        page_size: usize::try_from(config.limits.page_size).unwrap_or(usize::MAX),
        refreshes: Allowance::per_minute(at_least_one(config.limits.refreshes_per_minute), Arc::clone(&handle.clock)),
        feed: feed.clone(),
        subscribers: ConcurrencyLimit::new(subscription_limits(config)),
        metrics: handle.metrics.subscriptions.clone(),
    }
}
