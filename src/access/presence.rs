//! Limits on how many at the same time.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::info;

use super::Principal;

/// How many may be there at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresenceLimits {
    /// Of all principals together.
    pub total: usize,
    /// Of one principal.
    pub per_principal: usize,
}

/// Who is there. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Presence {
    limits: PresenceLimits,
    present: Arc<Mutex<Present>>,
}

#[derive(Debug, Default)]
struct Present {
    total: usize,
    by_principal: HashMap<Arc<str>, usize>,
}

/// Somebody is there, until this is dropped.
#[derive(Debug)]
pub struct Stay {
    principal: Arc<str>,
    present: Arc<Mutex<Present>>,
}

/// Too many are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    /// Of all principals together.
    #[error("there are {0} subscriptions already, as many as limits.subscriptions allows; try again later")]
    Total(usize),
    /// Of the principal.
    #[error("you have {0} subscriptions already, as many as limits.subscriptions_per_principal allows; end one first")]
    Principal(usize),
}

impl Presence {
    /// Nobody is there yet.
    #[must_use]
    pub fn new(limits: PresenceLimits) -> Self {
        Self { limits, present: Arc::default() }
    }

    /// Lets one more in.
    ///
    /// # Errors
    /// When there are as many as allowed. Each refusal is a line in the audit log.
    pub fn enter(&self, principal: &Principal) -> Result<Stay, Crowded> {
        let refuse = |crowded| {
            info!(target: "quotagraph::audit", principal = %principal.name, outcome = "RATE_LIMITED", "subscription refused");
            Err(crowded)
        };
        let mut present = self.present.lock();
        if present.total >= self.limits.total {
            return refuse(Crowded::Total(self.limits.total));
        }
        let own = present.by_principal.entry(Arc::clone(&principal.name)).or_default();
        if *own >= self.limits.per_principal {
            return refuse(Crowded::Principal(self.limits.per_principal));
        }
        *own += 1;
        present.total += 1;
        Ok(Stay { principal: Arc::clone(&principal.name), present: Arc::clone(&self.present) })
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut present = self.present.lock();
        present.total -= 1;
        if let Some(own) = present.by_principal.get_mut(&self.principal) {
            *own -= 1;
            if *own == 0 {
                present.by_principal.remove(&self.principal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_let_in_than_allowed_and_whoever_leaves_makes_room() {
        let presence = Presence::new(PresenceLimits { total: 3, per_principal: 2 });
        let [a, b] = ["a", "b"].map(|name| Principal { name: name.into(), ..Principal::anybody() });
        let first = presence.enter(&a).unwrap();
        let _second = presence.enter(&a).unwrap();
        assert_eq!(presence.enter(&a).unwrap_err(), Crowded::Principal(2));
        let other = presence.enter(&b).unwrap();
        assert_eq!(presence.enter(&b).unwrap_err(), Crowded::Total(3));
        drop(first);
        let _third = presence.enter(&a).unwrap();
        drop(other);
        presence.enter(&b).unwrap();
        assert_eq!(presence.present.lock().by_principal.len(), 1);
    }
}
