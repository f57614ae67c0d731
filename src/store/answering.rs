//! How long requests wait for the database, who find out beside each other whether it answers.
//!
//! One request waits for no longer than `database.acquire_timeout` in all. But answers that take long are made only a few at a time, so those
//! behind them would wait for what these wait for in vain, one after the other. So when one has waited in vain, and nobody was answered
//! meanwhile, the database is silent: every so often one request still waits for it that long, and the others hardly.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long requests wait that are not the one that tries a silent database. One that answers, answers most of them sooner.
const BRIEFLY: Duration = Duration::from_millis(100);

/// Whether the database answers.
#[derive(Debug)]
pub struct Answering {
    limit: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_silent: bool,
    /// When somebody was answered last.
    answered_at: Option<Instant>,
    /// When it was found silent, or somebody began to wait for it as long as may be.
    tried_at: Option<Instant>,
}

impl Answering {
    /// Of a database that is waited for so long at most.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// How long a request may wait at most.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// How long a request may wait in all that begins to wait now.
    #[must_use]
    pub fn patience(&self) -> Duration {
        let mut state = self.state.lock();
        if !state.is_silent {
            return self.limit;
        }
        if state.tried_at.is_some_and(|tried| tried.elapsed() < self.limit) {
            return BRIEFLY.min(self.limit);
        }
        state.tried_at = Some(Instant::now());
        self.limit
    }

    /// Takes note that somebody was answered.
    pub fn answered(&self) {
        let mut state = self.state.lock();
        (state.is_silent, state.answered_at) = (false, Some(Instant::now()));
    }

    /// Takes note that somebody who began to wait at `since` was not answered, for as long as it may be waited.
    pub fn waited_in_vain(&self, since: Instant) {
        let mut state = self.state.lock();
        if !state.is_silent && state.answered_at.is_none_or(|answered| answered < since) && since.elapsed() >= self.limit / 2 {
            (state.is_silent, state.tried_at) = (true, Some(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_silent_database_is_waited_for_by_one_request_at_a_time() {
        let database = Answering::new(LIMIT);
        let since = Instant::now();
        assert_eq!([database.patience(), database.patience()], [LIMIT, LIMIT]);
        advance(LIMIT).await;
        database.waited_in_vain(since);
        assert_eq!([database.patience(), database.patience()], [BRIEFLY, BRIEFLY]);
        for _ in 0..2 {
            advance(LIMIT).await;
            database.waited_in_vain(since);
            assert_eq!([database.patience(), database.patience(), database.patience()], [LIMIT, BRIEFLY, BRIEFLY]);
        }
        database.answered();
        assert_eq!([database.patience(), database.patience()], [LIMIT, LIMIT]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_that_takes_too_long_beside_others_that_do_not_is_no_silence() {
        let database = Answering::new(LIMIT);
        let since = Instant::now();
        advance(LIMIT / 2).await;
        database.answered();
        advance(LIMIT / 2).await;
        database.waited_in_vain(since);
        assert_eq!([database.patience(), database.patience()], [LIMIT, LIMIT]);
        database.waited_in_vain(Instant::now());
        assert_eq!(database.patience(), LIMIT, "a failure at once holds nobody up");
    }
}
