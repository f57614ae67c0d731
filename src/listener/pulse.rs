//! What a connection is at, and since when: the little that its timers need.
//!
//! A timer for each request would cost more than the answer to a repeated query may. So time is counted in ticks, by one task for all
//! connections ([`super::sweep`]); a connection notes in a few atomics what it waits for, and the task looks at all of them each tick. A
//! deadline is met by up to two ticks late, and never early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::task::Context;

use axum::http::Request;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use super::framing::{Announced, Beginning, Framing, Seen};
use super::stream_pulse::StreamPulse;

/// The time, in ticks since the listener began. It goes on by itself, as long as somebody ticks.
#[derive(Debug, Default)]
pub(super) struct Ticks(AtomicU32);

impl Ticks {
    pub(super) fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn tick(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}

/// What a connection waits for, while no request of it is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// The TLS handshake.
    Handshake = 0,
    /// The head of a request, of which something came already, or nothing on a new connection.
    Head = 1,
    /// The next request.
    Idle = 2,
    /// It is a WebSocket now and belongs to that.
    Upgraded = 3,
}

impl Phase {
    fn of(number: u8) -> Self {
        match number {
            0 => Self::Handshake,
            1 => Self::Head,
            2 => Self::Idle,
            _ => Self::Upgraded,
        }
    }
}

/// What a WebSocket may send before its client has proved who it is: a token and what surrounds it, a few times over.
const UNTRUSTED_BYTES: u32 = 64 * 1024;

/// What may come by HTTP/2 between two requests: the head of the next one many times over.
const IDLE_BYTES: u32 = 1024 * 1024;

/// Of whom it is known who it is.
const TRUSTED: u32 = u32::MAX;

/// What a connection is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Order {
    /// To go on.
    Serve = 0,
    /// To end what is under way and then close.
    Finish = 1,
    /// To close now.
    Cut = 2,
}

/// The state of one connection, shared by those who drive it and the task that looks after all of them.
#[derive(Debug)]
pub(super) struct Pulse {
    ticks: Arc<Ticks>,
    phase: AtomicU8,
    /// The tick at which the phase began.
    since: AtomicU32,
    /// Requests under way: from the end of the head until all of the answer is handed on.
    under_way: AtomicU32,
    /// The tick from which on the client takes nothing of what is sent, plus one; 0 when it does.
    stalled: AtomicU32,
    /// Requests that the client gave up, less those that time has forgiven.
    given_up: AtomicU32,
    order: AtomicU8,
    /// The tick at which the order came.
    told: AtomicU32,
    is_http2: AtomicBool,
    /// Bytes that came by HTTP/2 since a request began, while none was under way.
    idle_bytes: AtomicU32,
    /// Whether an answer broke off by HTTP/1.1, where nothing else can be told after that.
    is_broken: AtomicBool,
    /// Where requests end in what is read; nothing by HTTP/2.
    framing: Mutex<Framing>,
    /// Whether something of a request came that has not begun, while another one is under way.
    has_more: AtomicBool,
    /// The tick at which the request began of whose body more is waited for by HTTP/1.1, plus one; 0 when none is.
    body_since: AtomicU32,
    /// Bytes that may still come on a WebSocket before its client is trusted.
    allowance: AtomicU32,
    /// Wakes the task that drives the connection.
    waker: AtomicWaker,
    /// The answers that are under way by HTTP/2, where one may stall while others go on.
    streams: Mutex<Vec<Arc<StreamPulse>>>,
}

impl Pulse {
    pub(super) fn new(ticks: Arc<Ticks>, phase: Phase) -> Self {
        Self {
            phase: AtomicU8::new(phase as u8),
            since: AtomicU32::new(ticks.now()),
            under_way: AtomicU32::new(0),
            stalled: AtomicU32::new(0),
            given_up: AtomicU32::new(0),
            order: AtomicU8::new(Order::Serve as u8),
            told: AtomicU32::new(0),
            is_http2: AtomicBool::new(false),
            idle_bytes: AtomicU32::new(0),
            is_broken: AtomicBool::new(false),
            framing: Mutex::default(),
            has_more: AtomicBool::new(false),
            body_since: AtomicU32::new(0),
            allowance: AtomicU32::new(UNTRUSTED_BYTES),
            waker: AtomicWaker::new(),
            streams: Mutex::default(),
            ticks,
        }
    }

    pub(super) fn now(&self) -> u32 {
        self.ticks.now()
    }

    pub(super) fn phase(&self) -> Phase {
        Phase::of(self.phase.load(Ordering::Relaxed))
    }

    /// Begins to wait for something else. Whoever called by HTTP need not be who calls by the WebSocket: a proxy may have sent both.
    pub(super) fn enter(&self, phase: Phase) {
        if phase == Phase::Upgraded {
            self.allowance.store(UNTRUSTED_BYTES, Ordering::Relaxed);
        }
        self.since.store(self.now(), Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Notes what came from the client. Whether it may send so much.
    pub(super) fn hear(&self, came: &[u8]) -> bool {
        let phase = self.phase();
        if phase == Phase::Upgraded {
            return self.allows(came.len());
        }
        if self.is_http2.load(Ordering::Relaxed) {
            return self.is_serving() || self.idles_on(came.len());
        }
        let has_more = self.framing.lock().read(came);
        if self.is_serving() {
            self.has_more.store(has_more, Ordering::Relaxed);
        } else if phase == Phase::Idle {
            self.enter(Phase::Head);
        }
        true
    }

    /// Whether so much more may come by HTTP/2 before the next request: pings and settings, which cost more than they bring.
    fn idles_on(&self, bytes: usize) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.idle_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= IDLE_BYTES
    }

    /// Whether the head of a request is waited for, of which something came, or whose client has only just connected.
    pub(super) fn awaits_head(&self) -> bool {
        self.phase() == Phase::Head && !self.is_serving()
    }

    pub(super) fn is_serving(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) > 0
    }

    /// Notes that this is HTTP/2, where what comes between requests need not be the head of one.
    pub(super) fn speaks_http2(&self) {
        if !self.is_http2.swap(true, Ordering::Relaxed) {
            self.framing.lock().lose();
        }
    }

    /// A request begins, with this body.
    pub(super) fn begin<B>(&self, request: &Request<B>, body: Announced) -> Beginning {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.idle_bytes.store(0, Ordering::Relaxed);
        if self.is_http2.load(Ordering::Relaxed) {
            return Beginning { seen: Seen::Clear, is_whole: body == Announced::Length(0), has_more: false };
        }
        let beginning = self.framing.lock().begin(request, body);
        self.has_more.store(beginning.has_more, Ordering::Relaxed);
        beginning
    }

    /// A request is over; `given_up` when the client did not wait for all of the answer.
    pub(super) fn end(&self, given_up: bool) {
        if given_up {
            self.given_up.fetch_add(1, Ordering::Relaxed);
        }
        // Before the count says so, that nobody takes it for idle since long ago.
        if self.phase() != Phase::Upgraded {
            self.enter(if self.has_more.load(Ordering::Relaxed) { Phase::Head } else { Phase::Idle });
        }
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    /// An answer breaks off by HTTP/1.1.
    pub(super) fn break_off(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
    }

    /// Whether what was sent and is still on its way is worth nothing: half of an answer, or what the client takes nothing of.
    pub(super) fn is_worthless(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed) || self.stalled.load(Ordering::Relaxed) != 0
    }

    /// Notes whether the client takes what is sent.
    pub(super) fn takes(&self, takes: bool) {
        let stalled = self.stalled.load(Ordering::Relaxed);
        if takes {
            if stalled != 0 {
                self.stalled.store(0, Ordering::Relaxed);
                // It is idle from when the last of its answer was taken, not from when that was made.
                if self.phase() == Phase::Idle {
                    self.since.store(self.now(), Ordering::Relaxed);
                }
            }
        } else if stalled == 0 {
            self.stalled.store(self.now().wrapping_add(1).max(1), Ordering::Relaxed);
        }
    }

    /// Whether the client has proved who it is, on this connection.
    pub(super) fn is_trusted(&self) -> bool {
        self.allowance.load(Ordering::Relaxed) == TRUSTED
    }

    /// Notes whether more of a request's body is waited for, by HTTP/1.1; from which tick on, or 0.
    pub(super) fn awaits_body(&self, since: u32) {
        self.body_since.store(since, Ordering::Relaxed);
    }

    /// The client has proved who it is, and may send as much as it likes from now on.
    pub(super) fn trust(&self) {
        self.allowance.store(TRUSTED, Ordering::Relaxed);
    }

    /// Whether so much more may come on a WebSocket.
    fn allows(&self, bytes: usize) -> bool {
        let allowance = self.allowance.load(Ordering::Relaxed);
        if allowance == TRUSTED {
            return true;
        }
        let rest = u32::try_from(bytes).ok().and_then(|bytes| allowance.checked_sub(bytes));
        if let Some(rest) = rest {
            // Trust may have come meanwhile.
            let _ = self.allowance.compare_exchange(allowance, rest, Ordering::Relaxed, Ordering::Relaxed);
        }
        rest.is_some()
    }

    pub(super) fn order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::Serve,
            1 => Order::Finish,
            _ => Order::Cut,
        }
    }

    /// Tells the connection to end. What was said before is not taken back.
    pub(super) fn tell(&self, order: Order) {
        if self.order() < order {
            self.told.store(self.now(), Ordering::Relaxed);
            self.order.fetch_max(order as u8, Ordering::Release);
            self.waker.wake();
        }
    }

    /// For how many ticks it has had its order.
    pub(super) fn told_for(&self, now: u32) -> u32 {
        now.wrapping_sub(self.told.load(Ordering::Relaxed))
    }

    /// Makes the task of this context the one that is woken by orders.
    pub(super) fn register(&self, context: &Context<'_>) {
        self.waker.register(context.waker());
    }

    /// For how many ticks it has waited for the client to say something; `None` while a request is under way, something of an answer is still
    /// to be sent, or it is no longer HTTP.
    pub(super) fn waited(&self, now: u32) -> Option<(Phase, u32)> {
        let phase = self.phase();
        if self.is_serving() || phase == Phase::Upgraded || self.stalled.load(Ordering::Relaxed) != 0 {
            return None;
        }
        Some((phase, now.wrapping_sub(self.since.load(Ordering::Relaxed))))
    }

    /// For how many ticks the client has taken nothing of what is sent.
    pub(super) fn stalled_for(&self, now: u32) -> Option<u32> {
        let since = self.stalled.load(Ordering::Relaxed);
        (since != 0).then(|| now.wrapping_sub(since.wrapping_sub(1)))
    }

    /// For how many ticks nothing has been waited for but the client, whatever for: a request, more of a body, or that it takes its answers.
    /// `None` while something is made for it, and for a WebSocket whose client is known and takes what is sent.
    pub(super) fn waited_for_client(&self, now: u32) -> Option<u32> {
        if let Some(stalled) = self.stalled_for(now) {
            return Some(stalled);
        }
        if self.phase() == Phase::Upgraded {
            return (!self.is_trusted()).then(|| now.wrapping_sub(self.since.load(Ordering::Relaxed)));
        }
        let under_way = self.under_way.load(Ordering::Relaxed);
        if under_way == 0 {
            return Some(now.wrapping_sub(self.since.load(Ordering::Relaxed)));
        }
        let Some(streams) = self.streams() else {
            let since = self.body_since.load(Ordering::Relaxed);
            return (since != 0).then(|| now.wrapping_sub(since.wrapping_sub(1)));
        };
        // All of them. Whoever begins a new one each moment has waited as long as the oldest.
        let waited = streams.iter().map(|stream| stream.stalled_for(now).or_else(|| stream.awaits_body_for(now)));
        let waited: Option<Vec<u32>> = waited.collect();
        waited.filter(|waited| waited.len() >= under_way as usize)?.into_iter().max()
    }

    /// How many requests the client has given up of late, and forgives so many.
    pub(super) fn forgive(&self, count: u32) -> u32 {
        let given_up = self.given_up.load(Ordering::Relaxed);
        if given_up > 0 {
            self.given_up.fetch_sub(given_up.min(count), Ordering::Relaxed);
        }
        given_up
    }

    /// The answers under way by HTTP/2.
    pub(super) fn streams(&self) -> Option<parking_lot::MutexGuard<'_, Vec<Arc<StreamPulse>>>> {
        self.is_http2.load(Ordering::Relaxed).then(|| self.streams.lock())
    }
}
