//! The service while it runs, and its orderly end.

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::App;
use super::error::AppError;
use crate::telemetry;

/// Of the time to shut down, the share that requests and asks under way may take; the rest is for the last writes.
const DRAIN_SHARE: f64 = 0.7;

impl App {
    /// Serves and collects until the handle's [`super::AppHandle::stop`]. Then requests are drained, the collector finishes what it
    /// asked, everything observed is written, and the store is closed: all within the config's `shutdown_timeout`.
    ///
    /// # Errors
    /// When a part failed, or when the time ran out before everything was written.
    pub async fn run(self) -> Result<(), AppError> {
        let stop = self.handle.stop.clone();
        let mut server = tokio::spawn(self.listener.run(stop.clone()));
        let mut showing = tokio::spawn({
            let stop = stop.clone();
            async move {
                match self.figures {
                    Some(listener) => listener.run(stop).await,
                    None => stop.cancelled().await,
                }
            }
        });
        let mut collecting = tokio::spawn({
            let stop = stop.clone();
            async move {
                match self.collector {
                    Some(collector) => collector.run(stop).await,
                    None => stop.cancelled().await,
                }
            }
        });
        self.handle.keep_gate();
        let mut following = tokio::spawn(self.feed.follow(stop.clone(), self.handle.supervisor.clone()));
        self.handle.keep_house(self.ages, self.certificate_file);
        let all_observed = CancellationToken::new();
        let mut writing = tokio::spawn(self.writer.run(all_observed.clone()));

        let failed = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            _ = &mut server => Some("server"),
            _ = &mut showing => Some("server of figures"),
            _ = &mut collecting => Some("collector"),
            _ = &mut following => Some("feed"),
            _ = &mut writing => Some("recorder"),
        };
        stop.cancel();
        let deadline = tokio::time::Instant::now() + self.shutdown_timeout;
        let drained = tokio::time::Instant::now() + self.shutdown_timeout.mul_f64(DRAIN_SHARE);
        let drain = async {
            finish(&mut server, "requests").await;
            finish(&mut showing, "figures").await;
            finish(&mut following, "feed").await;
            self.sockets.close();
            self.sockets.wait().await;
            finish(&mut collecting, "collector").await;
        };
        if tokio::time::timeout_at(drained, drain).await.is_err() {
            warn!("some requests or asks were still under way; they are cut off");
            server.abort();
            showing.abort();
            following.abort();
            collecting.abort();
        }
        all_observed.cancel();
        let written = writing.is_finished() || tokio::time::timeout_at(deadline, &mut writing).await.is_ok();
        // Idle connections close at once; one that hangs must not hold up the end.
        let _ = tokio::time::timeout_at(deadline, self.handle.store.close()).await;
        match (failed, written) {
            (Some(part), _) => Err(AppError::TaskFailed(part)),
            (None, false) => Err(AppError::Unwritten),
            (None, true) => Ok(()),
        }
    }
}

async fn finish<T>(task: &mut JoinHandle<T>, part: &str) {
    if !task.is_finished()
        && let Err(cause) = task.await
    {
        error!(error = telemetry::explain(&cause), part, "a task failed");
    }
}
