//! The operations under way on one connection.

use std::future::poll_fn;
use std::task::{Context, Poll};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use crate::http::answer::Told;

/// The operations, by their ids.
#[derive(Default)]
pub(super) struct Operations {
    under_way: Vec<Operation>,
    /// Where the next look begins, so that a busy operation does not keep the others waiting.
    turn: usize,
}

struct Operation {
    id: String,
    responses: BoxStream<'static, Told>,
    /// What it holds in memory, about, in bytes.
    weight: usize,
}

impl Operations {
    /// What all of them hold in memory.
    pub(super) fn weight(&self) -> usize {
        self.under_way.iter().map(|operation| operation.weight).sum()
    }

    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.under_way.iter().any(|operation| operation.id == id)
    }

    pub(super) fn insert(&mut self, id: String, responses: BoxStream<'static, Told>, weight: usize) {
        self.under_way.push(Operation { id, responses, weight });
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.under_way.retain(|operation| operation.id != id);
        self.under_way.shrink_to_fit();
    }

    /// Waits for the next response of any operation; `None` when that operation is over, which takes it out. Never ends while there is none.
    pub(super) async fn next(&mut self) -> (String, Option<Told>) {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<(String, Option<Told>)> {
        let count = self.under_way.len();
        for step in 0..count {
            let place = (self.turn + step) % count;
            let operation = &mut self.under_way[place];
            let Poll::Ready(response) = operation.responses.poll_next_unpin(context) else { continue };
            self.turn = place + 1;
            let id = operation.id.clone();
            if response.is_none() {
                self.remove(&id);
            }
            return Poll::Ready((id, response));
        }
        Poll::Pending
    }
}
