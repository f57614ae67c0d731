//! Who is connected, how many may be, and the task that ends what takes too long.

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

/// How long a TLS handshake may take, unless the head of a request has less.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that has nothing to do may take to close when it is told to.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that waits for its client is closed for the sake of new ones only after this long, so that a client with a slow way has the
/// time to send its first request.
const WAITED_AT_LEAST: Duration = Duration::from_secs(1);

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
    waited_at_least: u32,
    /// Given-up requests forgiven each tick.
    forgiven: u32,
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
}

impl Connections {
    pub(super) fn new(settings: &Settings) -> Self {
        let shortest = settings.header_timeout.min(settings.keep_alive).min(settings.stall_timeout);
        // A tenth of the shortest deadline; each is met that much late at most twice.
        let tick = (shortest / 10).clamp(Duration::from_millis(5), Duration::from_millis(500));
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
                waited_at_least: per_second.max(ticks(WAITED_AT_LEAST)),
                forgiven: GIVEN_UP_PER_SECOND.div_ceil(per_second),
            },
            tick,
            at_most: settings.connections,
            next: AtomicU64::new(0),
            open: Mutex::default(),
            freed: Notify::new(),
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

    /// Makes room: closes the connection that has waited for its client for the longest time, if one has long enough. What is being
    /// answered is never closed for it.
    pub(super) fn make_room(&self) {
        let now = self.ticks.now();
        let open = self.open.lock();
        // One after the other: who was told to close leaves a place soon.
        if open.values().any(|pulse| pulse.order() == Order::Cut) {
            return;
        }
        let waiting = open.values().filter_map(|pulse| Some((pulse.waited(now)?.1, pulse)));
        let longest = waiting.max_by_key(|(waited, _)| *waited).filter(|(waited, _)| *waited >= self.deadlines.waited_at_least);
        if let Some((_, pulse)) = longest {
            pulse.tell(Order::Cut);
        }
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
            for pulse in self.open.lock().values() {
                self.deadlines.enforce(pulse, now);
            }
        }
    }
}

impl Deadlines {
    /// Ends what has taken too long by now.
    fn enforce(&self, pulse: &Pulse, now: u32) {
        let order = pulse.order();
        if order == Order::Cut {
            return;
        }
        if pulse.stalled_for(now).is_some_and(|ticks| ticks > self.stall) {
            info!("a client takes nothing of what is sent to it; its connection is cut");
            return pulse.tell(Order::Cut);
        }
        if let Some((phase, waited)) = pulse.waited(now) {
            let limit = match phase {
                Phase::Handshake => self.handshake,
                Phase::Head => self.head,
                Phase::Idle | Phase::Upgraded => self.idle,
            };
            if order == Order::Finish && pulse.told_for(now) > self.close {
                return pulse.tell(Order::Cut);
            }
            if waited > limit {
                debug!(?phase, "a client said nothing for too long; its connection is closed");
                return pulse.tell(if phase == Phase::Idle { Order::Finish } else { Order::Cut });
            }
        }
        if let Some(streams) = pulse.streams() {
            if streams.iter().any(|stream| stream.stalled_for(now).is_some_and(|ticks| ticks > self.stall) && stream.cut()) {
                info!("a client takes nothing of an answer by HTTP/2; its stream is reset");
            }
            if pulse.forgive(self.forgiven) > GIVEN_UP_AT_ONCE {
                info!("a client gives up its requests as fast as it makes them; its connection is cut");
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
