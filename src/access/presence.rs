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
    /// `None` until it is known who it is.
    principal: Option<PrincipalName>,
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
        let mut stay = self.arrive().inspect_err(|_| self.tell_refused(&principal.name))?;
        stay.belong_to(principal)?;
        Ok(stay)
    }

    /// Lets one more in of whom it is not known yet who it is.
    ///
    /// # Errors
    /// When there are as many as allowed of all principals together.
    pub fn arrive(&self) -> Result<Stay, Crowded> {
        let PresenceLimits { name, total: limit, .. } = self.limits;
        let mut present = self.present.lock();
        if present.total >= limit {
            return Err(Crowded::Total { name, limit });
        }
        present.total += 1;
        Ok(Stay { principal: None, presence: self.clone() })
    }

    fn tell_refused(&self, principal: &PrincipalName) {
        info!(target: "quotagraph::audit", %principal, by = principal.means().name(), limit = self.limits.name, outcome = "RATE_LIMITED", "too many at once; refused");
    }
}

impl Stay {
    /// Notes who it is that has arrived.
    ///
    /// # Errors
    /// When there are as many as allowed of the principal. Each refusal is a line in the audit log.
    pub fn belong_to(&mut self, principal: &Principal) -> Result<(), Crowded> {
        let PresenceLimits { name, per_principal: limit, .. } = self.presence.limits;
        let mut present = self.presence.present.lock();
        let own = present.by_principal.entry(principal.name.clone()).or_default();
        if *own >= limit {
            // With a limit of 0 nobody is there.
            if *own == 0 {
                present.by_principal.remove(&principal.name);
            }
            drop(present);
            self.presence.tell_refused(&principal.name);
            return Err(Crowded::Principal { name, limit });
        }
        *own += 1;
        drop(present);
        self.principal = Some(principal.name.clone());
        Ok(())
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut present = self.presence.present.lock();
        present.total -= 1;
        let Some(principal) = &self.principal else { return };
        if let Some(own) = present.by_principal.get_mut(principal) {
            *own -= 1;
            if *own == 0 {
                present.by_principal.remove(principal);
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
        assert_eq!(presence.present.lock().by_principal.len(), 1);
        assert_eq!(OWN.to_string(), "you have 2 visits already, as many as limits.visits_per_principal allows; end one first");
        assert_eq!(TOTAL.to_string(), "there are 3 visits already, as many as limits.visits allows; try again later");
    }

    #[test]
    fn whoever_is_not_known_yet_counts_among_all_and_then_among_its_own() {
        let presence = Presence::new(LIMITS);
        let a = named(Means::Key, "a");
        let mut stays: Vec<_> = (0..3).map(|_| presence.arrive().unwrap()).collect();
        assert_eq!(presence.arrive().unwrap_err(), TOTAL);
        assert_eq!(presence.enter(&a).unwrap_err(), TOTAL);
        stays[0].belong_to(&a).unwrap();
        stays[1].belong_to(&a).unwrap();
        assert_eq!(stays[2].belong_to(&a).unwrap_err(), OWN);
        drop(stays);
        drop(presence.enter(&a).unwrap());
        let present = presence.present.lock();
        assert_eq!((present.total, present.by_principal.len()), (0, 0));
    }
}
