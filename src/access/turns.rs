//! One fetch at a time, and who waits for it.

use std::mem;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;

/// Between the beginnings of two fetches that tokens cause there is at least this.
pub(super) const FETCH_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// Which fetches there were.
#[derive(Debug)]
pub(super) struct Turns {
    turn: Mutex<Turn>,
    ended: watch::Sender<Ended>,
}

#[derive(Debug, Default)]
struct Turn {
    /// How many have begun, and when the last one did.
    begun: u64,
    begun_at: Option<Timestamp>,
    is_running: bool,
    /// Whether another one is to follow it.
    again: bool,
}

/// The last fetch that has ended.
#[derive(Clone, Copy, Debug, Default)]
struct Ended {
    number: u64,
    succeeded: bool,
}

/// How somebody who wants to know what the source has *now* comes to it.
#[derive(Debug)]
pub(super) enum Place {
    /// By a fetch that this caller must have begin.
    Own(Awaited),
    /// A fetch is under way, which may have begun before what it is asked for.
    Joined(Awaited),
    /// Not yet; how long to wait.
    TooSoon(Duration),
}

/// The end of a fetch.
#[derive(Debug)]
pub(super) struct Awaited {
    number: u64,
    ended: watch::Receiver<Ended>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { turn: Mutex::default(), ended: watch::Sender::new(Ended::default()) }
    }
}

impl Turns {
    /// A place for somebody who comes at `now`, or, where the source `has_changed`, at once.
    pub(super) fn take(&self, now: Timestamp, has_changed: bool) -> Place {
        let ended = self.ended.subscribe();
        let mut turn = self.turn.lock();
        if turn.is_running {
            return Place::Joined(Awaited { number: turn.begun, ended });
        }
        match turn.wait(now) {
            Some(wait) if !has_changed => Place::TooSoon(wait),
            _ => {
                turn.begin(now);
                Place::Own(Awaited { number: turn.begun, ended })
            }
        }
    }

    /// Asks for a fetch that begins after this, however soon. Whether the caller must have it begin; otherwise it follows the one under way,
    /// however many ask.
    pub(super) fn take_in_any_case(&self, now: Timestamp) -> bool {
        let mut turn = self.turn.lock();
        if turn.is_running {
            turn.again = true;
            return false;
        }
        turn.begin(now);
        true
    }

    /// Ends a fetch that began. Whether another one has to follow, which has begun by that.
    pub(super) fn end(&self, succeeded: bool, now: Timestamp) -> bool {
        let mut turn = self.turn.lock();
        self.ended.send_replace(Ended { number: turn.begun, succeeded });
        let follows = mem::take(&mut turn.again);
        if follows {
            turn.begin(now);
        } else {
            turn.is_running = false;
        }
        follows
    }

    /// Whether a fetch is under way.
    pub(super) fn is_running(&self) -> bool {
        self.turn.lock().is_running
    }

    /// How long to wait until the next fetch that a token may cause.
    pub(super) fn wait(&self, now: Timestamp) -> Duration {
        self.turn.lock().wait(now).unwrap_or_default()
    }
}

impl Turn {
    fn begin(&mut self, now: Timestamp) {
        self.is_running = true;
        self.begun += 1;
        self.begun_at = Some(now);
    }

    /// How long to wait for the next fetch, if at all. A clock that was set back does not make it longer.
    fn wait(&self, now: Timestamp) -> Option<Duration> {
        let since = now.duration_since(self.begun_at?).abs();
        (since < FETCH_EVERY).then(|| Duration::try_from(FETCH_EVERY - since).unwrap_or_default())
    }
}

impl Awaited {
    /// Waits for the end, which a fetch has soon. Whether it succeeded.
    pub(super) async fn end(mut self) -> bool {
        let number = self.number;
        self.ended.wait_for(|ended| ended.number >= number).await.is_ok_and(|ended| ended.succeeded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[tokio::test]
    async fn whoever_comes_during_a_fetch_waits_for_it_and_whoever_comes_after_it_for_the_next_one() {
        let turns = Turns::default();
        let Place::Own(own) = turns.take(at(0), false) else { panic!("nobody fetches") };
        let Place::Joined(joined) = turns.take(at(1), false) else { panic!("one is under way") };
        assert!(!turns.end(true, at(2)));
        assert!(own.end().await && joined.end().await);
        for (now, wait) in [(2, 8), (9, 1), (-1, 9)] {
            assert!(matches!(turns.take(at(now), false), Place::TooSoon(left) if left == Duration::from_secs(wait)), "{now}");
        }
        assert!(matches!(turns.take(at(10), false), Place::Own(_)));
        turns.end(false, at(11));
        assert!(matches!(turns.take(at(12), true), Place::Own(_)), "what has changed is read at once");
    }

    #[tokio::test]
    async fn many_who_ask_for_another_fetch_have_one() {
        let turns = Turns::default();
        assert!(turns.take_in_any_case(at(0)));
        let Place::Joined(first) = turns.take(at(0), false) else { panic!("one is under way") };
        for _ in 0..8 {
            assert!(!turns.take_in_any_case(at(0)));
        }
        assert!(turns.end(false, at(5)), "one follows");
        assert!(!first.end().await, "and nobody waits for that who came before");
        assert!(!turns.end(true, at(6)), "and no more");
    }
}
