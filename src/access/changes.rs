//! Tells those who stay that who may call has changed.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Counts the changes of who may call: of keys, roles and tenants, and of the keys of an issuer. Requests look at the count; whoever stays
/// waits for the next one.
#[derive(Debug)]
pub(super) struct Changes {
    count: AtomicU64,
    waiting: watch::Sender<()>,
}

impl Default for Changes {
    fn default() -> Self {
        Self { count: AtomicU64::new(0), waiting: watch::Sender::new(()) }
    }
}

impl Changes {
    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Counts one that is in force already.
    pub(super) fn tell(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
        self.waiting.send_replace(());
    }

    /// Is told of changes from now on.
    pub(super) fn watch(&self) -> watch::Receiver<()> {
        self.waiting.subscribe()
    }
}
