//! A service's life in a process: signals, and tenants that change while it runs.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::Failed;
use crate::app::{App, AppHandle};
use crate::config::{self, Config, TenantsWatch};

/// How often the files that tenants are made of are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is needed to read the tenants again.
pub(super) struct Reload {
    /// The settings; they stay as they are.
    pub config: Config,
    /// Tells when a file has changed.
    pub watch: TenantsWatch,
}

/// Runs a service until SIGTERM or SIGINT and through its orderly end. A second signal ends the process at once.
pub(super) async fn run_service(app: App, reload: Option<Reload>) -> Result<(), Failed> {
    let handle = app.handle();
    let over = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let hang_up = signal(SignalKind::hangup())?;
    let reloading = tokio::spawn(reload_tenants(handle.clone(), reload, hang_up, over.clone()));
    tokio::spawn(async move {
        let mut asked_before = false;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked_before {
                std::process::exit(130);
            }
            asked_before = true;
            info!("shutting down");
            handle.stop();
        }
    });
    let outcome = app.run().await;
    over.cancel();
    reloading.await?;
    outcome?;
    info!("everything is written; bye");
    Ok(())
}

/// Reads the tenants again on SIGHUP and when a file that they are made of has changed. A bad version is refused and the old one stays.
async fn reload_tenants(
    handle: AppHandle,
    reload: Option<Reload>,
    mut hang_up: tokio::signal::unix::Signal,
    over: CancellationToken,
) {
    let Some(Reload { config, mut watch }) = reload else { return };
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // Tenants whose schedules could not be stored are stored with the next look.
    let mut unfinished = false;
    loop {
        let asked = tokio::select! {
            () = over.cancelled() => return,
            Some(()) = hang_up.recv() => true,
            _ = look.tick() => false,
        };
        // Looked at in any case, so that a change is not taken up twice.
        let changed = watch.changed();
        if !(asked || changed || unfinished) {
            continue;
        }
        unfinished = false;
        match config::reload_tenants(&config, config::process_environment()) {
            Ok(watched) => {
                if let Err(cause) = handle.replace_tenants(watched).await {
                    error!(error = &cause as &dyn std::error::Error, "cannot store the schedules of the new tenants; trying again");
                    unfinished = true;
                }
            }
            Err(refusal) => error!(%refusal, "the tenants were not replaced; the former ones stay in force"),
        }
    }
}
