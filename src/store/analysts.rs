//! The roles that analysts read the views as.

use super::error::StoreError;
use crate::quota::TenantId;

/// The tenants that an analysts' role may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnalystTenants {
    /// All of them, also those to come.
    All,
    /// These.
    Only(Vec<TenantId>),
}

/// What an analysts' role may read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnalystRole {
    /// Whether it may read all tenants.
    pub all: bool,
    /// The tenants that it may read, as its grants name them.
    pub tenants: Vec<String>,
    /// Those among its grants that no tenant has registered as yet.
    pub unknown: Vec<String>,
}

/// Who reads the views by SQL.
#[async_trait::async_trait]
pub trait Analysts: Send + Sync {
    /// Lets a role read the analysts' views and nothing else; makes the role when there is none. With `tenants`, these are the ones it may
    /// read from now on, else it keeps those that it had. Refused where there are no roles, and for a role that reads everything anyway.
    async fn set_up_analyst(&self, role: &str, tenants: Option<&AnalystTenants>) -> Result<AnalystRole, StoreError>;
}
