//! By which clock the requests of an account are dated, and what follows from a refusal.
//!
//! A request is refused for its date or for its credential, and nothing tells which. So it is sent once more, dated by the other clock. Only one
//! that is then taken says something about the host's clocks. A credential that is refused by both says nothing about them, and is remembered
//! for its account alone: from then on a call of that account is one request, by either clock in turn, until one is taken.

use jiff::Timestamp;
use parking_lot::Mutex;

use super::server_clock::{Basis, ServerClock};

/// What is remembered of an account: by which clock its next call is dated, if the one before was refused by both.
#[derive(Debug, Default)]
pub(super) struct Turn(Mutex<Option<Basis>>);

/// The dates of one call.
#[derive(Debug)]
pub(super) struct Dating<'a> {
    clock: &'a ServerClock,
    turn: &'a Turn,
    /// The clocks whose dates were refused.
    refused: Vec<Basis>,
    /// The clock to date by after a refusal.
    redated_by: Option<Basis>,
    /// The clock and the date of the last request, and when it was sent.
    last: Option<(Basis, Timestamp, Timestamp)>,
}

impl<'a> Dating<'a> {
    /// Begins a call of an account to a host with this clock.
    pub(super) fn new(clock: &'a ServerClock, turn: &'a Turn) -> Self {
        Self { clock, turn, refused: Vec::new(), redated_by: None, last: None }
    }

    /// The date to put on the request that is sent at `now`.
    pub(super) fn date(&mut self, now: Timestamp) -> Timestamp {
        let basis = self.redated_by.or(*self.turn.0.lock()).unwrap_or_else(|| self.clock.preferred());
        let date = self.clock.date_for(basis, now);
        self.last = Some((basis, date, now));
        date
    }

    /// Takes note that the last request was refused. Says whether it is to be sent once more, with another date.
    pub(super) fn was_refused(&mut self) -> bool {
        let Some((basis, date, sent)) = self.last else { return false };
        self.refused.push(basis);
        let mut turn = self.turn.0.lock();
        let again = if turn.is_none() { self.clock.redate(&self.refused, date, sent) } else { None };
        if again.is_some() {
            self.redated_by = again;
        } else if turn.is_some() || self.redated_by.is_some() {
            *turn = Some(basis.other());
        }
        again.is_some()
    }

    /// Takes note that the date of the last request was looked at, and not refused.
    pub(super) fn was_taken(&mut self) {
        let Some((basis, ..)) = self.last else { return };
        let former_was_refused = self.turn.0.lock().take().is_some();
        if self.redated_by.is_some() || former_was_refused {
            self.clock.was_taken_by(basis);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60;
    const DAY: i64 = 24 * 60 * MINUTE;
    const YEARS: i64 = 14 * 365 * DAY;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A host, and the accounts that are called there.
    #[derive(Default)]
    struct World {
        clock: ServerClock,
        turns: Vec<Turn>,
        /// How far the clock by which the host judges dates is ahead of ours, in seconds.
        true_offset: i64,
    }

    impl World {
        fn of(accounts: usize, true_offset: i64) -> Self {
            Self { turns: (0..accounts).map(|_| Turn::default()).collect(), true_offset, ..Self::default() }
        }

        /// Calls an account of a host whose `Date` is `told` ahead of our clock. Gives how many requests were refused, and whether the call was
        /// answered.
        fn call(&self, account: usize, is_good: bool, now: i64, told: i64) -> (u32, bool) {
            let mut dating = Dating::new(&self.clock, &self.turns[account]);
            for refused in 0.. {
                let behind = at(now + self.true_offset).duration_since(dating.date(at(now))).as_secs();
                self.clock.observe(at(now + told), at(now), at(now));
                if is_good && (0..=900).contains(&behind) {
                    dating.was_taken();
                    return (refused, true);
                }
                if !dating.was_refused() {
                    return (refused + 1, false);
                }
            }
            unreachable!()
        }
    }

    /// Calls one good account once a minute. Gives how many requests were refused, by call.
    fn call_a_good_one(true_offset: i64, told: impl Fn(i64) -> i64, calls: i64) -> Vec<u32> {
        let world = World::of(1, true_offset);
        let call = |number: i64| match world.call(0, true, number * MINUTE, told(number)) {
            (refused, true) => refused,
            (refused, false) => 100 + refused,
        };
        (0..calls).map(call).collect()
    }

    #[test]
    fn a_date_that_is_wrong_costs_one_refused_request_and_no_call() {
        for wrong in [-4 * YEARS, YEARS, 60 * MINUTE, -60 * MINUTE, DAY, -DAY, 10 * MINUTE] {
            let refused = call_a_good_one(0, |_| wrong, 200);
            assert!(refused.iter().sum::<u32>() <= 1, "always {wrong}: {refused:?}");
            let refused = call_a_good_one(0, |number| if number == 7 { wrong } else { 0 }, 50);
            assert!(refused.iter().sum::<u32>() <= 1, "once {wrong}: {refused:?}");
            let refused = call_a_good_one(0, |number| if number % 2 == 0 { wrong } else { 0 }, 50);
            assert!(refused.iter().all(|refused| *refused <= 1), "every other time {wrong}: {refused:?}");
        }
        // Our own clock is ten minutes ahead.
        let refused = call_a_good_one(-10 * MINUTE, |number| if number == 7 { YEARS } else { -10 * MINUTE }, 50);
        assert!(refused.iter().sum::<u32>() <= 2 && refused.iter().all(|refused| *refused <= 1), "{refused:?}");
    }

    #[test]
    fn a_machine_that_does_not_know_the_year_is_answered_all_the_same() {
        for offset in [4 * YEARS, -7 * YEARS] {
            let refused = call_a_good_one(offset, |_| offset, 200);
            assert_eq!(refused.iter().sum::<u32>(), 1, "{refused:?}");
        }
    }

    #[test]
    fn a_date_that_is_wrong_differently_each_time_fails_no_call() {
        let told = [0, YEARS, 60 * MINUTE, -DAY, 10 * MINUTE, -60 * MINUTE, -YEARS, 20 * MINUTE];
        for step in [1, 3, 5, 7] {
            let refused = call_a_good_one(0, |number| told[usize::try_from(number).unwrap() * step % told.len()], 200);
            assert!(refused.iter().all(|refused| *refused <= 2) && refused.iter().sum::<u32>() <= 4, "{refused:?}");
        }
    }

    #[test]
    fn credentials_that_are_refused_for_good_keep_no_other_from_its_clock() {
        // The true offset of the host's clock, and that of its `Date`; the first are wrong dates, the others wrong clocks of ours.
        let hosts = [(0, 10), (0, -60), (0, 60), (0, 37 * 60), (37 * 60, 37 * 60), (-37 * 60, -37 * 60), (-10, -10), (60, 60)];
        for (true_offset, told) in hosts.map(|(a, b)| (a * MINUTE, b * MINUTE)) {
            for order in [[0, 1, 2, 3], [1, 0, 3, 2], [2, 0, 1, 3], [2, 3, 0, 1]] {
                let world = World::of(4, true_offset);
                let (mut refused, mut asked) = ([0; 4], [0; 4]);
                for round in 0..150 {
                    for account in order {
                        let is_good = account >= 2;
                        let (times, is_answered) = world.call(account, is_good, round * MINUTE, told);
                        assert_eq!(is_answered, is_good, "{true_offset} {told} {order:?}, round {round}");
                        refused[account] += times;
                        asked[account] += 1;
                    }
                }
                assert!(refused[2] + refused[3] <= 1, "{true_offset} {told} {order:?}: {refused:?}");
                for bad in [0, 1] {
                    assert!(refused[bad] <= asked[bad] + 1, "twice only once: {true_offset} {told} {order:?}: {refused:?}");
                }
            }
        }
    }

    #[test]
    fn calls_at_the_same_time_may_each_try_the_other_clock() {
        let world = World::of(2, 0);
        world.clock.observe(at(600), at(0), at(0));
        let mut calls = [0, 1].map(|account| Dating::new(&world.clock, &world.turns[account]));
        for call in &mut calls {
            assert!(call.date(at(0)) > at(0));
        }
        assert!(calls.iter_mut().all(Dating::was_refused));
        for call in &mut calls {
            assert!(call.date(at(0)) < at(0));
        }
    }

    #[test]
    fn a_credential_that_is_good_again_is_answered_at_the_second_call_at_the_latest() {
        for (true_offset, told) in [(0, 10 * MINUTE), (37 * 60 * MINUTE, 37 * 60 * MINUTE), (0, 0)] {
            for bad_calls in 1..5 {
                let world = World::of(1, true_offset);
                for number in 0..bad_calls {
                    world.call(0, false, number * MINUTE, told);
                }
                let answered = [0, 1, 2].map(|number| world.call(0, true, (bad_calls + number) * MINUTE, told).1);
                assert!(answered[1] && answered[2], "{true_offset} {told}: {answered:?}");
            }
        }
    }

    #[test]
    fn a_clock_of_ours_that_goes_wrong_after_a_wrong_date_costs_one_refused_request() {
        let mut world = World::of(2, 0);
        for number in 0..10 {
            assert!(world.call(0, true, number * MINUTE, 10 * MINUTE).1);
        }
        // The balancer's clock is set right, and ours drifts away.
        world.true_offset = 20 * MINUTE;
        let refused: u32 =
            (10..20).map(|number| world.call(0, true, number * MINUTE, 20 * MINUTE)).map(|(n, ok)| if ok { n } else { 100 }).sum();
        assert_eq!(refused, 1);
    }
}
