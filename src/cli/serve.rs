//! `quotagraph serve`

use std::path::Path;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use super::reloading::Reload;
use super::service::run_service;
use super::signals::{END, Signals};
use super::{Failed, load_config, load_tenants, open_store, system_clock};
use crate::app::App;
use crate::config::Watch;

pub(super) async fn run(config: Option<&Path>) -> Result<ExitCode, Failed> {
    let config = load_config(config)?;
    let watch = Watch::new(&config);
    let watched = load_tenants(&config)?;
    let tenants = watched.len();
    let store = open_store(&config).await?;
    if config.database.migrate {
        for migration in store.migrate().await? {
            info!(migration, "applied a migration");
        }
    }
    store.ping().await?;
    let app = App::build(&config, watched, store, system_clock()).await?;
    // Before anybody is told that it serves, so that a signal from then on finds somebody who listens.
    let signals = Signals::listen(&END)?;
    let hang_up = signal(SignalKind::hangup())?;
    if tenants == 0 {
        warn!("the config has no tenants; add a [[tenants]] table or a tenants_file");
    }
    if let Some(address) = app.metrics_address() {
        info!(%address, "serving metrics");
    }
    let addresses: Vec<String> = app.addresses().iter().map(ToString::to_string).collect();
    info!(address = %addresses.join(", "), tenants, "serving");
    run_service(app, signals, Some(Reload::new(&config, watch, hang_up))).await
}
