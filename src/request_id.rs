//! The id by which the log lines of a request are found.
//!
//! A caller may give it. Otherwise a request has none until something is logged for it, so that a request of which nothing is logged costs
//! nothing. The work of a request runs [`within`] its id; work that goes on elsewhere is [`carry`]ed.

use std::cell::RefCell;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use futures_util::Stream;
use pin_project_lite::pin_project;

/// Longer ids of callers, in bytes, are not taken.
const LONGEST: usize = 128;

thread_local! {
    /// Of the request that this thread works for now.
    static CURRENT: RefCell<Option<RequestId>> = const { RefCell::new(None) };
}

/// The id of a request, which may be yet to be made. Clones of one that is made are the same.
#[derive(Clone, Debug, Default)]
pub struct RequestId(Option<Arc<str>>);

impl RequestId {
    /// The one that a caller gives. `None` when it is empty, has more than 128 bytes, or others than letters, digits and `-._~:/+=@` of ASCII.
    #[must_use]
    pub fn given(text: &[u8]) -> Option<Self> {
        let is_taken = |b: &u8| b.is_ascii_alphanumeric() || b"-._~:/+=@".contains(b);
        let text = std::str::from_utf8(text).ok().filter(|text| (1..=LONGEST).contains(&text.len()))?;
        text.as_bytes().iter().all(is_taken).then(|| Self(Some(text.into())))
    }

    /// The trace id of a `traceparent` (W3C Trace Context, section 3.2). `None` when it is malformed.
    #[must_use]
    pub fn of_trace(parent: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(parent).ok()?;
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex =
            |text: &str, length: usize| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let is_null = |text: &str| text.bytes().all(|b| b == b'0');
        // Later versions may have more parts.
        let is_whole = is_hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none()) && is_hex(flags, 2);
        let has_ids = is_hex(trace, 32) && !is_null(trace) && is_hex(span, 16) && !is_null(span);
        (is_whole && has_ids).then(|| Self(Some(trace.into())))
    }

    /// The id. It is made now if there is none yet.
    pub fn text(&mut self) -> Arc<str> {
        Arc::clone(self.0.get_or_insert_with(|| format!("{:016x}", next_number()).into()))
    }

    /// The id, if it was given or made.
    #[must_use]
    pub fn known(&self) -> Option<&Arc<str>> {
        self.0.as_ref()
    }
}

/// No two of a process are the same; those of two processes hardly ever are.
fn next_number() -> u64 {
    static FIRST: LazyLock<u64> = LazyLock::new(rand::random);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // The golden ratio's odd multiples of 64 bits run through all of them, and neighbours are easily told apart.
    COUNT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(*FIRST)
}

/// Works for a request. The id may be made during this.
pub fn within<T>(id: &mut RequestId, work: impl FnOnce() -> T) -> T {
    let _entered = Entered { outer: CURRENT.replace(Some(mem::take(id))), id };
    work()
}

struct Entered<'a> {
    id: &'a mut RequestId,
    outer: Option<RequestId>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        *self.id = CURRENT.replace(self.outer.take()).unwrap_or_default();
    }
}

/// The id of the request that this thread works for, made now if there is none yet; `None` when it works for none.
#[must_use]
pub fn current() -> Option<Arc<str>> {
    CURRENT.with_borrow_mut(|current| current.as_mut().map(RequestId::text))
}

/// A future or a stream that works for the request that this thread works for now, wherever it is polled.
pub fn carry<W>(work: W) -> Carried<W> {
    Carrier::current().carry(work)
}

/// Has work that is yet to begin done for a request.
#[derive(Clone, Debug)]
pub struct Carrier(Option<RequestId>);

impl Carrier {
    /// For the request that this thread works for now, or for none.
    #[must_use]
    pub fn current() -> Self {
        Self(current().map(|text| RequestId(Some(text))))
    }

    /// A future or a stream that works for that request, wherever it is polled.
    pub fn carry<W>(self, work: W) -> Carried<W> {
        Carried { work, id: self.0 }
    }
}

pin_project! {
    /// What works for a request, or for none.
    #[derive(Debug)]
    pub struct Carried<W> {
        #[pin]
        work: W,
        id: Option<RequestId>,
    }
}

impl<W: Future> Future for Carried<W> {
    type Output = W::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<W::Output> {
        let this = self.project();
        match this.id {
            Some(id) => within(id, || this.work.poll(context)),
            None => this.work.poll(context),
        }
    }
}

impl<W: Stream> Stream for Carried<W> {
    type Item = W::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<W::Item>> {
        let this = self.project();
        match this.id {
            Some(id) => within(id, || this.work.poll_next(context)),
            None => this.work.poll_next(context),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.work.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use futures_util::{FutureExt as _, StreamExt as _, stream};

    use super::*;

    #[test]
    fn what_could_be_taken_for_something_else_is_no_id() {
        for id in ["1", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "Root=1-67891233:abc/d+e@f~g_h.i", &"a".repeat(128)] {
            assert_eq!(RequestId::given(id.as_bytes()).unwrap().known().map(|id| &**id), Some(id));
        }
        for id in ["", "a b", "a\"", "a\\", "a,b", "{a}", "é", "a\u{202e}", &"a".repeat(129)] {
            assert!(RequestId::given(id.as_bytes()).is_none(), "{id}");
        }
        assert!(RequestId::given(b"\xff").is_none());
    }

    #[test]
    fn a_trace_parent_is_read_as_its_specification_has_it() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        for parent in [format!("00-{trace}-b7ad6b7169203331-01"), format!("cc-{trace}-b7ad6b7169203331-01-what-comes")] {
            assert_eq!(RequestId::of_trace(parent.as_bytes()).unwrap().known().map(|id| &**id), Some(trace), "{parent}");
        }
        for parent in [
            String::new(),
            format!("00-{trace}-b7ad6b7169203331"),
            format!("00-{trace}-b7ad6b7169203331-01-more"),
            format!("ff-{trace}-b7ad6b7169203331-01"),
            format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{}-b7ad6b7169203331-01", &trace[1..]),
        ] {
            assert!(RequestId::of_trace(parent.as_bytes()).is_none(), "{parent}");
        }
    }

    #[test]
    fn an_id_is_made_when_it_is_asked_for_and_stays() {
        let mut id = RequestId::default();
        within(&mut id, || ());
        assert!(id.known().is_none());
        let made = within(&mut id, || (current(), current()));
        assert_eq!(made.0, made.1);
        assert_eq!((made.0.as_ref(), made.0.as_ref().map(|id| id.len())), (id.known(), Some(16)));
        assert_ne!(RequestId::default().text(), id.text());
        assert_eq!(current(), None);
    }

    #[test]
    fn ids_stand_within_each_other_and_survive_a_panic() {
        let (mut outer, mut inner) = (RequestId::given(b"outer").unwrap(), RequestId::given(b"inner").unwrap());
        let seen = within(&mut outer, || {
            let failed = catch_unwind(AssertUnwindSafe(|| {
                within(&mut inner, || {
                    assert_eq!(current().as_deref(), Some("inner"));
                    panic!("of a test");
                })
            }));
            assert!(failed.is_err());
            current()
        });
        assert_eq!(seen.as_deref(), Some("outer"));
        assert_eq!((outer.text(), inner.text()), ("outer".into(), "inner".into()));
    }

    #[test]
    fn what_is_carried_works_for_the_request_that_began_it() {
        let mut id = RequestId::given(b"a").unwrap();
        let (work, events) = within(&mut id, || (carry(async { current() }), carry(stream::iter([()]).map(|()| current()))));
        assert_eq!(work.now_or_never().unwrap().as_deref(), Some("a"));
        assert_eq!(events.collect::<Vec<_>>().now_or_never().unwrap(), [Some("a".into())]);
        assert_eq!(carry(async { current() }).now_or_never().unwrap(), None);
    }
}
