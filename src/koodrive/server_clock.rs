//! How far the upstream's clock is ahead of ours, learnt from the `Date` header of its answers.
//!
//! `Date` is cut to the second, and the answer travelled: each one says that the upstream's clock minus ours lies between
//! `Date - received` and `Date + 1 s - sent`. What several answers agree on is kept, and grows wider as the clocks drift apart.
//! The lower bound is what requests are dated by, since the upstream refuses a date of its future and takes one of its past.
//!
//! A `Date` may also be wrong: of a balancer whose clock was never set, or of nobody who means well. One that is far from our clock is not
//! followed before a request that was dated by ours was refused and one that was dated by it was not. When one that was dated by ours was taken
//! after a refusal, ours is followed until it is the other way round. So a wrong `Date` costs one refused request. Refusals alone teach nothing:
//! they may be for the credential (`dating.rs`).

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
    /// The clock by which a request was last taken that was refused before.
    taken_by: Option<Basis>,
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
            // A clock was set: that the former one was followed with success no longer counts. That ours was does.
            Some(None) => {
                *state = State { learnt: Some(newest), taken_by: state.taken_by.filter(|basis| *basis == Basis::Own) };
            }
        }
    }

    /// The clock to date a request by.
    pub(super) fn preferred(&self) -> Basis {
        self.state.lock().preferred()
    }

    /// The date to put on a request that is sent at `now`.
    pub(super) fn date_for(&self, basis: Basis, now: Timestamp) -> Timestamp {
        self.state.lock().date_for(basis, now)
    }

    /// The clock to date a request by once more: `None` when its date was not why it was refused, as far as that is known. `refused` are the
    /// clocks by which the requests of this call were dated; the last one bore `date`, and was sent at `sent`.
    pub(super) fn redate(&self, refused: &[Basis], date: Timestamp, sent: Timestamp) -> Option<Basis> {
        let state = self.state.lock();
        if refused.len() == 1 && state.preferred() == Basis::Upstream && state.may_have_refused(date, sent) {
            return Some(Basis::Upstream);
        }
        let other = refused.last()?.other();
        let differs = state.date_for(other, sent).duration_since(date).abs() > SAME_DATE;
        (state.learnt.is_some() && !refused.contains(&other) && differs).then_some(other)
    }

    /// Takes note that a request was taken that was dated by `basis`, and one before it was not.
    pub(super) fn was_taken_by(&self, basis: Basis) {
        self.state.lock().taken_by = Some(basis);
    }

    /// The lower bound in seconds; `None` while nothing is known.
    pub(super) fn seconds_ahead(&self, now: Timestamp) -> Option<f64> {
        self.state.lock().offset(now).map(|offset| offset.at_least.as_secs_f64())
    }
}

impl Basis {
    /// The other one of the two.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Upstream => Self::Own,
            Self::Own => Self::Upstream,
        }
    }
}

impl State {
    fn offset(&self, now: Timestamp) -> Option<Offset> {
        self.learnt.map(|offset| offset.widened(now))
    }

    fn preferred(&self) -> Basis {
        let is_plausible = self.learnt.is_some_and(|offset| offset.at_least.abs() <= PLAUSIBLE);
        self.taken_by.unwrap_or(if is_plausible { Basis::Upstream } else { Basis::Own })
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
        clock.date_for(clock.preferred(), now)
    }

    fn may_have_refused(clock: &ServerClock, date: Timestamp, sent: Timestamp) -> bool {
        clock.state.lock().may_have_refused(date, sent)
    }

    fn whole_second(at: Timestamp) -> Timestamp {
        Timestamp::from_second(at.as_second()).unwrap()
    }

    #[test]
    fn before_anything_is_learnt_requests_are_dated_a_minute_back() {
        let clock = ServerClock::default();
        assert_eq!(next_date(&clock, at(0)), at(-60_000_000));
        assert_eq!(clock.seconds_ahead(at(0)), None);
        assert_eq!(clock.redate(&[Basis::Own], at(3_600_000_000), at(0)), None);
    }

    #[test]
    fn one_answer_tells_the_offset_to_the_second() {
        let clock = ServerClock::default();
        clock.observe(whole_second(at(-600_000_000)), at(0), at(100_000));
        let ahead = clock.seconds_ahead(at(100_000)).unwrap();
        assert!((-601.1..=-600.0).contains(&ahead), "{ahead}");
        let redated = clock.redate(&[Basis::Own], at(-60_000_000), at(0));
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
