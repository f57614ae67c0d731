//! How much is read and computed for one answer, and how long it waits for the database.
//!
//! What a document asks for is counted before ([`crate::graphql`]'s costs), but not what there is: a year may be a thousand changes or a hundred
//! thousand. So whoever reads a history or goes through it spends work first, and the answer is given up as soon as that is too much, or as
//! nobody waits for it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::store::{Answering, StoreError};

/// What reading one recorded run and condensing it counts: the unit. About a microsecond.
pub const RUN: usize = 1;
/// Bytes of the packed log of changes that count one: about fifty changes.
pub const LOG_BYTES_OF_ONE: usize = 500;
/// Changes of the log that are not packed, of which one counts one.
pub const LOG_CHANGES_OF_ONE: usize = 50;
/// What a forecast counts.
pub const FORECAST: usize = 100;
/// What one counts that was made before: its days are compared.
pub const KNOWN_FORECAST: usize = 3;
/// Tenants that count one where all of them are looked at.
pub const TENANTS_OF_ONE: usize = 8;

/// The work for one answer. The operations of a list share what may be done, and wait each for itself.
#[derive(Debug)]
pub struct Work {
    most: usize,
    counts: Arc<Counts>,
    /// Nobody waits for the answer any more, or it is too much work.
    is_given_up: AtomicBool,
    /// The same, to be waited for.
    given_up: CancellationToken,
    /// How long the database is waited for in all, as all requests together find worth while.
    database: Arc<Answering>,
    waited: Mutex<Waited>,
}

/// What the operations of a request have taken together.
#[derive(Debug, Default)]
pub struct Counts {
    done: AtomicUsize,
    /// The complexity of the operations of a list.
    pub complexity: AtomicUsize,
    /// The bytes of their answers.
    pub bytes: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
struct Waited {
    /// How long may be waited; known when a wait has begun.
    at_most: Option<Duration>,
    /// In the waits that are over.
    before: Duration,
    /// How many wait at the moment.
    waiting: usize,
    /// Since when one does; `None` while none does.
    since: Option<Instant>,
}

impl Waited {
    fn in_all(&self) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// A wait for the database. It is over when this is dropped.
#[derive(Debug)]
pub struct Waiting<'a>(&'a Work);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waited = self.0.waited.lock();
        waited.before = waited.in_all();
        waited.waiting -= 1;
        waited.since = (waited.waiting > 0).then(Instant::now);
    }
}

impl Work {
    /// So much work at most, for which the database is waited for.
    #[must_use]
    pub fn new(most: usize, database: Arc<Answering>) -> Self {
        Self {
            most,
            counts: Arc::default(),
            is_given_up: AtomicBool::default(),
            given_up: CancellationToken::new(),
            database,
            waited: Mutex::new(Waited { at_most: None, before: Duration::ZERO, waiting: 0, since: None }),
        }
    }

    /// Any amount of work, for which a database is waited for so long.
    #[must_use]
    pub fn endless(patience: Duration) -> Self {
        Self::new(usize::MAX, Arc::new(Answering::new(patience)))
    }

    /// The work of another operation of the same request.
    #[must_use]
    pub fn shared(&self) -> Self {
        Self { counts: Arc::clone(&self.counts), ..Self::new(self.most, Arc::clone(&self.database)) }
    }

    /// Begins anew, for the next answer of the same operation.
    pub fn renew(&self) {
        self.counts.done.store(0, Ordering::Relaxed);
        self.counts.bytes.store(0, Ordering::Relaxed);
        let mut waited = self.waited.lock();
        (waited.before, waited.since) = (Duration::ZERO, waited.since.map(|_| Instant::now()));
        waited.at_most = None;
    }

    /// Spends work, before it is done where that can be told.
    ///
    /// # Errors
    /// When the answer is given up.
    pub fn spend(&self, units: usize) -> Result<(), StoreError> {
        let before = self.counts.done.fetch_add(units, Ordering::Relaxed);
        if before.saturating_add(units) > self.most {
            self.give_up();
        }
        if self.is_given_up() { Err(StoreError::GivenUp) } else { Ok(()) }
    }

    /// Whether it became too much.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.counts.done.load(Ordering::Relaxed) > self.most
    }

    /// What the operations of the request have taken together.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How much may be done at most.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// Tells whoever works that nobody waits for it any more.
    pub fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Relaxed);
        self.given_up.cancel();
    }

    /// Whether the answer is given up.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed)
    }

    /// Waits until the answer is given up.
    pub async fn given_up(&self) {
        self.given_up.cancelled().await;
    }

    /// Begins to wait for the database. What is computed meanwhile does not count.
    #[must_use]
    pub fn begin_wait(&self) -> Waiting<'_> {
        let mut waited = self.waited.lock();
        waited.since.get_or_insert_with(Instant::now);
        waited.waiting += 1;
        Waiting(self)
    }

    /// Waits for what reads the database or writes to it, as long as the patience lasts and somebody waits for the answer.
    ///
    /// All waits of an answer count together, those at the same time once: a database that is down, hangs or is slow holds the rest of the answer
    /// up only once.
    ///
    /// # Errors
    /// That of the future, [`StoreError::Slow`], or [`StoreError::GivenUp`].
    pub async fn wait<T, E: From<StoreError>>(&self, reading: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let _waiting = self.begin_wait();
        self.within(reading).await
    }

    /// The same, where whoever computes begins and ends the waits.
    ///
    /// # Errors
    /// As [`Work::wait`].
    pub async fn within<T, E: From<StoreError>>(&self, reading: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        if self.is_given_up() {
            return Err(StoreError::GivenUp.into());
        }
        let mut reading = std::pin::pin!(reading);
        // What is in memory needs no database, and says nothing of it.
        if let Some(read) = reading.as_mut().now_or_never() {
            return read;
        }
        let since = Instant::now();
        let read = tokio::select! {
            biased;
            () = self.given_up() => return Err(StoreError::GivenUp.into()),
            read = reading => read,
            () = self.waited_too_long() => Err(StoreError::Slow(self.database.limit()).into()),
        };
        if read.is_ok() {
            self.database.answered();
        } else {
            self.database.waited_in_vain(since);
        }
        read
    }

    /// How long may still be waited.
    fn rest(&self) -> Duration {
        let mut waited = self.waited.lock();
        let at_most = *waited.at_most.get_or_insert_with(|| self.database.patience());
        at_most.saturating_sub(waited.in_all())
    }

    async fn waited_too_long(&self) {
        loop {
            let rest = self.rest();
            if rest.is_zero() {
                return;
            }
            sleep(rest).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn too_much_work_gives_the_answer_up_and_that_of_a_list_together() {
        let work = Work::new(100, Arc::new(Answering::new(PATIENCE)));
        let other = work.shared();
        assert!(work.spend(60).is_ok() && other.spend(40).is_ok() && !other.is_exceeded());
        assert!(matches!(other.spend(1), Err(StoreError::GivenUp)) && other.is_exceeded() && work.is_exceeded());
        assert!(!work.is_given_up(), "each operation ends by itself");
        other.given_up().await;
        assert!(work.spend(0).is_err() && work.is_given_up(), "with its next piece of work");
        let events = Work::new(100, Arc::new(Answering::new(PATIENCE)));
        for _ in 0..3 {
            assert!(events.spend(100).is_ok());
            events.renew();
        }
        assert!(events.spend(usize::MAX).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn waits_count_together_and_computing_does_not() {
        let work = Work::endless(PATIENCE);
        let begun = Instant::now();
        let second = || async {
            sleep(Duration::from_secs(1)).await;
            Ok::<_, StoreError>(())
        };
        // Two at the same time count once.
        let (one, other) = tokio::join!(work.wait(second()), work.wait(second()));
        assert!(one.is_ok() && other.is_ok());
        // Computing.
        sleep(Duration::from_mins(1)).await;
        for _ in 0..3 {
            assert!(work.wait(second()).await.is_ok());
        }
        let slow = work.wait(pending::<Result<(), StoreError>>()).await;
        assert!(matches!(slow, Err(StoreError::Slow(PATIENCE))));
        assert_eq!(begun.elapsed(), Duration::from_secs(65));
        assert!(work.wait(pending::<Result<(), StoreError>>()).await.is_err());
        assert_eq!(begun.elapsed(), Duration::from_secs(65), "there is no patience left");
        work.renew();
        assert!(work.wait(second()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_the_answer_and_its_clock_stands_still_while_something_is_computed() {
        let work = Work::endless(PATIENCE);
        let begun = Instant::now();
        let computing = async {
            sleep(Duration::from_secs(20)).await;
            work.give_up();
            pending::<Result<(), StoreError>>().await
        };
        assert!(matches!(work.within(computing).await, Err(StoreError::GivenUp)));
        assert_eq!(begun.elapsed(), Duration::from_secs(20));
    }
}
