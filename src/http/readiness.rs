//! Whether the service can do its work, or why not.

use std::time::Duration;

use jiff::SignedDuration;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::access::{Gate, IssuerState};
use crate::clock::SharedClock;
use crate::metrics::CollectorMetrics;
use crate::store::SharedStore;
use crate::supervisor::Supervisor;
use crate::telemetry;

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What readiness depends on.
pub struct Readiness {
    /// The database.
    pub store: SharedStore,
    /// The time.
    pub clock: SharedClock,
    /// How late the most overdue tenant may be; `None` when this process does not collect.
    pub lag_at_most: Option<SignedDuration>,
    /// Where the lag is shown.
    pub metrics: CollectorMetrics,
    /// What knows of tasks that failed.
    pub supervisor: Supervisor,
    /// The end is near: whoever balances should send nothing more.
    pub draining: CancellationToken,
}

#[derive(Serialize)]
pub(super) struct Report {
    pub(super) ready: bool,
    checks: Checks,
}

#[derive(Serialize)]
struct Checks {
    #[serde(skip_serializing_if = "Option::is_none")]
    ending: Option<Check>,
    database: Check,
    #[serde(skip_serializing_if = "Option::is_none")]
    collector: Option<Check>,
    /// Only there when a task of the background failed lately.
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks: Option<Check>,
    /// The keys of the tokens' issuer, where tokens count.
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<Check>,
    /// Only there when nobody can be let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    callers: Option<Check>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<i64>,
}

impl Check {
    fn good() -> Self {
        Self { ok: true, reason: None, lag_seconds: None }
    }

    fn bad(reason: impl Into<String>) -> Self {
        Self { ok: false, reason: Some(reason.into()), lag_seconds: None }
    }
}

impl Readiness {
    /// What there is to say, and whether the service can do its work.
    pub(super) async fn report(&self, gate: &Gate) -> Report {
        let database = self.check_database().await;
        let collector = match self.lag_at_most {
            Some(limit) if database.ok => Some(self.check_collector(limit).await),
            _ => None,
        };
        let ending = self.draining.is_cancelled().then(|| Check::bad("the service is about to stop; send it no more requests"));
        let trouble = self.supervisor.trouble();
        let tasks_will_do = trouble.as_ref().is_none_or(|trouble| !trouble.is_essential);
        let tasks = trouble.map(|trouble| Check::bad(trouble.reason));
        let issuer = gate.issuer().map(check_issuer);
        // Whoever has an API key can be served without the issuer; where nobody can, there is nothing to be ready for.
        let lets_in = gate.lets_in();
        let callers =
            (!lets_in).then(|| Check::bad("nobody can call: there is no API key (auth.keys) and no usable key of an issuer"));
        let ready = ending.is_none() && database.ok && collector.as_ref().is_none_or(|check| check.ok) && tasks_will_do && lets_in;
        Report { ready, checks: Checks { ending, database, collector, tasks, issuer, callers } }
    }
}

fn check_issuer(keys: IssuerState) -> Check {
    match keys {
        IssuerState::Reached => Check::good(),
        IssuerState::Away => {
            let reason = "the issuer's keys cannot be fetched; the former ones are used (auth.jwt.keys_kept_for); the log says why";
            Check { reason: Some(reason.to_owned()), ..Check::good() }
        }
        IssuerState::Empty => {
            Check::bad("the issuer has no public key for RS256, ES256 or EdDSA, so that all tokens are rejected; the log says more")
        }
        IssuerState::Unknown => {
            Check::bad("there are no keys of the issuer that may be used, so that all tokens are rejected; the log says why")
        }
    }
}

impl Readiness {
    async fn check_database(&self) -> Check {
        match tokio::time::timeout(PATIENCE, self.store.ping()).await {
            Ok(Ok(())) => Check::good(),
            Ok(Err(error)) => {
                warn!(error = telemetry::explain(&error), "not ready: the database cannot be used");
                Check::bad("the database cannot be used; the log says why")
            }
            Err(_) => Check::bad(format!("the database did not answer within {} s", PATIENCE.as_secs())),
        }
    }

    async fn check_collector(&self, limit: SignedDuration) -> Check {
        match self.store.earliest_due().await {
            Ok(due) => {
                let lag = due.map_or(SignedDuration::ZERO, |due| self.clock.now().duration_since(due)).max(SignedDuration::ZERO);
                self.metrics.lag_seconds.set(lag.as_secs());
                let check = if lag <= limit {
                    Check::good()
                } else {
                    Check::bad(format!("the most overdue tenant is late by more than {} s", limit.as_secs()))
                };
                Check { lag_seconds: Some(lag.as_secs()), ..check }
            }
            Err(error) => {
                warn!(error = telemetry::explain(&error), "not ready: the schedule cannot be read");
                Check::bad("the schedule cannot be read; the log says why")
            }
        }
    }
}
