//! A service's life in a process: signals, and tenants and trusted documents that change while it runs.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::Failed;
use super::signals::{Signals, exit_code_of};
use crate::app::{App, AppHandle};
use crate::config::{self, Config, TenantsWatch};
use crate::supervisor::Task;
use crate::telemetry;

/// How often the files that tenants are made of, and the one of trusted documents, are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is needed to read tenants and trusted documents again.
pub(super) struct Reload {
    /// The settings; they stay as they are.
    pub config: Config,
    /// Tells when a file has changed.
    pub watch: TenantsWatch,
    /// Tells when somebody asks for it.
    pub hang_up: Signal,
}

/// Runs a service until a signal and through its orderly end. A second signal ends it at once, with what is pending unwritten and the
/// signal's exit code.
pub(super) async fn run_service(app: App, mut signals: Signals, reload: Option<Reload>) -> Result<ExitCode, Failed> {
    let handle = app.handle();
    let over = CancellationToken::new();
    let reloading = reload.map(|reload| {
        let (handle, over, reload) = (handle.clone(), over.clone(), Mutex::new(reload));
        tokio::spawn(async move {
            let start = || async { keep_reloaded(&handle, &mut *reload.lock().await, &over).await };
            handle.supervisor().keep(Task::housekeeping("reloading"), over.clone(), start).await;
        })
    });
    let mut running = std::pin::pin!(app.run());
    let outcome = tokio::select! {
        outcome = &mut running => outcome,
        _ = signals.next() => {
            info!("shutting down");
            handle.stop();
            tokio::select! {
                outcome = &mut running => outcome,
                second = signals.next() => {
                    warn!("told to end at once; what was under way is cut off");
                    return Ok(exit_code_of(second));
                }
            }
        }
    };
    over.cancel();
    if let Some(reloading) = reloading {
        reloading.await?;
    }
    outcome?;
    info!("everything is written; bye");
    Ok(ExitCode::SUCCESS)
}

/// Reads tenants and trusted documents again on SIGHUP and when a file that they are made of has changed. A bad version is refused and the old one
/// stays.
async fn keep_reloaded(handle: &AppHandle, reload: &mut Reload, over: &CancellationToken) {
    let Reload { config, watch, hang_up } = reload;
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
        if let Err(refusal) = handle.reload_documents(asked) {
            error!(%refusal, "the trusted documents were not replaced; the former ones stay in force");
        }
        // Looked at in any case, so that a change is not taken up twice.
        let changed = watch.changed();
        if !(asked || changed || unfinished) {
            continue;
        }
        unfinished = false;
        match config::reload_tenants(config, config::process_environment()) {
            Ok(watched) => {
                if let Err(cause) = handle.replace_tenants(watched).await {
                    let error = telemetry::explain(&cause);
                    error!(error, "cannot store the schedules of the new tenants; trying again");
                    unfinished = true;
                }
            }
            Err(refusal) => error!(%refusal, "the tenants were not replaced; the former ones stay in force"),
        }
    }
}
