//! What a caller may see and do, as a part of the key of an answer.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::access::{Principal, Roles, Scope};

/// Compares scopes by identity, which costs nothing however many tenants they name: two that are equal but not the same just do not
/// share answers. The key holds the scope, so its identity is not given to another one meanwhile.
#[derive(Clone, Debug)]
pub(super) struct CallerScope {
    scope: Scope,
    roles: Roles,
}

impl CallerScope {
    pub(super) fn of(principal: &Principal) -> Self {
        Self { scope: principal.scope.clone(), roles: principal.roles }
    }
}

impl PartialEq for CallerScope {
    fn eq(&self, other: &Self) -> bool {
        let same_scope = match (&self.scope, &other.scope) {
            (Scope::All, Scope::All) => true,
            (Scope::Only(one), Scope::Only(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        same_scope && self.roles == other.roles
    }
}

impl Eq for CallerScope {}

impl Hash for CallerScope {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.scope {
            Scope::All => 0_usize.hash(state),
            Scope::Only(ids) => Arc::as_ptr(ids).hash(state),
        }
        self.roles.hash(state);
    }
}
