//! The threads on which the connections to upstreams live.
//!
//! The HTTP library reads an answer's head for as long as there is more to read. An upstream that sends interim answers (1xx) without end so
//! keeps a thread for seconds, in which none of its time-outs fires. On threads of their own such connections hold up other calls at worst, and
//! whoever waits for an answer waits elsewhere and is told in time.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

/// How many there are.
const THREADS: usize = 4;

/// The threads; they end with this.
#[derive(Debug)]
pub(super) struct Threads(Option<Runtime>);

impl Threads {
    /// Starts them.
    pub(super) fn start() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name("koodrive").enable_all().build().map(|runtime| Self(Some(runtime)))
    }

    /// Does work there that has to end by itself; `None` when it did not, within a time, or failed. Whoever does not wait any more ends it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        at_most: Duration,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let working = AbortOnDropHandle::new(self.0.as_ref()?.spawn(work.in_current_span()));
        timeout(at_most, working).await.ok()?.ok()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // It may be dropped where nobody may wait.
            runtime.shutdown_background();
        }
    }
}
