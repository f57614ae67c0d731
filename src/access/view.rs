//! What one caller may see.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use tracing::info;

use super::{Principal, Role, Scope};
use crate::tenants::{TenantSet, Tenants, WatchedTenant};

/// The tenants that a principal may see, at one moment. The only way to a tenant for whatever answers a caller.
#[derive(Clone, Debug)]
pub struct View {
    principal: Arc<Principal>,
    tenants: Arc<TenantSet>,
    expires_at: Option<Timestamp>,
}

/// The principal lacks a role. Shown to the caller, who knows its own name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this needs the role {}, which {principal} does not have", role.name())]
pub struct Forbidden {
    /// Who called.
    pub principal: Arc<str>,
    /// What is lacking.
    pub role: Role,
}

impl View {
    /// What `principal` may see of `tenants`.
    #[must_use]
    pub fn new(principal: Arc<Principal>, tenants: Arc<TenantSet>) -> Self {
        Self { principal, tenants, expires_at: None }
    }

    /// The same view, which ends at an instant.
    #[must_use]
    pub fn until(self, expires_at: Option<Timestamp>) -> Self {
        Self { expires_at, ..self }
    }

    /// When what the caller proved itself by counts no longer; `None` for never.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Whether what the caller proved itself by counts no longer.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Looks at the tenants that are watched now. For those who stay: a request keeps the view that it began with.
    pub fn renew(&mut self, tenants: &Tenants) {
        let current = tenants.current();
        if current.generation() != self.tenants.generation() {
            self.tenants = current;
        }
    }

    /// Whether every tenant may be seen.
    #[must_use]
    pub fn shows_all(&self) -> bool {
        self.principal.scope == Scope::All
    }

    /// Who looks.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Tells the tenants that the view was taken from from every former set of them.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.tenants.generation()
    }

    /// The tenant of that id, if it exists and may be seen.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<WatchedTenant>> {
        match &self.principal.scope {
            Scope::All => self.tenants.get(id),
            // Looked up in both in any case: what is hidden takes no other time than what is not there.
            Scope::Only(ids) => {
                let (visible, found) = (ids.contains(id), self.tenants.get(id));
                found.filter(|_| visible)
            }
        }
    }

    /// The tenants that may be seen, sorted by id.
    #[must_use]
    pub fn all(&self) -> Cow<'_, [Arc<WatchedTenant>]> {
        match &self.principal.scope {
            Scope::All => Cow::Borrowed(self.tenants.all()),
            Scope::Only(ids) => Cow::Owned(ids.iter().filter_map(|id| self.tenants.get(id.as_str())).cloned().collect()),
        }
    }

    /// Asks for a role.
    ///
    /// # Errors
    /// When the principal does not have it.
    pub fn require(&self, role: Role) -> Result<(), Forbidden> {
        if self.principal.roles.allow(role) {
            Ok(())
        } else {
            info!(target: "quotagraph::audit", principal = %self.principal.name, role = role.name(), outcome = "FORBIDDEN", "request refused");
            Err(Forbidden { principal: Arc::clone(&self.principal.name), role })
        }
    }
}
