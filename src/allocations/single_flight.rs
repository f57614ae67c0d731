//! One call for any number of concurrent waiters, by key (known as single flight).

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use crate::request_id::carry;

/// The calls under way. A call runs in a task of its own: a waiter that goes away does not end it.
#[derive(Debug)]
pub struct SingleFlight<K, V: Clone> {
    under_way: Arc<Mutex<HashMap<K, SharedCall<V>>>>,
}

/// A call under way; awaiting it gives its result, `None` when its task failed.
pub type SharedCall<V> = Shared<BoxFuture<'static, Option<V>>>;

/// What [`SingleFlight::join_or_start`] found.
pub enum JoinOutcome<R, V: Clone> {
    /// No call is needed: this was found meanwhile.
    Found(R),
    /// The call of somebody else.
    Joined(SharedCall<V>),
    /// A call that was started now.
    Started(SharedCall<V>),
}

impl<K, V: Clone> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self { under_way: Arc::default() }
    }
}

impl<K: Clone + Eq + Hash + Send + 'static, V: Clone + Send + Sync + 'static> SingleFlight<K, V> {
    /// Joins the call under way for `key`, or starts `call`. Before starting, `find` is asked once more: a call may have ended since
    /// the caller looked, and a result is put where `find` sees it before its call leaves this table.
    pub fn join_or_start<R, F>(&self, key: K, find: impl FnOnce() -> Option<R>, call: impl FnOnce() -> F) -> JoinOutcome<R, V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(call) = under_way.get(&key) {
            return JoinOutcome::Joined(call.clone());
        }
        if let Some(found) = find() {
            return JoinOutcome::Found(found);
        }
        let call = call();
        let leave = Leave { key: key.clone(), under_way: Arc::clone(&self.under_way) };
        // The log tells of the call by the request that began it.
        let task = tokio::spawn(carry(async move {
            let result = call.await;
            drop(leave);
            result
        }));
        let call = task.map(Result::ok).boxed().shared();
        under_way.insert(key, call.clone());
        JoinOutcome::Started(call)
    }
}

/// Takes a call out of the table when it ends, also by a panic.
struct Leave<K: Eq + Hash, V: Clone> {
    key: K,
    under_way: Arc<Mutex<HashMap<K, SharedCall<V>>>>,
}

impl<K: Eq + Hash, V: Clone> Drop for Leave<K, V> {
    fn drop(&mut self) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(flights: &SingleFlight<u8, u8>, call: impl Future<Output = u8> + Send + 'static) -> SharedCall<u8> {
        match flights.join_or_start(1, || None::<()>, || call) {
            JoinOutcome::Joined(call) | JoinOutcome::Started(call) => call,
            JoinOutcome::Found(()) => unreachable!("nothing is found"),
        }
    }

    #[tokio::test]
    async fn a_call_that_panics_ends_for_all_who_wait_and_the_next_one_is_made_anew() {
        let flights = SingleFlight::default();
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let one = start(&flights, async move {
            let _ = gone.await;
            panic!("a fault")
        });
        let other = start(&flights, async { unreachable!("it joins the first") });
        go.send(()).unwrap();
        assert_eq!((one.await, other.await), (None, None));
        assert_eq!(start(&flights, async { 7 }).await, Some(7));
    }
}
