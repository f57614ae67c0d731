//! API keys for tenants that nobody watches.

use tracing::warn;

use crate::access::Gate;

/// Keys that are warned of one by one.
const TOLD: usize = 20;

/// Warns of tenants that API keys name and nobody watches: to their callers they look like tenants that others may see.
pub(super) fn warn_of_them(gate: &Gate) {
    let unknown = gate.unknown_tenants();
    for (key, tenant) in unknown.iter().take(TOLD) {
        warn!(%key, %tenant, "an API key names a tenant that the config does not have (auth.keys)");
    }
    if let Some(more) = unknown.len().checked_sub(TOLD).filter(|more| *more > 0) {
        warn!(more, "API keys name more tenants that the config does not have (auth.keys)");
    }
}
