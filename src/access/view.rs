//! What one caller may see.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tracing::info;

use super::grant::{Basis, Grant};
use super::{Principal, PrincipalName, Role, Scope};
use crate::quota::TenantId;
use crate::tenants::{TenantSet, WatchedTenant};

/// The tenants that a principal may see, at one moment. The only way to a tenant for whatever answers a caller.
#[derive(Clone, Debug)]
pub struct View {
    pub(super) grant: Arc<Grant>,
    pub(super) tenants: Arc<TenantSet>,
    /// Up to which change of who may call the grant is known to hold.
    pub(super) checked: u64,
}

/// The principal lacks a role. Shown to the caller, who knows its own name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this needs the role {}, which {principal} does not have", role.name())]
pub struct Forbidden {
    /// Who called.
    pub principal: PrincipalName,
    /// What is lacking.
    pub role: Role,
}

impl View {
    /// What `principal` may see of `tenants`, whoever lets it in.
    #[must_use]
    pub fn new(principal: Principal, tenants: Arc<TenantSet>) -> Self {
        Self { grant: Arc::new(Grant { principal, basis: Basis::Nothing, expires_at: None }), tenants, checked: 0 }
    }

    /// When the credentials of the caller expire; `None` for never.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.grant.expires_at
    }

    /// Whether the credentials of the caller have expired.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.grant.expires_at.is_some_and(|at| at <= now)
    }

    /// How long to wait until the credentials of the caller expire; `None` for ever.
    #[must_use]
    pub fn remaining(&self, now: Timestamp) -> Option<Duration> {
        let rest = self.grant.expires_at?.duration_since(now).max(SignedDuration::ZERO);
        // A little later, so that it has expired by then.
        Some(Duration::try_from(rest).unwrap_or(Duration::MAX).saturating_add(Duration::from_millis(1)))
    }

    /// Whether every tenant may be seen.
    #[must_use]
    pub fn shows_all(&self) -> bool {
        self.principal().scope == Scope::All
    }

    /// Who looks.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.grant.principal
    }

    /// Tells the tenants that the view was taken from from every former set of them.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.tenants.generation()
    }

    /// The tenant of that id, if it exists and may be seen.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<WatchedTenant>> {
        match &self.principal().scope {
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
        match &self.principal().scope {
            Scope::All => Cow::Borrowed(self.tenants.all()),
            Scope::Only(ids) => Cow::Owned(ids.iter().filter_map(|id| self.tenants.get(id.as_str())).cloned().collect()),
        }
    }

    /// Whether the principal may see a tenant of that id, be it watched or not.
    #[must_use]
    pub fn shows(&self, id: &TenantId) -> bool {
        match &self.principal().scope {
            Scope::All => true,
            Scope::Only(ids) => ids.contains(id),
        }
    }

    /// Whether the principal has a role.
    #[must_use]
    pub fn may(&self, role: Role) -> bool {
        self.principal().roles.allow(role)
    }

    /// Asks for a role.
    ///
    /// # Errors
    /// When the principal does not have it.
    pub fn require(&self, role: Role) -> Result<(), Forbidden> {
        if self.principal().roles.allow(role) {
            Ok(())
        } else {
            let name = &self.principal().name;
            info!(
                target: "quotagraph::audit", principal = %name, by = name.means().name(), role = role.name(), outcome = "FORBIDDEN",
                "request refused"
            );
            Err(Forbidden { principal: name.clone(), role })
        }
    }
}
