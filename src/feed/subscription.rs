//! One subscriber.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tracing::debug;

use super::replay::Replay;
use super::{Inner, LOOK_EVERY, PAGE};
use crate::access::View;
use crate::quota::TenantId;
use crate::store::{RecordedChange, StoreError};
use crate::telemetry;
use crate::tenants::WatchedTenant;

/// A change that a subscriber may see.
#[derive(Clone, Debug)]
pub struct Event {
    /// The tenant.
    pub watched: Arc<WatchedTenant>,
    /// The change.
    pub change: Arc<RecordedChange>,
}

/// What the subscriber proved itself by counts no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token has expired; subscribe again with a new one")]
pub struct Expired;

/// One subscriber's way through the feed. Made by [`super::Feed::subscribe`].
pub struct Subscription {
    feed: Arc<Inner>,
    view: View,
    tenant: Option<TenantId>,
    stage: Stage,
    /// What comes next, of all tenants or of the one.
    ahead: VecDeque<Arc<RecordedChange>>,
    read_to: watch::Receiver<Timestamp>,
}

enum Stage {
    /// Nothing is read yet.
    Beginning { since: Timestamp },
    /// Before the feed.
    Replaying { since: Timestamp, replay: Box<Replay> },
    /// In the feed: everything up to `place` has been met. Observations of a tenant up to `derived` have been, too.
    Following { place: Timestamp, derived: Derived },
}

/// What was met before the feed was, and may stand there, too.
#[derive(Debug, Default)]
struct Derived {
    newest: HashMap<TenantId, Timestamp>,
    /// None of it stands after this place.
    until: Option<Timestamp>,
}

impl Subscription {
    pub(super) fn new(feed: Arc<Inner>, view: View, tenant: Option<TenantId>, since: Option<Timestamp>) -> Self {
        let read_to = feed.read_to.subscribe();
        let now = *read_to.borrow();
        let stage = match since {
            Some(since) => Stage::Beginning { since },
            None => Stage::Following { place: now, derived: Derived::default() },
        };
        Self { feed, view, tenant, stage, ahead: VecDeque::new(), read_to }
    }

    /// Waits for the next event. `None` when the service ends.
    ///
    /// # Errors
    /// When the caller's token has expired.
    pub async fn next(&mut self) -> Option<Result<Event, Expired>> {
        loop {
            self.view.renew(&self.feed.tenants);
            if self.view.is_expired(self.feed.clock.now()) {
                return Some(Err(Expired));
            }
            while let Some(change) = self.ahead.pop_front() {
                if self.tenant.as_ref().is_none_or(|tenant| *tenant == change.tenant)
                    && let Some(watched) = self.view.get(change.tenant.as_str())
                {
                    return Some(Ok(Event { watched: Arc::clone(watched), change }));
                }
            }
            match self.read_ahead().await {
                Ok(true) => {}
                Ok(false) => self.wait().await?,
                Err(failure) => {
                    // Logged once for all by the task that follows the feed.
                    debug!(error = telemetry::explain(&failure), "a subscriber waits for the database");
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// Waits for news, or for the end of the token. `None` when there will be none.
    async fn wait(&mut self) -> Option<()> {
        let rest = self.view.expires_at().map(|at| at.duration_since(self.feed.clock.now()).max(SignedDuration::ZERO));
        match rest.and_then(|rest| Duration::try_from(rest).ok()) {
            None => self.read_to.changed().await.ok(),
            // A little later, so that it has expired by then.
            Some(rest) => match tokio::time::timeout(rest + Duration::from_millis(1), self.read_to.changed()).await {
                Ok(changed) => changed.ok(),
                Err(_) => Some(()),
            },
        }
    }

    /// Reads the next part, which may hold nothing for this subscriber. `false` when there is nothing more at the moment.
    async fn read_ahead(&mut self) -> Result<bool, StoreError> {
        match &mut self.stage {
            Stage::Beginning { since } => {
                let since = *since;
                self.stage = if self.feed.recent.read().reaches_back_to(since) {
                    Stage::Following { place: since, derived: Derived::default() }
                } else {
                    match self.feed.store.feed_bounds().await? {
                        Some(bounds) if bounds.oldest <= since => Stage::Following { place: since, derived: Derived::default() },
                        bounds => {
                            let tomorrow = || self.feed.clock.now().saturating_add(SignedDuration::from_hours(24));
                            let until = bounds.map_or_else(|| tomorrow().unwrap_or(Timestamp::MAX), |bounds| bounds.oldest);
                            Stage::Replaying { since, replay: Box::new(Replay::new(since, until)) }
                        }
                    }
                };
            }
            Stage::Replaying { since, replay } => {
                if replay.is_over() {
                    // After the last derivation: whatever of it is in the feed is so by now.
                    let bounds = self.feed.store.feed_bounds().await?;
                    if let Some(bounds) = bounds {
                        replay.extend_to(bounds.oldest);
                    }
                    if replay.is_over() {
                        let newest = std::mem::take(&mut replay.derived);
                        let derived = Derived { newest, until: bounds.map(|bounds| bounds.newest) };
                        self.stage = Stage::Following { place: *since, derived };
                    }
                    return Ok(true);
                }
                let tenants = match &self.tenant {
                    Some(tenant) => vec![tenant.clone()],
                    None => ids(&self.view),
                };
                let found = replay.next_window(self.feed.store.as_ref(), &tenants).await?;
                self.ahead.extend(found.into_iter().map(Arc::new));
            }
            Stage::Following { place, derived } => {
                let read_to = *self.read_to.borrow_and_update();
                if read_to <= *place {
                    if derived.until.is_none_or(|until| until <= *place) {
                        *derived = Derived::default();
                    }
                    return Ok(false);
                }
                let (found, met) = if let Some((found, met)) = self.feed.recent_after(*place) {
                    (found, met)
                } else {
                    let tenants = match &self.tenant {
                        Some(tenant) => Some(vec![tenant.clone()]),
                        None => (!self.view.shows_all()).then(|| ids(&self.view)),
                    };
                    let page = self.feed.store.changes_after(*place, tenants.as_deref(), PAGE).await?;
                    let last = page.last().map_or(read_to, |last| last.recorded_at);
                    let met = if page.len() < PAGE as usize { read_to.max(last) } else { last };
                    (page.into_iter().map(Arc::new).collect(), met)
                };
                let is_new = |change: &Arc<RecordedChange>| {
                    derived.newest.get(&change.tenant).is_none_or(|derived| *derived < change.change.after.observed_at())
                };
                self.ahead.extend(found.into_iter().filter(is_new));
                *place = met;
            }
        }
        Ok(true)
    }
}

fn ids(view: &View) -> Vec<TenantId> {
    view.all().iter().map(|watched| watched.tenant.id.clone()).collect()
}
