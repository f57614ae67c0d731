//! What the commands that call the upstream share.

use std::path::Path;

use super::{Failed, load_tenants, start_log, system_clock};
use crate::app;
use crate::config::{self, Config, Log};
use crate::koodrive::{Client, Failure, Verdict};
use crate::metrics::Metrics;
use crate::shown;
use crate::tenants::WatchedTenant;

/// A client with the config's settings, and the tenants.
pub(super) fn open(config: Option<&Path>) -> Result<(Config, Client, Vec<WatchedTenant>), Failed> {
    let config = config::load(config, config::process_environment())?;
    let mut log = config.log.clone();
    if log.filter == Log::default().filter {
        // The command says itself what failed. Who asks for a log gets it.
        "error".clone_into(&mut log.filter);
    }
    start_log(&log)?;
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
        format!(
            "there is no tenant {} in {} (it has {known}); `quotagraph check` lists them",
            shown::cut(tenant),
            shown::path(&file)
        )
    })?;
    Ok((client, watched))
}

/// What failed, what to look at, and by which id the upstream's people find the request.
pub(super) fn describe(failure: &Failure) -> String {
    let mut text = failure.to_string();
    if matches!(failure.verdict, Verdict::Refused(_)) {
        text.push_str("; are the endpoint, user_id and the credential right?");
    }
    if let Some(trace_id) = &failure.trace_id {
        text.push_str(" X-Traceid ");
        text.push_str(trace_id);
    }
    text
}
