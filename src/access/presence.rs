//! Limits on how many at the same time.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::info;

use super::{Principal, PrincipalName};

/// How many may be there at the same time, and what they are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresenceLimits {
    /// What is counted, in the plural; the name of the setting too: `limits.NAME`, `limits.NAME_per_principal`.
    pub name: &'static str,
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
    by_principal: HashMap<PrincipalName, usize>,
}

/// Somebody is there, until this is dropped.
#[derive(Debug)]
pub struct Stay {
    principal: PrincipalName,
    count: usize,
    presence: Presence,
}

/// Too many are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    /// Of all principals together.
    #[error("there are {} {name} already, as many as limits.{name} allows; try again later", .limit)]
    Total {
        /// What there are too many of.
        name: &'static str,
        /// How many may be there.
        limit: usize,
    },
    /// Of the principal.
    #[error("you have {} {name} already, as many as limits.{name}_per_principal allows; end one first", .limit)]
    Principal {
        /// What there are too many of.
        name: &'static str,
        /// How many may be there.
        limit: usize,
    },
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
        self.enter_with(principal, 1)
    }

    /// Lets one in that counts as so many.
    ///
    /// # Errors
    /// As [`Presence::enter`].
    pub fn enter_with(&self, principal: &Principal, count: usize) -> Result<Stay, Crowded> {
        let entered = self.try_enter(&principal.name, count);
        if entered.is_err() {
            let (principal, by, limit) = (&principal.name, principal.name.means().name(), self.limits.name);
            info!(target: "quotagraph::audit", %principal, by, limit, outcome = "RATE_LIMITED", "too many at once; refused");
        }
        entered
    }

    fn try_enter(&self, principal: &PrincipalName, count: usize) -> Result<Stay, Crowded> {
        let PresenceLimits { name, total, per_principal } = self.limits;
        let mut present = self.present.lock();
        if present.total.saturating_add(count) > total {
            return Err(Crowded::Total { name, limit: total });
        }
        let own = present.by_principal.get(principal).copied().unwrap_or_default();
        if own.saturating_add(count) > per_principal {
            return Err(Crowded::Principal { name, limit: per_principal });
        }
        present.total += count;
        present.by_principal.insert(principal.clone(), own + count);
        Ok(Stay { principal: principal.clone(), count, presence: self.clone() })
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut present = self.presence.present.lock();
        present.total -= self.count;
        if let Some(own) = present.by_principal.get_mut(&self.principal) {
            *own -= self.count;
            if *own == 0 {
                present.by_principal.remove(&self.principal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Means;
    use super::*;

    const LIMITS: PresenceLimits = PresenceLimits { name: "visits", total: 3, per_principal: 2 };
    const TOTAL: Crowded = Crowded::Total { name: "visits", limit: 3 };
    const OWN: Crowded = Crowded::Principal { name: "visits", limit: 2 };

    fn named(means: Means, name: &str) -> Principal {
        Principal { name: PrincipalName::new(means, name), ..Principal::anybody() }
    }

    #[test]
    fn a_token_of_the_name_of_a_key_takes_none_of_its_places() {
        let presence = Presence::new(LIMITS);
        let [key, token] = [Means::Key, Means::Token].map(|means| named(means, "portal"));
        let _places: Vec<_> = (0..2).map(|_| presence.enter(&token).unwrap()).collect();
        assert_eq!(presence.enter(&token).unwrap_err(), OWN);
        presence.enter(&key).unwrap();
    }

    #[test]
    fn no_more_are_let_in_than_allowed_and_whoever_leaves_makes_room() {
        let presence = Presence::new(LIMITS);
        let [a, b] = ["a", "b"].map(|name| named(Means::Key, name));
        let first = presence.enter(&a).unwrap();
        let _second = presence.enter(&a).unwrap();
        assert_eq!(presence.enter(&a).unwrap_err(), OWN);
        let other = presence.enter(&b).unwrap();
        assert_eq!(presence.enter(&b).unwrap_err(), TOTAL);
        drop(first);
        let _third = presence.enter(&a).unwrap();
        drop(other);
        presence.enter(&b).unwrap();
        let present = presence.present.lock();
        assert_eq!((present.total, present.by_principal.len()), (2, 1));
        assert_eq!(OWN.to_string(), "you have 2 visits already, as many as limits.visits_per_principal allows; end one first");
        assert_eq!(TOTAL.to_string(), "there are 3 visits already, as many as limits.visits allows; try again later");
    }
}
