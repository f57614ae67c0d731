//! What the commands that call the upstream share.

use std::path::Path;

use super::{Failed, load_config, load_tenants, system_clock};
use crate::app;
use crate::config::Config;
use crate::koodrive::Client;
use crate::metrics::Metrics;
use crate::tenants::WatchedTenant;

/// A client with the config's settings, and the tenants.
pub(super) fn open(config: Option<&Path>) -> Result<(Config, Client, Vec<WatchedTenant>), Failed> {
    let config = load_config(config)?;
    let watched = load_tenants(&config)?;
    let client = Client::new(&app::koodrive_settings(&config), system_clock(), Metrics::default().upstream)?;
    Ok((config, client, watched))
}

/// The same with one tenant.
pub(super) fn open_one(config: Option<&Path>, tenant: &str) -> Result<(Client, WatchedTenant), Failed> {
    let (config, client, watched) = open(config)?;
    let known = watched.len();
    let file = config.file.unwrap_or_default();
    let watched = watched.into_iter().find(|watched| watched.tenant.id.as_str() == tenant).ok_or_else(|| {
        format!("there is no tenant {tenant} in {} (it has {known}); `quotagraph check` lists them", file.display())
    })?;
    Ok((client, watched))
}
