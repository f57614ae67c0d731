//! Time as a parameter: nothing outside this module reads the system clock.

#![warn(missing_docs)]

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// Tells the present instant.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The present instant, to the microsecond.
    fn now(&self) -> Timestamp;
}

/// A clock that is shared by the parts of one service.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the time")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until it is told otherwise. Clones share one time.
#[derive(Clone, Debug)]
pub struct TestClock {
    micros: Arc<AtomicI64>,
}

impl TestClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { micros: Arc::new(AtomicI64::new(now.as_microsecond())) }
    }

    /// Moves the clock; negative durations move it back.
    ///
    /// # Panics
    /// When it is moved by more than 292,000 years.
    pub fn advance(&self, by: SignedDuration) {
        let micros = i64::try_from(by.as_micros()).expect("a test moves its clock by less than 292,000 years");
        self.micros.fetch_add(micros, Ordering::SeqCst);
    }

    /// Sets the clock.
    pub fn set(&self, now: Timestamp) {
        self.micros.store(now.as_microsecond(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.micros.load(Ordering::SeqCst)).expect("a test sets instants that exist")
    }
}
