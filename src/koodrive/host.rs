//! What the accounts of one endpoint host share: its limits, its clock and its connections.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::connections::Connections;
use super::rate_limit::RateLimit;
use super::server_clock::ServerClock;
use super::settings::Settings;
use super::verdict::{Limit, Verdict};

/// One endpoint host.
#[derive(Debug)]
pub(super) struct Host {
    /// Its name and port.
    pub(super) name: String,
    pub(super) clock: ServerClock,
    pub(super) connections: Connections,
    concurrency: Semaphore,
    rate: RateLimit,
}

impl Host {
    /// A host of which nothing is known.
    pub(super) fn new(name: String, settings: &Settings) -> Self {
        let permits = usize::try_from(settings.concurrency.max(1)).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            name,
            clock: ServerClock::default(),
            connections: Connections::default(),
            concurrency: Semaphore::new(permits.min(Semaphore::MAX_PERMITS)),
            rate: RateLimit::new(settings.requests_per_second),
        }
    }

    /// Waits until one more request may be sent, or fails because that would be after `deadline`. The place among the concurrent
    /// ones comes first: the other way round, places in time that were waited through would be used all at once.
    pub(super) async fn admit(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Verdict> {
        let overloaded = |retry_after: Option<Duration>| Verdict::Overloaded { by: Limit::Own, retry_after };
        let permit = timeout_at(deadline, self.concurrency.acquire()).await.ok().and_then(Result::ok);
        let permit = permit.ok_or_else(|| overloaded(None))?;
        let place = self.rate.reserve(Instant::now(), deadline).ok_or_else(|| overloaded(None))?;
        sleep_until(place).await;
        Ok(permit)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_that_would_wait_too_long_for_its_turn_is_turned_away_at_once() {
        let host = Host::new("h".into(), &Settings { requests_per_second: 1, ..Settings::default() });
        let start = Instant::now();
        let deadline = start + Duration::from_millis(1500);
        let mut admitted = 0;
        for _ in 0..5 {
            admitted += u32::from(host.admit(deadline).await.is_ok());
        }
        assert_eq!(admitted, 2);
        assert_eq!(start.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_limit_run_at_the_same_time() {
        let host = Arc::new(Host::new("h".into(), &Settings { concurrency: 2, requests_per_second: 1000, ..Settings::default() }));
        let start = Instant::now();
        let calls = (0..6).map(|_| {
            let host = Arc::clone(&host);
            tokio::spawn(async move {
                let _permit = host.admit(start + Duration::from_secs(10)).await?;
                tokio::time::sleep(Duration::from_secs(4)).await;
                Ok::<_, Verdict>(())
            })
        });
        let ended: Vec<_> = futures_util::future::join_all(calls).await.into_iter().map(Result::unwrap).collect();
        assert!(ended.iter().all(Result::is_ok));
        assert_eq!(start.elapsed(), Duration::from_secs(12));
        let _held = host.admit(start).await;
        let late = host.concurrency.acquire_many(2).await;
        assert!(matches!(
            host.admit(Instant::now() + Duration::from_secs(1)).await,
            Err(Verdict::Overloaded { by: Limit::Own, .. })
        ));
        drop(late);
    }
}
