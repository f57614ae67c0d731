//! The lanes of the collector: whom they ask, and how a lane's places are shared.
//!
//! Tenants whose last attempt failed are asked in a lane of their own. Within a lane, too, those that may well hang are kept from delaying the
//! others: each lane claims in two ways, and the two queues get its places in turn. One is for tenants that are likely to answer. The other is
//! for all, the longest overdue first, so that none is passed over for ever. It has at most three quarters of the places.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::store::{Claim, DueTenant};
use crate::supervisor::Task;

/// For how many asks, one after the other, a claimed tenant waits at most.
pub(super) const ROUNDS: usize = 8;

/// Which tenants a lane asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Healthy,
    Failing,
}

/// What a lane has claimed, and its places.
#[derive(Debug)]
pub(super) struct Queues {
    places: Arc<Semaphore>,
    both: [Queue; 2],
    /// Whose turn it is.
    turn: usize,
}

#[derive(Debug)]
struct Queue {
    claim: Claim,
    due: VecDeque<DueTenant>,
    /// How many of the lane's places it may have.
    share: Arc<Semaphore>,
    /// How many are claimed at once: enough that claiming costs little, few enough that other replicas find some. `None` when no more are claimed
    /// than can be asked at once, since one that comes later may have to go first.
    at_once: Option<usize>,
}

/// A place of a lane, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(#[expect(dead_code, reason = "held")] [OwnedSemaphorePermit; 2]);

impl Lane {
    pub(super) fn task(self) -> Task {
        Task::essential(match self {
            Self::Healthy => "collector",
            Self::Failing => "collector_of_failing",
        })
    }

    /// The claim for all of its tenants, the longest overdue first.
    pub(super) fn all(self) -> Claim {
        match self {
            Self::Healthy => Claim::Healthy,
            Self::Failing => Claim::Failing,
        }
    }

    /// How many it asks at once, when so many are asked in all.
    pub(super) fn places(self, concurrency: usize) -> usize {
        match self {
            Self::Healthy => concurrency.max(1),
            Self::Failing => (concurrency / 4).max(1),
        }
    }
}

impl Queues {
    pub(super) fn of(lane: Lane, places: usize) -> Self {
        // Of the places that become free a queue gets every other one, so that this many wait for no more than the rounds.
        let at_once = places * ROUNDS / 2;
        let queue = |claim, share: usize, at_once| Queue {
            claim,
            due: VecDeque::new(),
            share: Arc::new(Semaphore::new(share.max(1))),
            at_once,
        };
        let likely = match lane {
            Lane::Healthy => queue(Claim::Answering, places, Some(at_once)),
            Lane::Failing => queue(Claim::Faltering, places, None),
        };
        let both = [likely, queue(lane.all(), places * 3 / 4, Some(at_once))];
        Self { places: Arc::new(Semaphore::new(places)), both, turn: 0 }
    }

    /// The next tenant to ask, and its place.
    pub(super) fn take(&mut self) -> Option<(DueTenant, Place)> {
        for _ in 0..self.both.len() {
            let queue = &mut self.both[self.turn];
            self.turn = (self.turn + 1) % 2;
            if !queue.due.is_empty()
                && let Ok(share) = Arc::clone(&queue.share).try_acquire_owned()
                && let Ok(place) = Arc::clone(&self.places).try_acquire_owned()
            {
                return queue.due.pop_front().map(|due| (due, Place([share, place])));
            }
        }
        None
    }

    /// What is to be claimed now, and how many.
    pub(super) fn wanted(&self) -> Vec<(Claim, usize)> {
        let free = self.places.available_permits();
        let empty = self.both.iter().filter(|queue| queue.due.is_empty());
        empty.map(|queue| (queue.claim, queue.at_once.unwrap_or(free))).filter(|(_, limit)| *limit > 0).collect()
    }

    /// Adds what was claimed.
    pub(super) fn add(&mut self, claim: Claim, due: Vec<DueTenant>) {
        if let Some(queue) = self.both.iter_mut().find(|queue| queue.claim == claim) {
            queue.due.extend(due);
        }
    }
}
