//! Whether an account is called at all: not when it was unreachable several times in a row, and not before the time that the
//! upstream asked it to wait for.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use super::verdict::{Cause, Limit, Verdict};

/// The longest time that an upstream can make us leave an account alone.
const MAX_PAUSE: Duration = Duration::from_hours(1);

/// The gate in front of one account.
#[derive(Debug)]
pub(super) struct Breaker {
    failures_to_open: u32,
    open_for: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open_until: Option<Timestamp>,
    probing: bool,
    paused_until: Option<Timestamp>,
}

/// The right to call. A probe, the one call that tries whether an open breaker may close, ends with it.
#[derive(Debug)]
pub(super) struct Pass {
    breaker: Arc<Breaker>,
    probe: bool,
}

impl Breaker {
    /// A closed breaker that opens after some unreachable verdicts in a row, for some time.
    pub(super) fn new(failures_to_open: u32, open_for: Duration) -> Arc<Self> {
        Arc::new(Self { failures_to_open, open_for, state: Mutex::default() })
    }

    /// Lets a call through, or says why not.
    pub(super) fn enter(self: &Arc<Self>, now: Timestamp) -> Result<Pass, Verdict> {
        let mut state = self.state.lock();
        if let Some(retry_after) = remaining(state.paused_until, now, MAX_PAUSE) {
            return Err(Verdict::Overloaded { by: Limit::RetryAfter, retry_after: Some(retry_after) });
        }
        let probe = state.open_until.is_some();
        if probe {
            let retry_after = remaining(state.open_until, now, self.open_for);
            if retry_after.is_some() || state.probing {
                return Err(Verdict::Unreachable { cause: Cause::BreakerOpen, retry_after });
            }
            state.probing = true;
        }
        Ok(Pass { breaker: Arc::clone(self), probe })
    }
}

/// The time left until an instant. None when it is over, and when it is longer than it can be, because our clock was set back.
fn remaining(until: Option<Timestamp>, now: Timestamp, longest: Duration) -> Option<Duration> {
    let left = Duration::try_from(until?.duration_since(now)).ok()?;
    (!left.is_zero() && left <= longest).then_some(left)
}

impl Pass {
    /// Whether the call is to be one request that is not repeated.
    pub(super) fn is_probe(&self) -> bool {
        self.probe
    }

    /// Takes note of a request's verdict; `None` is the good one. Says whether the call may go on with another request.
    pub(super) fn record(&self, verdict: Option<&Verdict>, now: Timestamp) -> bool {
        let mut state = self.breaker.state.lock();
        if let Some(Verdict::Unreachable { .. }) = verdict {
            state.failures = state.failures.saturating_add(1);
            if self.probe || state.failures >= self.breaker.failures_to_open {
                state.open_until = Some(after(now, self.breaker.open_for));
                return false;
            }
            return true;
        }
        state.failures = 0;
        state.open_until = None;
        state.paused_until = match verdict {
            Some(Verdict::Overloaded { retry_after: Some(wait), .. }) => Some(after(now, (*wait).min(MAX_PAUSE))),
            _ => None,
        };
        true
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.state.lock().probing = false;
        }
    }
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    now.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(5);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn unreachable() -> Verdict {
        Verdict::unreachable(Cause::TimedOut)
    }

    fn opened() -> Arc<Breaker> {
        let breaker = Breaker::new(3, OPEN_FOR);
        let pass = breaker.enter(at(0)).unwrap();
        let may_go_on: Vec<bool> = (0..3).map(|_| pass.record(Some(&unreachable()), at(0))).collect();
        assert_eq!(may_go_on, [true, true, false]);
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let breaker = Breaker::new(3, OPEN_FOR);
        let pass = breaker.enter(at(0)).unwrap();
        for _ in 0..5 {
            assert!(pass.record(Some(&unreachable()), at(0)));
            assert!(pass.record(Some(&unreachable()), at(0)));
            assert!(pass.record(Some(&Verdict::invalid("html")), at(0)));
        }
        assert!(breaker.enter(at(0)).is_ok());
    }

    #[test]
    fn while_open_it_refuses_and_says_for_how_long() {
        let refusal = opened().enter(at(2)).unwrap_err();
        assert_eq!(refusal, Verdict::Unreachable { cause: Cause::BreakerOpen, retry_after: Some(Duration::from_secs(3)) });
    }

    #[test]
    fn then_one_probe_decides() {
        let breaker = opened();
        let probe = breaker.enter(at(5)).unwrap();
        assert!(probe.is_probe());
        assert!(breaker.enter(at(5)).is_err(), "one probe at a time");
        assert!(!probe.record(Some(&unreachable()), at(6)));
        drop(probe);
        assert!(breaker.enter(at(10)).is_err(), "a failed probe opens it again");

        let probe = breaker.enter(at(11)).unwrap();
        assert!(probe.record(None, at(11)));
        assert!(!breaker.enter(at(11)).unwrap().is_probe());
    }

    #[test]
    fn a_probe_that_was_given_up_leaves_the_place_to_the_next() {
        let breaker = opened();
        drop(breaker.enter(at(5)).unwrap());
        assert!(breaker.enter(at(5)).unwrap().is_probe());
    }

    #[test]
    fn an_asked_for_pause_holds_until_it_is_over_or_an_hour_has_passed() {
        let breaker = Breaker::new(3, OPEN_FOR);
        let overloaded = |seconds| Verdict::Overloaded {
            by: Limit::Upstream(super::super::verdict::HttpFault { status: 429, gateway_code: None, gateway_message: None }),
            retry_after: Some(Duration::from_secs(seconds)),
        };
        let pass = breaker.enter(at(0)).unwrap();
        assert!(pass.record(Some(&overloaded(30)), at(0)));
        let refusal = breaker.enter(at(10)).unwrap_err();
        assert_eq!(refusal, Verdict::Overloaded { by: Limit::RetryAfter, retry_after: Some(Duration::from_secs(20)) });
        assert!(breaker.enter(at(30)).is_ok());

        pass.record(Some(&overloaded(u64::MAX)), at(0));
        assert!(breaker.enter(at(3599)).is_err());
        assert!(breaker.enter(at(3600)).is_ok());
        assert!(breaker.enter(at(-10_000)).is_ok(), "our clock was set back");
        pass.record(None, at(0));
        assert!(breaker.enter(at(1)).is_ok());
    }
}
