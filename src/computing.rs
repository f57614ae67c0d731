//! Threads of their own for what takes long to be made, so that it holds up nobody else's answers.
//!
//! They have a runtime of their own, without any input and output: what is read or waited for there is so by the runtime of whoever began the work.
//! Histories are read and condensed there, and answers made that cost much. Work goes on while somebody waits for it, and no further than to its
//! next pause afterwards; so whatever computes must pause now and then.

use std::io;
use std::sync::Arc;
use std::thread::available_parallelism;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::context::TokioContext;
use tokio_util::task::AbortOnDropHandle;

use crate::request_id::carry;

/// The threads, and as many places for long work as there are cores; who comes when all are taken waits. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub struct Computing {
    threads: Arc<Threads>,
    places: Arc<Semaphore>,
}

/// A runtime that may be dropped where nothing may block.
#[derive(Debug)]
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Computing {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system has none.
    pub fn start() -> io::Result<Self> {
        let cores = available_parallelism().map_or(1, usize::from);
        // One more, so that what is short finds one that is free.
        let runtime = Builder::new_multi_thread().worker_threads(cores + 1).thread_name("computing").build()?;
        Ok(Self { threads: Arc::new(Threads(Some(runtime))), places: Arc::new(Semaphore::new(cores)) })
    }

    /// Begins work on one of the threads. It ends with what this gives, at its next pause.
    pub fn begin<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> AbortOnDropHandle<T> {
        let work = TokioContext::new(carry(work), Handle::current());
        let handle = match &self.threads.0 {
            Some(runtime) => runtime.spawn(work),
            // Only while this is dropped, when nobody can ask any more.
            None => tokio::spawn(work),
        };
        AbortOnDropHandle::new(handle)
    }

    /// Does work of some milliseconds on one of the threads, without waiting for a place. `None` when the process ends.
    pub async fn briefly<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        match self.begin(async move { work() }).await {
            Ok(made) => Some(made),
            Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            Err(_) => None,
        }
    }

    /// Does long work on one of the threads, when there is a place for it. The work is dropped with whoever waits for it, at its next pause. `None`
    /// when the process ends.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let places = Arc::clone(&self.places);
        // The place is waited for by the work, which goes on when whoever waits for it does not look: else one who does not would keep it.
        let working = self.begin(async move {
            let _place = places.acquire_owned().await.ok()?;
            Some(work.await)
        });
        match working.await {
            Ok(made) => made,
            Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            Err(_) => None,
        }
    }
}

/// A place that is taken for each part of a longer work, such as an event of many, and given back between them.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    computing: Option<Computing>,
    place: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Turn {
    /// Takes places of these.
    #[must_use]
    pub fn of(computing: &Computing) -> Self {
        Self { computing: Some(computing.clone()), place: Arc::default() }
    }

    /// Waits for a place; never where none is needed. It is another poll at least that goes on.
    pub async fn begin(&self) {
        let Some(computing) = &self.computing else { return };
        tokio::task::yield_now().await;
        let place = Arc::clone(&computing.places).acquire_owned().await.ok();
        *self.place.lock() = place;
    }

    /// Gives the place back.
    pub fn end(&self) {
        self.place.lock().take();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;

    fn with_places(places: usize) -> Computing {
        Computing { places: Arc::new(Semaphore::new(places)), ..Computing::start().unwrap() }
    }

    #[tokio::test]
    async fn work_is_done_elsewhere_and_ends_with_whoever_waits_for_it() {
        let computing = with_places(1);
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

    #[tokio::test]
    async fn whoever_waits_for_a_place_and_does_not_look_keeps_it_from_nobody() {
        let computing = with_places(1);
        let (go, waiting) = tokio::sync::oneshot::channel::<()>();
        let mut first = Box::pin(computing.run(async move { waiting.await.is_ok() }));
        assert!(first.as_mut().now_or_never().is_none());
        let mut second = Box::pin(computing.run(async { 2 }));
        assert!(second.as_mut().now_or_never().is_none());
        go.send(()).unwrap();
        assert_eq!(first.await, Some(true));
        // The second one is not looked at any more, and still the third has its turn.
        assert_eq!(computing.run(async { 3 }).await, Some(3));
        assert_eq!(second.await, Some(2));
    }

    #[tokio::test]
    async fn what_waits_there_is_woken_by_the_runtime_that_began_it() {
        let computing = with_places(1);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connecting = computing.run(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            tokio::net::TcpStream::connect(address).await.is_ok()
        });
        assert_eq!(connecting.await, Some(true));
    }

    #[tokio::test]
    #[should_panic(expected = "of the work")]
    async fn a_panic_reaches_whoever_waits() {
        with_places(1).run(async { panic!("of the work") }).await;
    }
}
