//! A service's life in a process: signals, and what is read again while it runs.

use std::process::ExitCode;

use tokio::signal::unix::SignalKind;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Failed;
use super::reloading::{Reload, keep_reloaded};
use super::signals::{Signals, exit_code_of};
use crate::app::App;
use crate::supervisor::Task;

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
        first = signals.next() => {
            let ending = async {
                if first == SignalKind::terminate() {
                    info!("draining: readiness fails, and everything is served on for a while");
                    handle.drain().await;
                }
                info!("shutting down");
                handle.stop();
                std::future::pending::<()>().await;
            };
            tokio::select! {
                outcome = &mut running => outcome,
                () = ending => unreachable!("it only begins the end"),
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
