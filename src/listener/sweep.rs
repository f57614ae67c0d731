//! Who is connected, how many may be, and the task that ends what takes too long.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, info};

use super::Settings;
use super::pulse::{Order, Phase, Pulse, Ticks};
use super::told::Told;

/// How long a TLS handshake may take, unless the head of a request has less.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that has nothing to do may take to close when it is told to.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A tick at most. Each sweep over all connections is a few of them.
const TICK_AT_MOST: Duration = Duration::from_millis(100);

/// A connection that waits for its client is closed for the sake of new ones only after this long, so that a client with a slow way has the
/// time to send its first request. While new ones go on waiting, it is halved each so often, down to the least: a place that is held by
/// silence would else be worth as much to a crowd of thousands as to one client. Whose client has proved who it is has more time.
const WAITED_AT_LEAST: Duration = Duration::from_secs(1);
const UNTRUSTED: Grace = Grace { halved_every: Duration::from_millis(500), least: Duration::from_millis(100) };
const TRUSTED: Grace = Grace { halved_every: Duration::from_secs(2), least: Duration::from_millis(500) };

/// Where one of so many places waits for a client that has proved nothing, no other client makes room.
const UNPROVED_SHARE: usize = 4;

/// New ones wait no longer when none has for this long.
const CROWD_ENDS_AFTER: Duration = Duration::from_millis(500);

/// A connection that was told to close so long ago and is there still is not waited for before another one is told.
const CUT_WITHIN: Duration = Duration::from_millis(200);

/// How the time shrinks that a connection has.
#[derive(Debug)]
struct Grace {
    halved_every: Duration,
    least: Duration,
}

/// Requests that a client may give up by HTTP/2 before their answer is whole: so many at once, and so many each second. A client that
/// opens and resets streams as fast as it can costs more than it pays (CVE-2023-44487).
const GIVEN_UP_AT_ONCE: u32 = 500;
const GIVEN_UP_PER_SECOND: u32 = 50;

/// The deadlines, in ticks.
#[derive(Debug)]
struct Deadlines {
    handshake: u32,
    head: u32,
    idle: u32,
    stall: u32,
    close: u32,
    cut_within: u32,
    crowd_ends_after: u32,
    /// Ticks from one sweep to the next.
    sweep: u32,
    /// Given-up requests forgiven each sweep.
    forgiven: u32,
}

/// Since when new connections have waited without a pause, and when they did last, in ticks.
#[derive(Clone, Copy, Debug, Default)]
struct Crowd {
    since: u32,
    last: Option<u32>,
}

/// All connections of a listener.
#[derive(Debug)]
pub(super) struct Connections {
    ticks: Arc<Ticks>,
    tick: Duration,
    deadlines: Deadlines,
    at_most: usize,
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Pulse>>>,
    freed: Notify,
    crowd: Mutex<Crowd>,
    stalled: Told,
    stalled_streams: Told,
    hasty: Told,
}

impl Connections {
    pub(super) fn new(settings: &Settings) -> Self {
        let shortest = settings.header_timeout.min(settings.keep_alive).min(settings.stall_timeout);
        // A tenth of the shortest deadline; each is met that much late at most twice.
        let every = (shortest / 10).clamp(Duration::from_millis(5), Duration::from_millis(500));
        let tick = every.min(TICK_AT_MOST);
        let sweep = u32::try_from(every.as_millis() / tick.as_millis()).unwrap_or(1).max(1);
        // Rounded up, and one more for the tick that had begun when the clock started.
        let ticks = |span: Duration| u32::try_from(span.as_nanos().div_ceil(tick.as_nanos())).unwrap_or(u32::MAX / 4) + 1;
        let per_second = ticks(Duration::from_secs(1));
        Self {
            ticks: Arc::default(),
            deadlines: Deadlines {
                handshake: ticks(settings.header_timeout.min(HANDSHAKE_TIMEOUT)),
                head: ticks(settings.header_timeout),
                idle: ticks(settings.keep_alive),
                stall: ticks(settings.stall_timeout),
                close: ticks(CLOSE_TIMEOUT),
                cut_within: ticks(CUT_WITHIN),
                crowd_ends_after: ticks(CROWD_ENDS_AFTER),
                sweep,
                forgiven: (GIVEN_UP_PER_SECOND * sweep).div_ceil(per_second),
            },
            tick,
            at_most: settings.connections,
            next: AtomicU64::new(0),
            open: Mutex::default(),
            freed: Notify::new(),
            crowd: Mutex::default(),
            stalled: Told::default(),
            stalled_streams: Told::default(),
            hasty: Told::default(),
        }
    }

    /// Whether there is room for one more.
    pub(super) fn has_room(&self) -> bool {
        self.open.lock().len() < self.at_most
    }

    /// Waits until a connection has closed, or for a tick.
    pub(super) async fn wait_for_room(&self) {
        // What comes of it is looked at by whoever waits.
        let _ = tokio::time::timeout(self.tick, self.freed.notified()).await;
    }

    /// Makes room: closes a connection that waits for its client, if one has waited long enough, and of these one whose client has proved
    /// nothing before any other. What is being answered is never closed for it.
    pub(super) fn make_room(&self) {
        let now = self.ticks.now();
        let crowded = self.crowded_for(now);
        let [untrusted, trusted] = [UNTRUSTED, TRUSTED].map(|grace| self.grace(&grace, crowded));
        let open = self.open.lock();
        // One after the other: who was told to close leaves a place soon.
        if open.values().any(|pulse| pulse.order() == Order::Cut && pulse.told_for(now) <= self.deadlines.cut_within) {
            return;
        }
        let (mut unproved, mut next) = (0, None);
        for (id, pulse) in open.iter().filter(|(_, pulse)| pulse.order() < Order::Cut) {
            let Some(waited) = pulse.waited_for_client(now) else { continue };
            let is_trusted = pulse.is_trusted();
            unproved += usize::from(!is_trusted);
            if waited >= if is_trusted { trusted } else { untrusted } {
                let rank = (!is_trusted, waited, Reverse(*id));
                next = next.filter(|(other, _)| *other > rank).or(Some((rank, pulse)));
            }
        }
        // Where those who have proved nothing hold many places, it is theirs that become free, as soon as they have had their time.
        if let Some(((is_unproved, ..), pulse)) = next
            && (is_unproved || unproved < self.at_most.div_ceil(UNPROVED_SHARE))
        {
            pulse.tell(Order::Cut);
        }
    }

    /// For how many ticks new connections have waited.
    fn crowded_for(&self, now: u32) -> u32 {
        let mut crowd = self.crowd.lock();
        if crowd.last.is_none_or(|last| now.wrapping_sub(last) > self.deadlines.crowd_ends_after) {
            crowd.since = now;
        }
        crowd.last = Some(now);
        now.wrapping_sub(crowd.since)
    }

    /// How many ticks a connection has when new ones have waited for so many. One more than the time, since the first had begun already.
    fn grace(&self, grace: &Grace, crowded: u32) -> u32 {
        let halvings = (self.tick * crowded).as_nanos() / grace.halved_every.as_nanos();
        let time = WAITED_AT_LEAST / 2_u32.pow(u32::try_from(halvings.min(10)).unwrap_or(10));
        u32::try_from(time.max(grace.least).as_nanos().div_ceil(self.tick.as_nanos())).unwrap_or(u32::MAX / 4) + 1
    }

    /// A place for a connection, which it has as long as it holds it.
    pub(super) fn admit(self: &Arc<Self>, phase: Phase) -> Place {
        let pulse = Arc::new(Pulse::new(Arc::clone(&self.ticks), phase));
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.lock().insert(id, Arc::clone(&pulse));
        Place { connections: Arc::clone(self), id, pulse }
    }

    /// Tells all connections, but those that are no longer HTTP.
    pub(super) fn tell_all(&self, order: Order) {
        for pulse in self.open.lock().values().filter(|pulse| pulse.phase() != Phase::Upgraded) {
            pulse.tell(order);
        }
    }

    /// Looks after the connections for ever.
    pub(super) async fn look_after(&self) {
        let mut ticking = interval(self.tick);
        ticking.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticking.tick().await;
            let now = self.ticks.tick();
            if !now.is_multiple_of(self.deadlines.sweep) {
                continue;
            }
            for pulse in self.open.lock().values() {
                self.enforce(pulse, now);
            }
            self.tell();
        }
    }
}

impl Connections {
    /// Tells in the log how many were ended.
    fn tell(&self) {
        for (told, what) in [
            (&self.stalled, "connections were cut whose clients take nothing of what is sent to them"),
            (&self.stalled_streams, "answers by HTTP/2 were given up of which clients take nothing; their streams are reset"),
            (&self.hasty, "connections were cut whose clients give up requests as fast as they make them"),
        ] {
            if let Some(count) = told.due() {
                info!(count, "{what}");
            }
        }
    }

    /// Ends what has taken too long by now.
    fn enforce(&self, pulse: &Pulse, now: u32) {
        let deadlines = &self.deadlines;
        let order = pulse.order();
        if order == Order::Cut {
            return;
        }
        if pulse.stalled_for(now).is_some_and(|ticks| ticks > deadlines.stall) {
            self.stalled.note(1);
            return pulse.tell(Order::Cut);
        }
        if let Some((phase, waited)) = pulse.waited(now) {
            let limit = match phase {
                Phase::Handshake => deadlines.handshake,
                Phase::Head => deadlines.head,
                Phase::Idle | Phase::Upgraded => deadlines.idle,
            };
            if order == Order::Finish && pulse.told_for(now) > deadlines.close {
                return pulse.tell(Order::Cut);
            }
            if waited > limit {
                debug!(?phase, "a client sent nothing for too long; its connection is closed");
                return pulse.tell(if phase == Phase::Idle { Order::Finish } else { Order::Cut });
            }
        }
        if let Some(streams) = pulse.streams() {
            let stalled = streams.iter().filter(|stream| stream.stalled_for(now).is_some_and(|ticks| ticks > deadlines.stall));
            self.stalled_streams.note(stalled.filter(|stream| stream.cut()).count());
            if pulse.forgive(deadlines.forgiven) > GIVEN_UP_AT_ONCE {
                self.hasty.note(1);
                pulse.tell(Order::Cut);
            }
        }
    }
}

/// A connection's place among those that may be open.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    id: u64,
    pub(super) pulse: Arc<Pulse>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open.lock().remove(&self.id);
        self.connections.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(at_most: usize) -> Arc<Connections> {
        let minute = Duration::from_mins(1);
        let settings = Settings { header_timeout: minute, keep_alive: minute, stall_timeout: minute, connections: at_most };
        Arc::new(Connections::new(&settings))
    }

    fn cut(places: &[Place]) -> Vec<usize> {
        (0..places.len()).filter(|place| places[*place].pulse.order() == Order::Cut).collect()
    }

    /// Has new ones wait for so many ticks.
    fn wait(connections: &Connections, ticks: u32) {
        for _ in 0..ticks {
            connections.ticks.tick();
            connections.make_room();
        }
    }

    #[test]
    fn those_who_have_proved_nothing_make_room_first_and_sooner_when_many_wait() {
        let connections = connections(4);
        let mut places: Vec<_> = (0..4).map(|_| connections.admit(Phase::Head)).collect();
        for known in &places[..2] {
            known.pulse.enter(Phase::Idle);
            known.pulse.trust();
        }
        wait(&connections, 5);
        assert!(cut(&places).is_empty(), "each has a moment");
        // New ones have waited for half a second: half of a second is enough.
        wait(&connections, 2);
        assert_eq!(cut(&places), [2]);
        places.remove(2);
        wait(&connections, 1);
        assert_eq!(cut(&places), [2]);
        places.remove(2);
        // Those who come now have a part of that, and the others stay meanwhile.
        places.push(connections.admit(Phase::Head));
        wait(&connections, 3);
        assert!(cut(&places).is_empty());
        wait(&connections, 3);
        assert_eq!(cut(&places), [2]);
        places.remove(2);
        // Where only known ones wait, one of them goes.
        wait(&connections, 1);
        assert_eq!(cut(&places), [0]);
    }

    #[test]
    fn a_websocket_makes_room_until_its_client_is_known_and_one_that_lingers_on_keeps_no_other() {
        let connections = connections(2);
        let places: Vec<_> = (0..2).map(|_| connections.admit(Phase::Head)).collect();
        // By HTTP it was.
        places[0].pulse.trust();
        places[0].pulse.enter(Phase::Upgraded);
        places[1].pulse.enter(Phase::Upgraded);
        places[1].pulse.trust();
        wait(&connections, 30);
        assert_eq!(cut(&places), [0]);
        places[1].pulse.takes(false);
        wait(&connections, 30);
        assert_eq!(cut(&places), [0, 1], "it takes nothing");
    }
}
