//! The connections to one host, and when they are no longer to be trusted.
//!
//! A NAT or a firewall forgets a connection without telling: what is sent over it is never answered, and every pooled connection that is as old
//! is as dead. So when a request was not answered in time, or its connection broke, all pooled connections of its host are left behind. That
//! request is repeated over a connection that is opened for it: one that another call has opened meanwhile may be as dead.

use parking_lot::Mutex;
use reqwest::Client;

/// The connections to one host.
#[derive(Debug, Default)]
pub(super) struct Connections {
    present: Mutex<Present>,
}

#[derive(Debug, Default)]
struct Present {
    /// Counts how often they were replaced.
    generation: u64,
    /// The pool since then; at first all hosts share one.
    client: Option<Client>,
}

impl Connections {
    /// The client to send the next request with, and its generation.
    pub(super) fn client(&self, shared: &Client) -> (Client, u64) {
        let present = self.present.lock();
        (present.client.as_ref().unwrap_or(shared).clone(), present.generation)
    }

    /// Leaves the connections of a generation behind, unless somebody has done so already. `build` makes a client with a pool of its own.
    pub(super) fn leave(&self, generation: u64, build: impl FnOnce() -> Option<Client>) {
        let mut present = self.present.lock();
        if present.generation == generation
            && let Some(client) = build()
        {
            *present = Present { generation: generation + 1, client: Some(client) };
        }
    }

    /// Goes on with the pool of a client whose connection is known to live.
    pub(super) fn replace(&self, client: Client) {
        let mut present = self.present.lock();
        *present = Present { generation: present.generation + 1, client: Some(client) };
    }
}
