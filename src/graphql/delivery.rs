//! How answers travel that come one after the other.

use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::computing::Turn;

/// How a subscription's events travel, and where they resume.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The transport's name, for the figures.
    pub transport: &'static str,
    /// Where the subscriber stood when its connection broke, if the transport knows; it wins over `since`.
    pub resume_after: Option<Timestamp>,
    /// The place after which the events begin, as soon as the subscription has begun.
    pub begins_after: Arc<Mutex<Option<Timestamp>>>,
    /// The place of the event that was made last.
    pub place: Arc<Mutex<Option<Timestamp>>>,
    /// Where each event waits for its turn to be made.
    pub turn: Turn,
    /// Whoever shares a connection takes turns with what takes long.
    pub lane: Arc<Semaphore>,
}

impl Delivery {
    /// By a transport that knows of no places.
    #[must_use]
    pub fn by(transport: &'static str) -> Self {
        Self {
            transport,
            resume_after: None,
            begins_after: Arc::default(),
            place: Arc::default(),
            turn: Turn::default(),
            lane: Arc::new(Semaphore::new(1)),
        }
    }
}
