//! What is read again while a service runs: who may call, the tenants and the trusted documents. A bad version is refused and the old one stays.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Fuse};
use tokio::signal::unix::Signal;
use tokio::task::block_in_place;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::app::AppHandle;
use crate::config::{self, Auth, Config, Version, Watch};
use crate::file_stamp::FileStamp;
use crate::telemetry;

/// How often the config file is looked at. A change counts with the second look, and what is taken from a caller is to be in force within a second.
const LOOK_AT_CONFIG_EVERY: Duration = Duration::from_millis(200);

/// How often the files of the tenants' secrets, which may be many, and the one of trusted documents are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long to wait before the database is told again of the tenants.
const REGISTER_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// What is needed to read things again.
pub(super) struct Reload {
    /// Tells when a file has changed, and reads it.
    watch: Watch,
    /// Tells when somebody asks for it.
    hang_up: Signal,
    in_force: InForce,
}

/// What was taken over last.
struct InForce {
    auth: Option<Auth>,
    /// Whether something of that was taken away by a version of which the rest is not in force.
    is_diminished: bool,
    /// Whether there was `[auth]` at the start, by which the hosts and the limit on requests were set.
    began_with_auth: bool,
    /// How the file of authorities was by which an issuer is trusted.
    authorities: Option<FileStamp>,
    /// The settings that were named last, because they need a restart.
    named: Vec<String>,
}

impl Reload {
    /// For a service with these settings. `watch` began before anything was read.
    pub(super) fn new(config: &Config, watch: Watch, hang_up: Signal) -> Self {
        let (auth, authorities) = (config.auth.clone(), authorities_of(config.auth.as_ref()));
        Self {
            watch,
            hang_up,
            in_force: InForce { began_with_auth: auth.is_some(), auth, is_diminished: false, authorities, named: Vec::new() },
        }
    }
}

/// Reads things again on SIGHUP and when a file that they are made of has changed, until `over`.
pub(super) async fn keep_reloaded(handle: &AppHandle, reload: &mut Reload, over: &CancellationToken) {
    let Reload { watch, hang_up, in_force } = reload;
    let mut look_at_config = every(LOOK_AT_CONFIG_EVERY);
    let mut look = every(LOOK_EVERY);
    // Beside all else: a database that is down must not hold up who may call.
    let mut registering: Fuse<BoxFuture<'_, ()>> = Fuse::terminated();
    loop {
        let (asked, all) = tokio::select! {
            () = over.cancelled() => return,
            () = &mut registering => continue,
            Some(()) = hang_up.recv() => (true, true),
            _ = look_at_config.tick() => {
                if !watch.has_changed() {
                    continue;
                }
                (false, false)
            }
            _ = look.tick() => {
                reload_documents(handle, false);
                if !block_in_place(|| watch.has_changed_secrets()) {
                    continue;
                }
                (false, true)
            }
        };
        if asked {
            reload_documents(handle, true);
            handle.refresh_keys();
        }
        // There may be many thousand tenants.
        match block_in_place(|| watch.read(all, config::process_environment())) {
            Ok(version) => {
                if in_force.take_over(handle, version, asked) {
                    watch.tenants_are_in_force();
                    registering = register(handle).boxed().fuse();
                }
            }
            Err(refusal) => {
                error!(%refusal, "who may call was not replaced; the former rules stay in force, and the tenants were not replaced");
            }
        }
    }
}

/// Has the database know the tenants, as soon as it can.
async fn register(handle: &AppHandle) {
    while let Err(cause) = handle.register_tenants().await {
        error!(error = telemetry::explain(&cause), "cannot store the schedules of the new tenants; trying again");
        sleep(REGISTER_AGAIN_AFTER).await;
    }
}

fn reload_documents(handle: &AppHandle, asked: bool) {
    if let Err(refusal) = handle.reload_documents(asked) {
        error!(%refusal, "the trusted documents were not replaced; the former ones stay in force");
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

fn authorities_of(auth: Option<&Auth>) -> Option<FileStamp> {
    FileStamp::of(auth?.jwt.as_ref()?.ca_file.as_ref()?)
}

impl InForce {
    /// Takes over a version of who may call and of the tenants, and tells whether the tenants were replaced.
    fn take_over(&mut self, handle: &AppHandle, version: Version, asked: bool) -> bool {
        let authorities = authorities_of(version.auth.as_ref());
        let is_new = self.is_diminished || version.auth != self.auth || authorities != self.authorities;
        if asked && !is_new {
            info!("who may call is as it was");
        }
        let auth = version.auth.as_ref();
        let (replaced, has_tenants) = match (is_new, version.tenants) {
            (false, None) => (Ok(()), false),
            (true, None) => (handle.replace_auth(auth), false),
            (false, Some(Ok(watched))) => {
                handle.watch_tenants(watched);
                (Ok(()), true)
            }
            (true, Some(Ok(watched))) => (handle.replace_auth_and_tenants(auth, watched), true),
            (_, Some(Err(refusal))) => {
                error!(%refusal, "the tenants were not replaced; the former ones stay in force");
                if is_new {
                    handle.take_back(auth);
                    self.is_diminished = true;
                    warn!("of who may call, only what is taken away is in force until the tenants are mended");
                }
                self.name_restarts(version.need_restart, version.would_not_start, asked);
                return false;
            }
        };
        if let Err(refusal) = &replaced {
            let former = if has_tenants { ", and the tenants were not replaced" } else { "" };
            error!(%refusal, "who may call was not replaced; the former rules stay in force{former}");
        } else {
            let has_auth = version.auth.is_some();
            if asked || has_auth != self.auth.is_some() {
                self.warn_of_hosts(has_auth);
            }
            (self.auth, self.authorities, self.is_diminished) = (version.auth, authorities, false);
        }
        self.name_restarts(version.need_restart, version.would_not_start, asked);
        replaced.is_ok() && has_tenants
    }

    /// What was made of whether there is `[auth]` stays as it was at the start.
    fn warn_of_hosts(&self, has_auth: bool) {
        match (self.began_with_auth, has_auth) {
            (false, true) => warn!(
                "[auth] is in force, but the service began without it: until a restart it may be called only by the hosts that are allowed without [auth] (server.hosts), and limits.requests_per_second is not in force"
            ),
            (true, false) => warn!(
                "the service began with [auth], which is gone: until a restart it may be called by the same hosts as before (server.hosts)"
            ),
            _ => {}
        }
    }

    fn name_restarts(&mut self, need_restart: Vec<String>, would_not_start: Option<config::ConfigError>, asked: bool) {
        if (asked || need_restart != self.named) && !need_restart.is_empty() {
            let settings = need_restart.join(", ");
            warn!(settings, "these settings have changed in the config, and take effect only after a restart");
            if let Some(refusal) = would_not_start {
                warn!(%refusal, "the service would not start with the config as it is now");
            }
        }
        self.named = need_restart;
    }
}
