//! One subscriber.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tracing::debug;

use super::replay::Replay;
use super::{Inner, LOOK_EVERY, PAGE};
use crate::access::{Forbidden, Lapse, Role, View};
use crate::quota::TenantId;
use crate::store::{RecordedChange, StoreError};
use crate::telemetry;
use crate::tenants::WatchedTenant;

/// How long an observation may take to be recorded, with room to spare.
const JUST_OBSERVED: SignedDuration = SignedDuration::from_secs(30);

/// A change that a subscriber may see.
#[derive(Clone, Debug)]
pub struct Event {
    pub watched: Arc<WatchedTenant>,
    pub change: Arc<RecordedChange>,
}

/// Why a subscriber gets no more events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its credentials are no longer valid.
    Lapsed(Lapse),
    /// It may no longer read.
    Forbidden(Forbidden),
    /// The only tenant that it asked for is not there any more, or not for it.
    NoTenant,
}

/// One subscriber's way through the feed. Made by [`super::Feed::subscribe`].
pub struct Subscription {
    feed: Arc<Inner>,
    view: View,
    tenant: Option<TenantId>,
    stage: Stage,
    /// What comes next, of all tenants or of the one.
    ahead: VecDeque<Arc<RecordedChange>>,
    read_to: watch::Receiver<Timestamp>,
    /// Who may call has changed.
    rights: watch::Receiver<()>,
    begins_after: Timestamp,
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
        let rights = feed.gate.watch();
        let now = *read_to.borrow();
        let stage = match since {
            Some(since) => Stage::Beginning { since },
            None => Stage::Following { place: now, derived: Derived::default() },
        };
        let begins_after = since.unwrap_or(if now > Timestamp::MIN {
            now
        } else {
            // Nothing was ever recorded; what is to come has been observed a moment ago at the earliest.
            feed.clock.now().saturating_sub(JUST_OBSERVED).unwrap_or(Timestamp::MIN)
        });
        Self { feed, view, tenant, stage, ahead: VecDeque::new(), read_to, rights, begins_after }
    }

    /// After which place the events come. Whoever goes on after it has missed none of them.
    #[must_use]
    pub fn begins_after(&self) -> Timestamp {
        self.begins_after
    }

    /// Waits for the next event. `None` when the service ends.
    ///
    /// # Errors
    /// When the caller may have no more.
    pub async fn next(&mut self) -> Option<Result<Event, Ended>> {
        loop {
            if let Err(ended) = self.renew() {
                return Some(Err(ended));
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

    /// Looks at what the subscriber may see now.
    fn renew(&mut self) -> Result<(), Ended> {
        // What changes from here on is waited for.
        self.rights.mark_unchanged();
        self.feed.gate.renew(&mut self.view).map_err(Ended::Lapsed)?;
        self.view.require(Role::Read).map_err(Ended::Forbidden)?;
        match &self.tenant {
            Some(tenant) if self.view.get(tenant.as_str()).is_none() => Err(Ended::NoTenant),
            _ => Ok(()),
        }
    }

    /// Waits for news, of changes or of rights. `None` when there will be none.
    async fn wait(&mut self) -> Option<()> {
        let rest = self.view.remaining(self.feed.clock.now());
        tokio::select! {
            changed = self.read_to.changed() => changed.ok(),
            changed = self.rights.changed() => changed.ok(),
            () = tokio::time::sleep(rest.unwrap_or_default()), if rest.is_some() => Some(()),
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
