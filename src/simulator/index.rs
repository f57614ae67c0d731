//! The simulated tenants, found by what requests name.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use super::tenant::{Entry, SimulatedTenant, TenantHandle};
use super::verify::{Claim, GatewayError, unauthorized};
use crate::clock::SharedClock;
use crate::koodrive::Credential;

/// The tenants, found by what requests name.
#[derive(Debug)]
pub(super) struct Tenants {
    in_order: Vec<Arc<Entry>>,
    by_id: HashMap<String, Arc<Entry>>,
    by_app_id: HashMap<String, Arc<Entry>>,
    by_token_header: HashMap<String, Arc<Entry>>,
    pub(super) clock: SharedClock,
    pub(super) stopping: CancellationToken,
}

impl Tenants {
    /// Fails when two tenants share an id or a credential.
    pub(super) fn index(tenants: Vec<SimulatedTenant>, clock: SharedClock, stopping: CancellationToken) -> io::Result<Self> {
        let mut index = Self {
            in_order: Vec::with_capacity(tenants.len()),
            by_id: HashMap::new(),
            by_app_id: HashMap::new(),
            by_token_header: HashMap::new(),
            clock,
            stopping,
        };
        for tenant in tenants {
            let entry = Arc::new(Entry::new(tenant));
            let id = entry.tenant.id.to_string();
            let former = match &entry.tenant.credential {
                Credential::App { app_id, .. } => index.by_app_id.insert(app_id.clone(), Arc::clone(&entry)),
                Credential::Token { token, prefix } => {
                    index.by_token_header.insert(format!("{prefix}{}", token.expose_secret()), Arc::clone(&entry))
                }
            };
            if former.is_some() || index.by_id.insert(id.clone(), Arc::clone(&entry)).is_some() {
                let sentence = format!("tenant {id} has the id or the credential of another");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, sentence));
            }
            index.in_order.push(entry);
        }
        Ok(index)
    }

    pub(super) fn by_id(&self, id: &str) -> Option<TenantHandle> {
        self.by_id.get(id).map(|entry| TenantHandle { entry: Arc::clone(entry) })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = TenantHandle> {
        self.in_order.iter().map(|entry| TenantHandle { entry: Arc::clone(entry) })
    }

    pub(super) fn by_claim(&self, claim: Claim<'_>) -> Result<&Arc<Entry>, GatewayError> {
        let found = match claim {
            Claim::App { app_id, .. } => self.by_app_id.get(app_id),
            Claim::Token(header) => self.by_token_header.get(header),
        };
        found.ok_or_else(|| unauthorized("the app or token is not known"))
    }
}
