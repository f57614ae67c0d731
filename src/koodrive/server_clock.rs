//! How far the upstream's clock is ahead of ours, learnt from the `Date` header of its answers.
//!
//! `Date` is cut to the second, and the answer travelled: each one says that the upstream's clock minus ours lies between
//! `Date - received` and `Date + 1 s - sent`. What several answers agree on is kept, and grows wider as the clocks drift apart.
//! The lower bound is what requests are dated by, since the upstream refuses a date of its future and takes one of its past.
//!
//! A `Date` may also be wrong: of a balancer whose clock was never set, or of nobody who means well. One that is far from our clock is not
//! followed before a request that was dated by ours was refused and one that was dated by it was not; and one that requests are refused by is
//! no longer followed when our own clock does. So a wrong `Date` costs one refused request.

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// How far back a request is dated by our own clock.
const OWN_CLOCK_MARGIN: SignedDuration = SignedDuration::from_secs(60);
/// How far behind the lower bound a request is dated: the servers behind one name do not agree to the second.
const MARGIN: SignedDuration = SignedDuration::from_secs(1);
/// For how long the upstream takes a signature, counted from its date.
const SIGNATURE_LIFE: SignedDuration = SignedDuration::from_mins(15);
/// Clocks drift apart by one part in this many, at the worst.
const DRIFT_DIVISOR: i32 = 2000;
/// An upstream's clock that is further from ours is followed only when that is what it takes: machines that know the time at all know the day.
const PLAUSIBLE: SignedDuration = SignedDuration::from_hours(36);
/// For how long the upstream's clock is not followed after requests that it dated were refused, and one that ours dated was not.
const REFUTED_FOR: SignedDuration = SignedDuration::from_hours(1);
/// Dates that are nearer to each other are refused or taken together.
const SAME_DATE: SignedDuration = SignedDuration::from_mins(2);

/// The clock of one endpoint host, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct ServerClock {
    state: Mutex<State>,
}

/// By which clock a request is dated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Basis {
    /// By the upstream's, as its answers tell.
    Upstream,
    /// By our own.
    Own,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    learnt: Option<Offset>,
    /// A request that was dated by an implausible offset was taken, and one that was dated by our clock was not.
    confirmed: bool,
    /// Until when the upstream's clock is not followed.
    refuted_until: Option<Timestamp>,
    /// Whether the basis that is not preferred was tried after a refusal, and did not help.
    other_was_tried: bool,
}

/// The bounds of the upstream's clock minus ours, as they were at one instant of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offset {
    at_least: SignedDuration,
    at_most: SignedDuration,
    as_of: Timestamp,
}

impl ServerClock {
    /// Learns from an answer: its `Date`, and when by our clock the request was sent and the answer's head received.
    pub(super) fn observe(&self, date: Timestamp, sent: Timestamp, received: Timestamp) {
        if received < sent {
            return; // our own clock was set back in between
        }
        let second = SignedDuration::from_secs(1);
        let newest =
            Offset { at_least: date.duration_since(received), at_most: date.duration_since(sent) + second, as_of: received };
        let mut state = self.state.lock();
        match state.learnt.map(|known| known.widened(received).narrowed(newest)) {
            Some(Some(both)) => state.learnt = Some(both),
            None => state.learnt = Some(newest),
            // A clock was set: what was found out about dates no longer holds. That the upstream's clock is not to be followed does.
            Some(None) => *state = State { learnt: Some(newest), refuted_until: state.refuted_until, ..State::default() },
        }
    }

    /// The clock to date a request by that is sent at `now`.
    pub(super) fn preferred(&self, now: Timestamp) -> Basis {
        self.state.lock().preferred(now)
    }

    /// The date to put on a request that is sent at `now`.
    pub(super) fn date_for(&self, basis: Basis, now: Timestamp) -> Timestamp {
        self.state.lock().date_for(basis, now)
    }

    /// The clock to date a request by once more that was refused: `None` when its date was not the reason, as far as that is known. The
    /// request was dated by `basis`, and sent at `sent`.
    pub(super) fn redate(&self, basis: Basis, date: Timestamp, sent: Timestamp) -> Option<Basis> {
        let mut state = self.state.lock();
        if state.preferred(sent) == Basis::Upstream && state.may_have_refused(date, sent) {
            return Some(Basis::Upstream);
        }
        let other = match basis {
            Basis::Upstream => Basis::Own,
            Basis::Own => Basis::Upstream,
        };
        let differs = state.date_for(other, sent).duration_since(date).abs() > SAME_DATE;
        if state.learnt.is_none() || state.other_was_tried || !differs {
            return None;
        }
        state.other_was_tried = true;
        Some(other)
    }

    /// Takes note that a request, dated by `basis` after the one before it was refused, was not refused at `now`.
    pub(super) fn redating_helped(&self, basis: Basis, now: Timestamp) {
        let mut state = self.state.lock();
        state.other_was_tried = false;
        state.confirmed = basis == Basis::Upstream;
        state.refuted_until = match basis {
            Basis::Upstream => None,
            Basis::Own => Some(now.saturating_add(REFUTED_FOR).unwrap_or(Timestamp::MAX)),
        };
    }

    /// The lower bound in seconds; `None` while nothing is known.
    pub(super) fn seconds_ahead(&self, now: Timestamp) -> Option<f64> {
        self.state.lock().offset(now).map(|offset| offset.at_least.as_secs_f64())
    }
}

impl State {
    fn offset(&self, now: Timestamp) -> Option<Offset> {
        self.learnt.map(|offset| offset.widened(now))
    }

    fn preferred(&self, now: Timestamp) -> Basis {
        let is_refuted = self.refuted_until.is_some_and(|until| now < until);
        let is_plausible = |offset: Offset| offset.at_least.abs() <= PLAUSIBLE;
        let is_followed = !is_refuted && self.learnt.is_some_and(|offset| self.confirmed || is_plausible(offset));
        if is_followed { Basis::Upstream } else { Basis::Own }
    }

    fn date_for(&self, basis: Basis, now: Timestamp) -> Timestamp {
        let offset = match (basis, self.offset(now)) {
            (Basis::Upstream, Some(offset)) => offset.at_least - MARGIN,
            _ => -OWN_CLOCK_MARGIN,
        };
        now.saturating_add(offset).unwrap_or(now)
    }

    /// Whether a request that was sent at `sent` bore a date that the upstream, as its clock is known now, may have refused.
    fn may_have_refused(&self, date: Timestamp, sent: Timestamp) -> bool {
        self.offset(sent).is_some_and(|offset| {
            let ahead = date.duration_since(sent);
            ahead > offset.at_least || ahead < offset.at_most - SIGNATURE_LIFE
        })
    }
}

impl Offset {
    fn widened(self, now: Timestamp) -> Self {
        let drift = now.duration_since(self.as_of).max(SignedDuration::ZERO) / DRIFT_DIVISOR;
        Self { at_least: self.at_least - drift, at_most: self.at_most + drift, as_of: self.as_of.max(now) }
    }

    /// What both say; `None` when they contradict each other, because a clock was set.
    fn narrowed(self, newest: Self) -> Option<Self> {
        let both =
            Self { at_least: self.at_least.max(newest.at_least), at_most: self.at_most.min(newest.at_most), as_of: newest.as_of };
        (both.at_least <= both.at_most).then_some(both)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_microsecond(1_800_000_000_000_000 + micros).unwrap()
    }

    fn next_date(clock: &ServerClock, now: Timestamp) -> Timestamp {
        clock.date_for(clock.preferred(now), now)
    }

    fn may_have_refused(clock: &ServerClock, date: Timestamp, sent: Timestamp) -> bool {
        clock.state.lock().may_have_refused(date, sent)
    }

    /// Sends requests a minute apart to an upstream that judges dates by a clock that is `true_offset_s` ahead of ours and says `told_s` in each
    /// `Date`. Gives how many requests were refused, by call.
    fn call(true_offset_s: i64, told_s: impl Fn(i64) -> i64, calls: i64) -> Vec<u32> {
        let clock = ServerClock::default();
        let second = |s: i64| at(s * 1_000_000);
        let refused_by_call = |number: i64| {
            let now = 60 * number;
            let (mut refused, mut basis, mut redated) = (0, clock.preferred(second(now)), false);
            loop {
                let date = clock.date_for(basis, second(now));
                let ahead = date.duration_since(second(now + true_offset_s)).as_secs();
                let is_taken = (-900..=0).contains(&ahead);
                clock.observe(second(now + told_s(number)), second(now), second(now));
                if is_taken {
                    if redated {
                        clock.redating_helped(basis, second(now));
                    }
                    return refused;
                }
                refused += 1;
                let other = clock.redate(basis, date, second(now)).filter(|_| !redated);
                let Some(other) = other else { return 100 + refused };
                (basis, redated) = (other, true);
            }
        };
        (0..calls).map(refused_by_call).collect()
    }

    #[test]
    fn a_date_that_is_wrong_costs_one_refused_request_and_no_call() {
        const YEARS: i64 = 14 * 365 * 86_400;
        for wrong in [-4 * YEARS, YEARS, 3600, -3600, 86_400, -86_400, 600] {
            let refused = call(0, |_| wrong, 50);
            assert!(refused.iter().sum::<u32>() <= 1, "always {wrong}: {refused:?}");
            let refused = call(0, |number| if number == 7 { wrong } else { 0 }, 50);
            assert!(refused.iter().sum::<u32>() <= 1, "once {wrong}: {refused:?}");
            let refused = call(0, |number| if number % 2 == 0 { wrong } else { 0 }, 50);
            assert!(refused.iter().all(|refused| *refused <= 1), "every other time {wrong}: {refused:?}");
        }
        // Our own clock is ten minutes ahead.
        let refused = call(-600, |number| if number == 7 { YEARS } else { -600 }, 50);
        assert!(refused.iter().sum::<u32>() <= 2 && refused.iter().all(|refused| *refused <= 1), "{refused:?}");
    }

    #[test]
    fn a_machine_that_does_not_know_the_year_is_answered_all_the_same() {
        for offset in [56 * 365 * 86_400, -100 * 365 * 86_400] {
            let refused = call(offset, |_| offset, 20);
            assert_eq!(refused.iter().sum::<u32>(), 1, "{refused:?}");
        }
    }

    #[test]
    fn a_credential_that_is_refused_for_good_is_tried_by_the_other_clock_once() {
        let clock = ServerClock::default();
        clock.observe(at(-600_000_000), at(0), at(0));
        let basis = clock.preferred(at(0));
        let date = clock.date_for(basis, at(0));
        assert_eq!((basis, clock.redate(basis, date, at(0))), (Basis::Upstream, Some(Basis::Own)));
        assert_eq!(clock.redate(basis, date, at(0)), None);
    }

    fn whole_second(at: Timestamp) -> Timestamp {
        Timestamp::from_second(at.as_second()).unwrap()
    }

    #[test]
    fn before_anything_is_learnt_requests_are_dated_a_minute_back() {
        let clock = ServerClock::default();
        assert_eq!(next_date(&clock, at(0)), at(-60_000_000));
        assert_eq!(clock.seconds_ahead(at(0)), None);
        assert_eq!(clock.redate(Basis::Own, at(3_600_000_000), at(0)), None);
    }

    #[test]
    fn one_answer_tells_the_offset_to_the_second() {
        let clock = ServerClock::default();
        clock.observe(whole_second(at(-600_000_000)), at(0), at(100_000));
        let ahead = clock.seconds_ahead(at(100_000)).unwrap();
        assert!((-601.1..=-600.0).contains(&ahead), "{ahead}");
        let redated = clock.redate(Basis::Own, at(-60_000_000), at(0));
        assert_eq!(redated, Some(Basis::Upstream), "that was nine minutes ahead of the upstream");
        assert!(!may_have_refused(&clock, next_date(&clock, at(0)), at(0)));
    }

    #[test]
    fn a_date_older_than_a_signature_lives_may_have_been_refused() {
        let clock = ServerClock::default();
        clock.observe(whole_second(at(0)), at(0), at(100_000));
        assert!(may_have_refused(&clock, at(-900_000_000), at(0)));
        assert!(!may_have_refused(&clock, at(-898_000_000), at(0)));
    }

    #[test]
    fn an_answer_during_which_our_clock_was_set_back_teaches_nothing() {
        let clock = ServerClock::default();
        clock.observe(at(0), at(1_000_000), at(0));
        assert_eq!(clock.seconds_ahead(at(0)), None);
    }

    #[test]
    fn a_clock_that_was_set_is_learnt_from_the_next_answer() {
        let clock = ServerClock::default();
        clock.observe(whole_second(at(0)), at(0), at(1000));
        clock.observe(whole_second(at(-300_000_000)), at(10_000_000), at(10_001_000));
        let ahead = clock.seconds_ahead(at(10_001_000)).unwrap();
        assert!((-312.0..=-310.0).contains(&ahead), "{ahead}");
    }

    proptest! {
        /// The upstream's clock is ours plus an offset that drifts by up to 400 parts in a million.
        #[test]
        fn no_request_is_ever_dated_ahead_of_the_upstream_nor_far_behind_it(
            offset_us in -86_400_000_000_i64..86_400_000_000,
            drift_ppm in -400_i64..400,
            answers in prop::collection::vec((0..3_600_000_000_i64, 0..5_000_000_i64, 0..=100_i64), 1..40),
        ) {
            let clock = ServerClock::default();
            let upstream = |ours: i64| at(ours + offset_us + ours * drift_ppm / 1_000_000);
            let mut now = 0;
            for (pause, journey, percent) in answers {
                now += pause;
                if clock.seconds_ahead(at(now)).is_some() {
                    let date = next_date(&clock, at(now));
                    prop_assert!(date <= upstream(now), "{} is ahead of {}", date, upstream(now));
                    prop_assert!(upstream(now).duration_since(date) < SignedDuration::from_secs(12));
                    prop_assert!(!may_have_refused(&clock, date, at(now)));
                }
                let answered = now + journey * percent / 100;
                clock.observe(whole_second(upstream(answered)), at(now), at(now + journey));
                now += journey;
            }
        }
    }
}
