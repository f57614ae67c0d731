//! How long to wait before a request is repeated.

use std::time::Duration;

use super::settings::Settings;
use super::verdict::Verdict;

/// The wait before repetition number `repetition` (from 0), or `None` when the request is not to be repeated: because the verdict
/// does not allow it, because it was repeated often enough, or because the wait does not fit into the time that is left.
/// `jitter` is at random between 0 and 1.
pub(super) fn wait_before(
    settings: &Settings,
    verdict: &Verdict,
    repetition: u32,
    left: Duration,
    jitter: f64,
) -> Option<Duration> {
    if repetition >= settings.retries || !verdict.is_retryable() {
        return None;
    }
    let doubled = settings.backoff_base.saturating_mul(1_u32.checked_shl(repetition).unwrap_or(u32::MAX)).min(settings.backoff_max);
    let backoff = doubled.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0);
    let wait = backoff.max(verdict.retry_after().unwrap_or_default());
    (wait < left).then_some(wait)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::verdict::{Cause, HttpFault, Limit};
    use super::*;

    const LEFT: Duration = Duration::from_secs(10);

    fn settings() -> Settings {
        Settings { retries: 5, ..Settings::default() }
    }

    fn overloaded(seconds: Option<u64>) -> Verdict {
        let fault = HttpFault { status: 429, gateway_code: None, gateway_message: None };
        Verdict::Overloaded { by: Limit::Upstream(fault), retry_after: seconds.map(Duration::from_secs) }
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits: Vec<_> = (0..6).map(|n| wait_before(&settings(), &overloaded(None), n, LEFT, 0.0)).collect();
        assert_eq!(waits, [Some(200), Some(400), Some(800), Some(1600), Some(2000), None].map(|w| w.map(Duration::from_millis)));
    }

    #[test]
    fn what_the_upstream_asks_for_is_obeyed_if_it_fits() {
        assert_eq!(wait_before(&settings(), &overloaded(Some(3)), 0, LEFT, 0.5), Some(Duration::from_secs(3)));
        assert_eq!(wait_before(&settings(), &overloaded(Some(0)), 0, LEFT, 1.0), Some(Duration::from_millis(100)));
        assert_eq!(wait_before(&settings(), &overloaded(Some(10)), 0, LEFT, 0.5), None);
        let unavailable = HttpFault { status: 503, gateway_code: None, gateway_message: None };
        let unavailable = Verdict::Unreachable { cause: Cause::Status(unavailable), retry_after: Some(Duration::from_secs(4)) };
        assert_eq!(wait_before(&settings(), &unavailable, 0, LEFT, 0.5), Some(Duration::from_secs(4)));
    }

    #[test]
    fn a_verdict_that_will_not_change_is_not_asked_for_again() {
        assert_eq!(wait_before(&settings(), &Verdict::invalid("html"), 0, LEFT, 0.5), None);
    }

    proptest! {
        #[test]
        fn a_wait_is_at_most_halved_and_always_fits(repetition in 0..100_u32, left_ms in 0..5000_u64, jitter in 0.0..1.0) {
            let settings = Settings { retries: 100, ..Settings::default() };
            let left = Duration::from_millis(left_ms);
            let full = wait_before(&settings, &overloaded(None), repetition, Duration::MAX, 0.0).unwrap();
            if let Some(wait) = wait_before(&settings, &overloaded(None), repetition, left, jitter) {
                prop_assert!(wait < left && full / 2 <= wait && wait <= full);
            }
        }
    }
}
