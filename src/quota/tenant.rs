//! Who is watched.

use std::fmt;
use std::sync::Arc;

/// The id of a tenant as the config gives it: 1 to 64 characters of `A-Z a-z 0-9 . _ -`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

/// Why a text is no tenant id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tenant id has 1 to 64 characters of A-Z a-z 0-9 . _ -")]
pub struct InvalidTenantId;

impl TenantId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for TenantId {
    type Err = InvalidTenantId;

    fn from_str(text: &str) -> Result<Self, InvalidTenantId> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) { Ok(Self(text.into())) } else { Err(InvalidTenantId) }
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lets maps that are keyed by tenant be asked with a plain text.
impl std::borrow::Borrow<str> for TenantId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A key and a value that group tenants, such as `region = cn-north-4`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// The key; unique within a tenant.
    pub key: String,
    pub value: String,
}

/// A tenant as people know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its id, unique in the service.
    pub id: TenantId,
    /// Its name for people.
    pub name: String,
    /// Its labels, sorted by key.
    pub labels: Vec<Label>,
}
