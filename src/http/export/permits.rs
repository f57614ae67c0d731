//! What exports work with, and how many may run.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::clock::SharedClock;
use crate::store::SharedStore;

/// What exports work with.
pub struct Exports {
    /// The history.
    pub store: SharedStore,
    /// The time.
    pub clock: SharedClock,
    /// One for each export that may run.
    pub permits: Arc<Semaphore>,
}
