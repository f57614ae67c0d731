//! Putting the parts together.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::error::AppError;
use super::handle::AppHandle;
use super::settings::{
    allowed_hosts, allowed_metrics_hosts, at_least_one, cache_settings, collector_settings, connection_settings, document_limits,
    gate_settings, longest_lag, request_limits, retention_ages, signed, socket_limits, subscription_limits,
};
use super::settings::{document_settings, koodrive_settings};
use super::{App, unknown_tenants};
use crate::access::{Allowance, ConcurrencyLimit, Gate};
use crate::allocations::Allocations;
use crate::answers::Answers;
use crate::clock::SharedClock;
use crate::collector::Collector;
use crate::computing::Computing;
use crate::config::Config;
use crate::feed::Feed;
use crate::fleet::Fleets;
use crate::graphql::{self, KnownDocuments, Services};
use crate::http::{self, AllowedOrigins, AnswerCache, Documents, Edge, Exports, HttpState, Policy, Readiness, Unsent};
use crate::koodrive::Client;
use crate::listener::{self, Bound, Listener};
use crate::metrics::Metrics;
use crate::recorder::recorder;
use crate::store::{Answering, SharedStore};
use crate::supervisor::Supervisor;
use crate::tenants::{Tenants, WatchedTenant};
use crate::tls::{Certificate, CertificateError};

/// Connections to the address of the figures; those who scrape are few.
const FIGURES_CONNECTIONS: usize = 50;

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
