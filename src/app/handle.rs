//! What may be done with a service from outside while it runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::error::AppError;
use super::settings::auth_settings;
use super::unknown_tenants;
use crate::access::{Gate, ReplaceError};
use crate::allocations::Allocations;
use crate::clock::SharedClock;
use crate::collector::Collector;
use crate::config::Auth;
use crate::fleet::keep_packed;
use crate::http::Documents;
use crate::metrics::Metrics;
use crate::proxy::Proxies;
use crate::retention::{Ages, keep_retained};
use crate::store::{SharedStore, StoreError};
use crate::supervisor::{Supervisor, Task};
use crate::tenants::{Replacement, Tenants, WatchedTenant};
use crate::tls::watch_expiry;

/// What may be done with a service from outside while it runs. Cheap to clone.
#[derive(Clone)]
pub struct AppHandle {
    pub(super) tenants: Arc<Tenants>,
    pub(super) allocations: Allocations,
    pub(super) collector: Collector,
    pub(super) store: SharedStore,
    pub(super) clock: SharedClock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) documents: Arc<Documents>,
    pub(super) supervisor: Supervisor,
    pub(super) gate: Arc<Gate>,
    pub(super) draining: CancellationToken,
    pub(super) drain_delay: Duration,
    pub(super) environment_proxies: Proxies,
    pub(super) stop: CancellationToken,
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
    pub(super) fn keep_gate(&self) {
        let Self { supervisor, gate, stop, .. } = self.clone();
        tokio::spawn(async move {
            let start = || Arc::clone(&gate).keep(stop.clone());
            supervisor.keep(Task::housekeeping("issuer_keys"), stop.clone(), start).await;
        });
    }

    /// Starts what keeps the database small, and what looks at the certificate.
    pub(super) fn keep_house(&self, ages: Ages, certificate: Option<PathBuf>) {
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

fn tell_of_auth(auth: Option<&Auth>) {
    if auth.and_then(Auth::api_keys).is_some_and(|keys| keys.is_empty()) {
        warn!("no API key is left: nobody is let in by one, and the service would not start so (auth.keys)");
    }
    let keys = auth.map_or(0, |auth| auth.keys.len());
    let tokens = auth.is_some_and(|auth| auth.jwt.is_some());
    info!(keys, tokens, "who may call was replaced");
}
