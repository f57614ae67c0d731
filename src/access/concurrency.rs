//! Limits on how many of something are open at the same time, in all and for each principal.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::info;

use super::{Principal, PrincipalName};

/// How many may be open at the same time, and what they are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConcurrencySettings {
    /// What is counted, in the plural; the name of the setting too: `limits.NAME`, `limits.NAME_per_principal`.
    pub name: &'static str,
    /// Of all principals together.
    pub total: usize,
    pub per_principal: usize,
}

/// Counts what is open. Cheap to clone; clones share the count.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimit {
    limits: ConcurrencySettings,
    present: Arc<Mutex<Present>>,
}

#[derive(Debug, Default)]
struct Present {
    total: usize,
    by_principal: HashMap<PrincipalName, usize>,
}

/// Counts as open until it is dropped.
#[derive(Debug)]
pub struct Permit {
    principal: PrincipalName,
    count: usize,
    limit: ConcurrencyLimit,
}

/// As many are open as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitReached {
    /// Of all principals together.
    #[error("there are {} {name} already, as many as limits.{name} allows; try again later", .limit)]
    Total {
        /// What there are too many of.
        name: &'static str,
        /// How many may be open.
        limit: usize,
    },
    #[error("you have {} {name} already, as many as limits.{name}_per_principal allows; end one first", .limit)]
    Principal {
        /// What there are too many of.
        name: &'static str,
        /// How many may be open.
        limit: usize,
    },
}

impl ConcurrencyLimit {
    /// Nothing is open yet.
    #[must_use]
    pub fn new(limits: ConcurrencySettings) -> Self {
        Self { limits, present: Arc::default() }
    }

    /// Opens one more.
    ///
    /// # Errors
    /// When there are as many as allowed. Each refusal is a line in the audit log.
    pub fn acquire(&self, principal: &Principal) -> Result<Permit, LimitReached> {
        self.acquire_many(principal, 1)
    }

    /// Opens one that counts as so many.
    ///
    /// # Errors
    /// As [`ConcurrencyLimit::acquire`].
    pub fn acquire_many(&self, principal: &Principal, count: usize) -> Result<Permit, LimitReached> {
        let acquired = self.try_acquire(&principal.name, count);
        if acquired.is_err() {
            let (principal, by, limit) = (&principal.name, principal.name.means().name(), self.limits.name);
            info!(target: "quotagraph::audit", %principal, by, limit, outcome = "RATE_LIMITED", "too many at the same time; refused");
        }
        acquired
    }

    fn try_acquire(&self, principal: &PrincipalName, count: usize) -> Result<Permit, LimitReached> {
        let ConcurrencySettings { name, total, per_principal } = self.limits;
        let mut present = self.present.lock();
        if present.total.saturating_add(count) > total {
            return Err(LimitReached::Total { name, limit: total });
        }
        let own = present.by_principal.get(principal).copied().unwrap_or_default();
        if own.saturating_add(count) > per_principal {
            return Err(LimitReached::Principal { name, limit: per_principal });
        }
        present.total += count;
        present.by_principal.insert(principal.clone(), own + count);
        Ok(Permit { principal: principal.clone(), count, limit: self.clone() })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut present = self.limit.present.lock();
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

    const LIMITS: ConcurrencySettings = ConcurrencySettings { name: "visits", total: 3, per_principal: 2 };
    const TOTAL: LimitReached = LimitReached::Total { name: "visits", limit: 3 };
    const OWN: LimitReached = LimitReached::Principal { name: "visits", limit: 2 };

    fn named(means: Means, name: &str) -> Principal {
        Principal { name: PrincipalName::new(means, name), ..Principal::anybody() }
    }

    #[test]
    fn a_token_of_the_name_of_a_key_takes_none_of_its_places() {
        let limit = ConcurrencyLimit::new(LIMITS);
        let [key, token] = [Means::Key, Means::Token].map(|means| named(means, "portal"));
        let _places: Vec<_> = (0..2).map(|_| limit.acquire(&token).unwrap()).collect();
        assert_eq!(limit.acquire(&token).unwrap_err(), OWN);
        limit.acquire(&key).unwrap();
    }

    #[test]
    fn no_more_are_let_in_than_allowed_and_whoever_leaves_makes_room() {
        let limit = ConcurrencyLimit::new(LIMITS);
        let [a, b] = ["a", "b"].map(|name| named(Means::Key, name));
        let first = limit.acquire(&a).unwrap();
        let _second = limit.acquire(&a).unwrap();
        assert_eq!(limit.acquire(&a).unwrap_err(), OWN);
        let other = limit.acquire(&b).unwrap();
        assert_eq!(limit.acquire(&b).unwrap_err(), TOTAL);
        drop(first);
        let _third = limit.acquire(&a).unwrap();
        drop(other);
        limit.acquire(&b).unwrap();
        let present = limit.present.lock();
        assert_eq!((present.total, present.by_principal.len()), (2, 1));
        assert_eq!(OWN.to_string(), "you have 2 visits already, as many as limits.visits_per_principal allows; end one first");
        assert_eq!(TOTAL.to_string(), "there are 3 visits already, as many as limits.visits allows; try again later");
    }
}
