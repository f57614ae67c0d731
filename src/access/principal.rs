//! Who calls.

use std::collections::BTreeSet;
use std::fmt;
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
    /// Read the service's own figures.
    Metrics,
    /// Everything.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [Self::Read, Self::Refresh, Self::Export, Self::Metrics, Self::Admin];

    /// The role's name in configs and tokens.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Refresh => "REFRESH",
            Self::Export => "EXPORT",
            Self::Metrics => "METRICS",
            Self::Admin => "ADMIN",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The role of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// The roles of a principal. A bit for each, since they are a part of the keys of finished answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Roles(u8);

impl Roles {
    /// Whether they allow what a role stands for: they hold it, or `ADMIN`, which stands for everything.
    #[must_use]
    pub fn allow(self, role: Role) -> bool {
        self.0 & (role.bit() | Role::Admin.bit()) != 0
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().fold(0, |bits, role| bits | role.bit()))
    }
}

impl Scope {
    /// Whether all tenants of the other one are among its own.
    fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Only(_), Self::All) => false,
            (Self::Only(one), Self::Only(other)) => other.is_subset(one),
        }
    }

    /// The tenants of both.
    fn within(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, other) => other.clone(),
            (one, Self::All) => one.clone(),
            (Self::Only(one), Self::Only(other)) => Self::Only(Arc::new(one.intersection(other).cloned().collect())),
        }
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

/// By what a principal proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Means {
    /// By nothing: the service asks for no proof.
    Nothing,
    /// By an API key.
    Key,
    Token,
}

impl Means {
    /// The name in the audit log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Key => "key",
            Self::Token => "token",
        }
    }
}

/// What a principal is called. The `sub` of a token and an API key of the same name are two: what one does is not counted against the other.
/// Shown as the name alone; the audit log has the means beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PrincipalName {
    means: Means,
    text: Arc<str>,
}

impl PrincipalName {
    /// What somebody is called who proves itself by these means.
    #[must_use]
    pub fn new(means: Means, name: &str) -> Self {
        Self { means, text: name.into() }
    }

    /// By what it proves itself.
    #[must_use]
    pub fn means(&self) -> Means {
        self.means
    }
}

impl fmt::Display for PrincipalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Somebody who calls, as far as rights go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    /// What it is called, in the log and where it is counted.
    pub name: PrincipalName,
    /// Which tenants it may see.
    pub scope: Scope,
    /// What it may do.
    pub roles: Roles,
}

impl Principal {
    /// The same principal with what both of them may see and do.
    pub(super) fn within(&self, other: &Self) -> Self {
        let roles = Role::ALL.into_iter().filter(|role| self.roles.allow(*role) && other.roles.allow(*role)).collect();
        Self { name: self.name.clone(), scope: self.scope.within(&other.scope), roles }
    }

    /// Whether it may see and do whatever the other one may.
    pub(super) fn includes(&self, other: &Self) -> bool {
        self.scope.includes(&other.scope) && Role::ALL.into_iter().all(|role| self.roles.allow(role) || !other.roles.allow(role))
    }

    /// Whoever reaches a service without authentication: may see and do everything.
    #[must_use]
    pub fn anybody() -> Self {
        Self { name: PrincipalName::new(Means::Nothing, "anybody"), scope: Scope::All, roles: [Role::Admin].into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_allow_what_they_hold_and_admin_allows_everything() {
        let some: Roles = [Role::Read, Role::Export].into_iter().collect();
        assert_eq!(Role::ALL.map(|role| some.allow(role)), [true, false, true, false, false]);
        let admin: Roles = [Role::Admin].into_iter().collect();
        assert!(Role::ALL.into_iter().all(|role| admin.allow(role)));
        assert!(!Role::ALL.into_iter().any(|role| Roles::default().allow(role)));
    }

    #[test]
    fn roles_are_found_by_their_names() {
        for role in Role::ALL {
            assert_eq!(Role::from_name(role.name()), Some(role));
        }
        assert_eq!(Role::from_name("read"), None);
    }
}
