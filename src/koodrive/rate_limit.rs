//! A limit of requests per second that hands out places in the order of asking.
//!
//! A limiter that says only yes or no makes its callers poll, and lets late ones overtake. This one tells each caller its instant,
//! so that one whose instant comes too late can be turned away at once.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// At most so many requests per second, evenly spaced after a burst of one tenth of a second's worth.
#[derive(Debug)]
pub(super) struct RateLimit {
    interval: Duration,
    burst: Duration,
    /// When the next request would be due if all had been evenly spaced.
    next: Mutex<Option<Instant>>,
}

impl RateLimit {
    /// At least one request per second.
    pub(super) fn new(per_second: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { interval, burst: interval * (per_second / 10), next: Mutex::default() }
    }

    /// Takes the next place if it is not after `deadline`, and says when it is.
    pub(super) fn reserve(&self, now: Instant, deadline: Instant) -> Option<Instant> {
        let mut next = self.next.lock();
        let due = next.map_or(now, |next| next.max(now));
        let place = due.checked_sub(self.burst).map_or(now, |early| early.max(now));
        if place > deadline {
            return None;
        }
        *next = Some(due + self.interval);
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn after_a_burst_places_are_evenly_spaced() {
        let limit = RateLimit::new(50);
        let now = Instant::now();
        let places: Vec<_> = (0..9).map(|_| limit.reserve(now, now + ms(1000)).unwrap() - now).collect();
        assert_eq!(places, [0, 0, 0, 0, 0, 0, 20, 40, 60].map(ms));
    }

    #[test]
    fn a_place_after_the_deadline_is_not_taken() {
        let limit = RateLimit::new(1);
        let now = Instant::now();
        assert_eq!(limit.reserve(now, now), Some(now));
        assert_eq!(limit.reserve(now, now + ms(999)), None);
        assert_eq!(limit.reserve(now, now + ms(1000)), Some(now + ms(1000)));
    }

    proptest! {
        #[test]
        fn no_second_has_more_than_the_limit_and_the_burst(
            per_second in 1..200_u32,
            pauses in prop::collection::vec(0..50_u64, 1..400),
        ) {
            let limit = RateLimit::new(per_second);
            let mut now = Instant::now();
            let mut places = Vec::new();
            for pause in pauses {
                now += ms(pause);
                places.extend(limit.reserve(now, now + ms(500)));
            }
            prop_assert!(places.is_sorted());
            for (i, place) in places.iter().enumerate() {
                let within = places[i..].iter().take_while(|p| **p < *place + ms(1000)).count();
                prop_assert!(within <= (per_second + per_second / 10 + 1) as usize, "{} in a second", within);
            }
        }
    }
}
