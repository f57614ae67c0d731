//! Who calls.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::quota::TenantId;

/// Something that a principal may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Ask for quotas and history.
    Read,
    /// Ask the upstream past every cache.
    Refresh,
    /// Take history out in bulk.
    Export,
    /// Everything.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Read, Self::Refresh, Self::Export, Self::Admin];

    /// The role's name in configs and tokens.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Refresh => "REFRESH",
            Self::Export => "EXPORT",
            Self::Admin => "ADMIN",
        }
    }

    /// The role of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// The roles of a principal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    /// Whether they allow what a role stands for: they hold it, or `ADMIN`, which stands for everything.
    #[must_use]
    pub fn allow(&self, role: Role) -> bool {
        self.0.contains(&role) || self.0.contains(&Role::Admin)
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().collect())
    }
}

/// Which tenants a principal may see.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every one, also those that are added later.
    All,
    /// These, as far as they exist.
    Only(Arc<BTreeSet<TenantId>>),
}

/// Somebody who calls, as far as rights go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    /// A name for the log.
    pub name: Arc<str>,
    /// Which tenants it may see.
    pub scope: Scope,
    /// What it may do.
    pub roles: Roles,
}

impl Principal {
    /// Whoever reaches a service without authentication: may see and do everything.
    #[must_use]
    pub fn anybody() -> Self {
        Self { name: "anybody".into(), scope: Scope::All, roles: [Role::Admin].into_iter().collect() }
    }
}
