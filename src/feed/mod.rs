//! The observed changes of tenants' newest answers, handed to any number of subscribers.
//!
//! **Order.** Every change has a place in the order of recording ([`RecordedChange::recorded_at`]), given in the transaction that records it.
//! Whoever has met everything up to a place can go on after it, with any replica, and misses nothing and meets nothing twice.
//!
//! **Following.** One task per process reads what is new in the store ([`Feed::follow`]) and keeps the newest changes in memory. It looks when
//! this process has recorded a change, when another replica tells that it has, and every [`LOOK_EVERY`] in any case: so a notice that is
//! lost, or a pgbouncer that carries none, costs a second and no change. What others recorded is made known to the cache, too.
//!
//! **Subscribers** pull: each has its own place and takes what comes after it out of memory. One that is further behind than memory reaches
//! reads the store, page by page, so that a slow one costs no memory and loses nothing. When the database is down, all wait.
//!
//! **History.** Changes from before the feed (it was pruned, or the runs were added as a whole) are derived from the runs, a window at a time
//! ([`replay`]). Their places are the instants at which they were observed.
//!
//! **Rights.** Each change is shown through the subscriber's view at that moment: of the tenants that are watched, and with what it may still see. A
//! subscriber whose key or token is no longer valid, or who may no longer read, is told at once ([`Ended`]).

mod follow;
mod recent;
mod replay;
mod subscription;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::RwLock;
use tokio::sync::watch;

use self::recent::Recent;
pub use self::subscription::{Ended, Event, Subscription};
use crate::access::{Gate, View};
use crate::allocations::Allocations;
use crate::clock::SharedClock;
use crate::quota::TenantId;
use crate::store::{RecordedChange, SharedStore, StoreError};
use crate::tenants::Tenants;

/// How often the store is looked into when nobody tells of changes, and how long a failed reading rests.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Changes that are read at once.
const PAGE: u32 = 500;

/// The feed of one process. Cheap to clone.
#[derive(Clone)]
pub struct Feed {
    inner: Arc<Inner>,
}

struct Inner {
    store: SharedStore,
    tenants: Arc<Tenants>,
    gate: Arc<Gate>,
    allocations: Allocations,
    clock: SharedClock,
    kept_for: SignedDuration,
    recent: RwLock<Recent>,
    /// Up to which place the store was read.
    read_to: watch::Sender<Timestamp>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("read_to", &*self.inner.read_to.borrow()).finish_non_exhaustive()
    }
}

impl Feed {
    /// The feed of a migrated store, from its newest change on. Changes are kept for as long as given.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open(
        store: SharedStore,
        tenants: Arc<Tenants>,
        gate: Arc<Gate>,
        allocations: Allocations,
        clock: SharedClock,
        kept_for: SignedDuration,
    ) -> Result<Self, StoreError> {
        let newest = store.feed_bounds().await?.map_or(Timestamp::MIN, |bounds| bounds.newest);
        let recent = RwLock::new(Recent::after(newest));
        let read_to = watch::Sender::new(newest);
        Ok(Self { inner: Arc::new(Inner { store, tenants, gate, allocations, clock, kept_for, recent, read_to }) })
    }

    /// The changes that a caller may see, of one tenant or of all: those after `since`, and then those to come; without it only those to
    /// come. What was recorded before this call does not come without `since`.
    #[must_use]
    pub fn subscribe(&self, view: View, tenant: Option<TenantId>, since: Option<Timestamp>) -> Subscription {
        Subscription::new(Arc::clone(&self.inner), view, tenant, since)
    }
}

impl Inner {
    /// The changes after a place and the place up to which that are all; `None` when memory does not reach back that far.
    fn recent_after(&self, place: Timestamp) -> Option<(Vec<Arc<RecordedChange>>, Timestamp)> {
        self.recent.read().after_place(place)
    }
}
