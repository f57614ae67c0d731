//! How long to leave an upstream alone after failed refreshes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

const FIRST: SignedDuration = SignedDuration::from_secs(1);
const LONGEST: SignedDuration = SignedDuration::from_secs(60);

/// The keys whose last call failed. Doubles the wait with each failure in a row, from one second to one minute.
#[derive(Debug)]
pub struct BackOff<K> {
    failing: Mutex<HashMap<K, Failing>>,
}

#[derive(Clone, Copy, Debug)]
struct Failing {
    wait: SignedDuration,
    until: Timestamp,
}

impl<K> Default for BackOff<K> {
    fn default() -> Self {
        Self { failing: Mutex::default() }
    }
}

impl<K: Eq + Hash> BackOff<K> {
    /// Whether the key may be tried again.
    pub fn is_over(&self, key: &K, now: Timestamp) -> bool {
        self.lock().get(key).is_none_or(|failing| failing.until <= now)
    }

    /// A call failed.
    pub fn failed(&self, key: K, now: Timestamp) {
        let mut failing = self.lock();
        let wait = failing.get(&key).map_or(FIRST, |failing| (failing.wait * 2).min(LONGEST));
        let until = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        failing.insert(key, Failing { wait, until });
    }

    /// A call succeeded.
    pub fn succeeded(&self, key: &K) {
        self.lock().remove(key);
    }

    /// Forgets all other keys.
    pub fn retain(&self, keep: impl Fn(&K) -> bool) {
        self.lock().retain(|key, _| keep(key));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_minute_and_a_success_ends_it() {
        let back_off = BackOff::default();
        let mut now = Timestamp::UNIX_EPOCH;
        let mut waits = Vec::new();
        for _ in 0..8 {
            back_off.failed("a", now);
            let wait = (1..=61).find(|s| back_off.is_over(&"a", now + SignedDuration::from_secs(*s))).unwrap();
            waits.push(wait);
            now += SignedDuration::from_secs(wait);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        back_off.failed("a", now);
        assert!(!back_off.is_over(&"a", now) && back_off.is_over(&"b", now));
        back_off.succeeded(&"a");
        assert!(back_off.is_over(&"a", now));
    }
}
