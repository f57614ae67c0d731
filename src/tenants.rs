//! Who is watched, and with which credential. The set is replaced whole on reload; readers keep the one that they took.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use foldhash::fast::RandomState;

use crate::koodrive::Account;
use crate::quota::{Tenant, TenantId};

/// A tenant and how its upstream is reached.
#[derive(Clone, Debug)]
pub struct WatchedTenant {
    /// The tenant as people know it.
    pub tenant: Tenant,
    /// Its access to the upstream.
    pub account: Account,
}

/// The tenants at one moment, sorted by id.
#[derive(Debug, Default)]
pub struct TenantSet {
    sorted: Vec<Arc<WatchedTenant>>,
    by_id: HashMap<TenantId, usize, RandomState>,
    /// Larger than every generation ever given out, also to tenants that have left.
    next_generation: u64,
}

impl TenantSet {
    fn new(mut sorted: Vec<Arc<WatchedTenant>>, next_generation: u64) -> Self {
        sorted.sort_by(|a, b| a.tenant.id.cmp(&b.tenant.id));
        let by_id = sorted.iter().enumerate().map(|(index, watched)| (watched.tenant.id.clone(), index)).collect();
        Self { sorted, by_id, next_generation }
    }

    /// The tenant of that id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<WatchedTenant>> {
        self.by_id.get(id).map(|index| &self.sorted[*index])
    }

    /// Tells this set of tenants from every former one.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.next_generation
    }

    /// All tenants, sorted by id.
    #[must_use]
    pub fn all(&self) -> &[Arc<WatchedTenant>] {
        &self.sorted
    }
}

/// The tenants that are watched now.
#[derive(Debug, Default)]
pub struct Tenants {
    current: RwLock<Arc<TenantSet>>,
}

/// What a replacement changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replacement {
    /// Tenants that were not watched before.
    pub added: usize,
    /// Tenants that are no longer watched.
    pub removed: usize,
    /// Tenants whose endpoint, user or credential is another.
    pub new_access: usize,
}

impl Tenants {
    /// Watches these tenants. Ids are unique.
    #[must_use]
    pub fn new(watched: Vec<WatchedTenant>) -> Self {
        let tenants = Self::default();
        tenants.replace(watched);
        tenants
    }

    /// The tenants at this moment.
    #[must_use]
    pub fn current(&self) -> Arc<TenantSet> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Watches these tenants instead. A tenant with another endpoint, user or credential gets a generation that it never had, so
    /// that nothing that was cached under the former one is found again.
    pub fn replace(&self, watched: Vec<WatchedTenant>) -> Replacement {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let mut replacement = Replacement::default();
        let generation = current.next_generation;
        let next = watched
            .into_iter()
            .map(|mut new| {
                new.account.generation = match current.get(new.tenant.id.as_str()) {
                    Some(old) if old.account.same_access(&new.account) => old.account.generation,
                    Some(_) => {
                        replacement.new_access += 1;
                        generation
                    }
                    None => {
                        replacement.added += 1;
                        generation
                    }
                };
                Arc::new(new)
            })
            .collect();
        let next = TenantSet::new(next, generation + 1);
        replacement.removed = current.all().iter().filter(|old| next.get(old.tenant.id.as_str()).is_none()).count();
        *current = Arc::new(next);
        replacement
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::koodrive::Credential;

    fn watched(id: &str, secret: &str) -> WatchedTenant {
        let tenant = Tenant { id: id.parse().unwrap(), name: id.to_owned(), labels: Vec::new() };
        let account = Account {
            tenant: tenant.id.clone(),
            endpoint: "https://koodrive.example".parse().unwrap(),
            user_id: "42".to_owned(),
            credential: Credential::App { app_id: "app".to_owned(), app_secret: SecretString::from(secret) },
            generation: 0,
        };
        WatchedTenant { tenant, account }
    }

    #[test]
    fn a_rotated_secret_gets_a_new_generation_and_the_others_keep_theirs() {
        let tenants = Tenants::new(vec![watched("a", "1"), watched("b", "1")]);
        let generation = |id: &str| tenants.current().get(id).unwrap().account.generation;
        let before = (generation("a"), generation("b"));
        let replacement = tenants.replace(vec![watched("a", "2"), watched("b", "1"), watched("c", "1")]);
        assert_eq!(replacement, Replacement { added: 1, removed: 0, new_access: 1 });
        assert!(generation("a") > before.0);
        assert_eq!(generation("b"), before.1);
    }

    #[test]
    fn a_tenant_that_comes_back_gets_a_generation_that_it_never_had() {
        let tenants = Tenants::new(vec![watched("a", "1")]);
        let generation = || tenants.current().get("a").unwrap().account.generation;
        let before = generation();
        tenants.replace(Vec::new());
        tenants.replace(vec![watched("a", "2")]);
        assert!(generation() > before);
    }

    #[test]
    fn a_tenant_that_leaves_is_counted_and_no_longer_found() {
        let tenants = Tenants::new(vec![watched("a", "1"), watched("b", "1")]);
        assert_eq!(tenants.replace(vec![watched("b", "1")]), Replacement { added: 0, removed: 1, new_access: 0 });
        assert!(tenants.current().get("a").is_none());
    }
}
