//! What is read again while a service runs: who may call, the tenants and the trusted documents. A bad version is refused and the old one stays.

use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::app::AppHandle;
use crate::config::{self, Auth, Config, SettingsWatch, TenantsWatch};
use crate::telemetry;

/// How often the config file is looked at: what is taken from a caller is in force within a second.
const LOOK_AT_CONFIG_EVERY: Duration = Duration::from_millis(400);

/// How often the files that tenants are made of, which may be many, and the one of trusted documents are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is needed to read things again.
pub(super) struct Reload {
    /// The settings as they were at the start.
    config: Config,
    /// Tells when a file of the tenants has changed.
    watch: TenantsWatch,
    /// Tells when somebody asks for it.
    hang_up: Signal,
    rules: Rules,
}

impl Reload {
    /// For a service with these settings. `watch` and `settings` began to watch before anything was read.
    pub(super) fn new(config: Config, watch: TenantsWatch, settings: SettingsWatch, hang_up: Signal) -> Self {
        let rules = Rules { settings, in_force: config.auth.clone(), named: Vec::new() };
        Self { config, watch, hang_up, rules }
    }
}

/// Reads things again on SIGHUP and when a file that they are made of has changed, until `over`.
pub(super) async fn keep_reloaded(handle: &AppHandle, reload: &mut Reload, over: &CancellationToken) {
    let Reload { config, watch, hang_up, rules } = reload;
    let mut look_at_config = every(LOOK_AT_CONFIG_EVERY);
    let mut look = every(LOOK_EVERY);
    // Tenants whose schedules could not be stored are stored with the next look.
    let mut unfinished = false;
    loop {
        let asked = tokio::select! {
            () = over.cancelled() => return,
            Some(()) = hang_up.recv() => true,
            _ = look_at_config.tick() => {
                if rules.settings.changed() {
                    rules.reload(handle, false);
                }
                continue;
            }
            _ = look.tick() => false,
        };
        if asked {
            // Looked at in any case, so that a change is not taken up twice.
            rules.settings.changed();
            rules.reload(handle, true);
            handle.refresh_keys();
        }
        if let Err(refusal) = handle.reload_documents(asked) {
            error!(%refusal, "the trusted documents were not replaced; the former ones stay in force");
        }
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

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Who may call, and what else the config says.
struct Rules {
    settings: SettingsWatch,
    in_force: Option<Auth>,
    /// The settings that were named last, because they need a restart.
    named: Vec<String>,
}

impl Rules {
    fn reload(&mut self, handle: &AppHandle, asked: bool) {
        let reread = match self.settings.reread(config::process_environment()) {
            Ok(reread) => reread,
            Err(refusal) => {
                error!(%refusal, "who may call was not replaced; the former rules stay in force");
                return;
            }
        };
        if reread.auth == self.in_force {
            if asked {
                info!("who may call is as it was");
            }
        } else {
            match handle.replace_auth(reread.auth.as_ref()) {
                Ok(()) => self.in_force = reread.auth,
                Err(refusal) => error!(%refusal, "who may call was not replaced; the former rules stay in force"),
            }
        }
        if (asked || reread.need_restart != self.named) && !reread.need_restart.is_empty() {
            let settings = reread.need_restart.join(", ");
            warn!(settings, "these settings have changed in the config, and count only after a restart");
            if let Some(refusal) = reread.would_not_start {
                warn!(%refusal, "the service would not start with the config as it is now");
            }
        }
        self.named = reread.need_restart;
    }
}
