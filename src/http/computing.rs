//! Threads of their own for answers that take long to be made, so that they hold up nobody else's.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// From this complexity on an answer takes long: about a millisecond.
const TAKES_LONG: usize = 500;

/// How many tenants are gone through in the time of one field.
const TENANTS_OF_ONE: usize = 16;

/// As many threads as there are cores; who comes when all are busy waits. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub struct Computing {
    places: Arc<Semaphore>,
}

impl Default for Computing {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from))) }
    }
}

impl Computing {
    /// Whether an answer of this complexity, for which so many tenants are gone through, takes so long that it is made here.
    pub(super) fn is_for(complexity: usize, tenants: usize) -> bool {
        complexity.saturating_add(tenants / TENANTS_OF_ONE) >= TAKES_LONG
    }

    /// Does work on a thread of its own, when there is one. The work is dropped with whoever waits for it, at its next pause. `None` when the
    /// process ends.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let gone = CancellationToken::new();
        let _waiting = gone.clone().drop_guard();
        let runtime = Handle::current();
        let working = spawn_blocking(move || {
            let _place = place;
            runtime.block_on(gone.run_until_cancelled_owned(work))
        });
        match working.await {
            Ok(made) => made,
            Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn work_is_done_elsewhere_and_ends_with_whoever_waits_for_it() {
        let computing = Computing { places: Arc::new(Semaphore::new(1)) };
        let here = std::thread::current().id();
        assert_ne!(computing.run(async { std::thread::current().id() }).await, Some(here));
        let (told, dropped) = tokio::sync::oneshot::channel::<()>();
        let endless = computing.run(async move {
            let _told = told;
            pending::<()>().await;
        });
        assert!(tokio::time::timeout(Duration::from_millis(20), endless).await.is_err());
        assert!(dropped.await.is_err(), "it was dropped");
        // Its place is free again.
        assert_eq!(computing.run(async { 7 }).await, Some(7));
    }

    #[test]
    fn what_is_small_is_made_where_it_is_asked_for() {
        assert!(!Computing::is_for(499, 0) && !Computing::is_for(100, 1000));
        assert!(Computing::is_for(500, 0) && Computing::is_for(100, 10_000) && Computing::is_for(usize::MAX, usize::MAX));
    }
}
