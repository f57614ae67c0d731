//! `quotagraph serve`

use std::path::Path;
use std::process::ExitCode;

use tracing::info;

use super::service::{Reload, run_service};
use super::{Failed, load_config, load_tenants, open_store, system_clock};
use crate::app::App;
use crate::config::TenantsWatch;

pub(super) async fn run(config: Option<&Path>) -> Result<ExitCode, Failed> {
    let config = load_config(config)?;
    let watch = TenantsWatch::new(&config);
    let watched = load_tenants(&config)?;
    let store = open_store(&config).await?;
    if config.database.migrate {
        for migration in store.migrate().await? {
            info!(migration, "applied a migration");
        }
    }
    store.ping().await?;
    let app = App::build(&config, watched, store, system_clock()).await?;
    info!(address = %app.address(), "serving");
    run_service(app, Some(Reload { config, watch })).await?;
    Ok(ExitCode::SUCCESS)
}
