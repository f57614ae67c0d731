//! The upstream client: one call is up to a few signed requests, with limits, a breaker and one time-out around them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::account::Account;
use super::breaker::{Breaker, Pass};
use super::dating::{Dating, Turn};
use super::exchange::{Transport, UpstreamAnswer, Way};
use super::host::Host;
use super::judge::judge;
use super::request::{SignedRequest, Unsendable, host_key, new_trace_id, sign_request};
use super::retry::wait_before;
use super::settings::Settings;
use super::verdict::{Cause, Limit, Verdict};
use crate::clock::SharedClock;
use crate::metrics::UpstreamMetrics;
use crate::quota::{SpaceAllocation, TenantId};
use crate::tls::BuildError;

/// The upstream client. Clones share connections, limits and what was learnt.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    transport: Transport,
    settings: Settings,
    clock: SharedClock,
    metrics: UpstreamMetrics,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    accounts: Mutex<HashMap<(TenantId, u64), Arc<Known>>>,
}

/// What is known of an account.
#[derive(Debug)]
struct Known {
    breaker: Arc<Breaker>,
    turn: Turn,
}

/// Why a call gave no allocation. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{verdict}")]
pub struct Failure {
    /// The verdict on the last answer, or on the call itself when nothing was sent.
    pub verdict: Verdict,
    /// The `X-Traceid` of the last request; `None` when none was sent.
    pub trace_id: Option<String>,
    /// How many requests were sent.
    pub attempts: u32,
    /// How long the call took.
    pub took: Duration,
}

/// What is known of a call that is under way.
#[derive(Debug, Default)]
struct Progress {
    attempts: u32,
    trace_id: Option<String>,
}

/// The verdict on one request.
struct Judged {
    outcome: Result<SpaceAllocation, Verdict>,
    /// Whether to send it once more with another date, since the upstream may have refused it for its date alone.
    is_redated: bool,
    /// Over which connection to send it once more: not over one that may be as dead as the one before.
    next_way: Way,
}

impl Client {
    /// Sets up a client. Nothing is sent.
    ///
    /// # Errors
    /// When the CA file cannot be used, or the transport cannot be set up.
    pub fn new(settings: &Settings, clock: SharedClock, metrics: UpstreamMetrics) -> Result<Self, BuildError> {
        let inner = Inner {
            transport: Transport::build(settings)?,
            settings: settings.clone(),
            clock,
            metrics,
            hosts: Mutex::default(),
            accounts: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Asks for a tenant's allocation. A failure is logged here, once. Dropping the future ends the call.
    ///
    /// # Errors
    /// [`Failure`] with the verdict.
    pub async fn space_allocation(&self, account: &Account) -> Result<SpaceAllocation, Failure> {
        let started = Instant::now();
        let mut progress = Progress::default();
        let outcome = self.call(account, started, &mut progress).await;
        let Progress { attempts, trace_id } = progress;
        let took = started.elapsed();
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Ok(allocation) => {
                tracing::debug!(tenant = %account.tenant, trace_id, attempts, duration_ms, "koodrive call answered");
                Ok(allocation)
            }
            Err(verdict) => {
                tracing::warn!(
                    tenant = %account.tenant,
                    trace_id,
                    attempts,
                    duration_ms,
                    code = verdict.code(),
                    verdict = %verdict,
                    "koodrive call failed"
                );
                Err(Failure { verdict, trace_id, attempts, took })
            }
        }
    }

    /// The request that a call would send now, for people to send by hand. Its headers prove who asks.
    ///
    /// # Errors
    /// When no request can be made for the account; the sentence says what to mend.
    pub fn signed_headers(&self, account: &Account) -> Result<SignedRequest, Unsendable> {
        let (host, now) = (self.host_of(account), self.inner.clock.now());
        let date = host.clock.date_for(host.clock.preferred(), now);
        sign_request(account, date, &new_trace_id(), &self.inner.settings.language)
    }

    /// Forgets what was learnt of accounts and hosts other than these. To be called when the accounts change.
    pub fn retain<'a>(&self, accounts: impl IntoIterator<Item = &'a Account>) {
        let mut known = HashSet::new();
        let mut hosts = HashSet::new();
        for account in accounts {
            known.insert((account.tenant.clone(), account.generation));
            hosts.insert(host_key(&account.endpoint));
        }
        self.inner.accounts.lock().retain(|key, _| known.contains(key));
        self.inner.hosts.lock().retain(|key, _| {
            let keep = hosts.contains(key);
            if !keep {
                self.inner.metrics.forget_host(key);
            }
            keep
        });
    }

    async fn call(&self, account: &Account, started: Instant, progress: &mut Progress) -> Result<SpaceAllocation, Verdict> {
        let Inner { settings, clock, metrics, .. } = &*self.inner;
        let deadline = started + settings.total_timeout;
        let host = self.host_of(account);
        let known = self.known(account);
        let pass = self.enter(&known)?;
        let mut dating = Dating::new(&host.clock, &known.turn);
        let mut repetitions = 0;
        let mut former: Option<Verdict> = None;
        let mut way = Way::Pooled;
        loop {
            let attempt = self.attempt(account, &host, deadline, progress, &mut dating, way).await;
            // When a repetition is not sent, the answer before it says more.
            let Judged { outcome, is_redated, next_way } = attempt.map_err(|withheld| former.take().unwrap_or(withheld))?;
            let may_go_on = pass.record(outcome.as_ref().err(), clock.now());
            let verdict = match outcome {
                Ok(allocation) => return Ok(allocation),
                Err(verdict) => verdict,
            };
            tracing::debug!(
                tenant = %account.tenant,
                trace_id = progress.trace_id,
                attempt = progress.attempts,
                verdict = %verdict,
                "koodrive request failed"
            );
            if !is_redated {
                let left = deadline.saturating_duration_since(Instant::now());
                let may_go_on = may_go_on && !pass.is_probe();
                let wait = wait_before(settings, &verdict, repetitions, left, rand::random()).filter(|_| may_go_on);
                let Some(wait) = wait else { return Err(verdict) };
                repetitions += 1;
                sleep(wait).await;
            }
            metrics.count_retry();
            former = Some(verdict);
            way = next_way;
        }
    }

    /// Sends one request, dated and signed anew. An error means that it was not sent.
    async fn attempt(
        &self,
        account: &Account,
        host: &Host,
        deadline: Instant,
        progress: &mut Progress,
        dating: &mut Dating<'_>,
        way: Way,
    ) -> Result<Judged, Verdict> {
        let Inner { transport, settings, clock, metrics, .. } = &*self.inner;
        let _permit = host.admit(deadline).await.inspect_err(|_| metrics.count_withheld("own_limit"))?;
        let trace_id = new_trace_id();
        let sent = clock.now();
        let unsendable = |why: Unsendable| Verdict::unreachable(Cause::Unsendable(why.0));
        let request = sign_request(account, dating.date(sent), &trace_id, &settings.language).map_err(unsendable)?;

        progress.attempts += 1;
        progress.trace_id = Some(trace_id);
        let started = Instant::now();
        let time_limit = settings.attempt_timeout.min(deadline.saturating_duration_since(started));
        let in_flight = metrics.start_request();
        let answer = transport.send(&host.connections, way, request, time_limit, clock).await;
        drop(in_flight);

        let next_way = if answer.as_ref().is_ok_and(UpstreamAnswer::is_whole) { Way::Pooled } else { Way::Fresh };
        let (outcome, is_redated) = match answer {
            Ok(answer) => {
                let received = answer.received;
                if let Some(upstream_date) = answer.date {
                    host.clock.observe(upstream_date, sent, received);
                    host.clock.seconds_ahead(received).inspect(|s| metrics.show_clock_offset(&host.name, *s));
                }
                let outcome = judge(answer).map(|by_type| SpaceAllocation::new(received, by_type));
                let is_redated = match &outcome {
                    Err(Verdict::Refused(_)) => dating.was_refused(),
                    // Whoever answers as KooDrive has looked at the date.
                    Ok(_) | Err(Verdict::Business { .. }) => {
                        dating.was_taken();
                        false
                    }
                    _ => false,
                };
                (outcome, is_redated)
            }
            Err(cause) => (Err(Verdict::unreachable(cause)), false),
        };
        metrics.count_request(outcome.as_ref().err().map_or("good", Verdict::name), started.elapsed());
        Ok(Judged { outcome, is_redated, next_way })
    }

    fn known(&self, account: &Account) -> Arc<Known> {
        let Inner { settings, accounts, .. } = &*self.inner;
        let new = || Known { breaker: Breaker::new(settings.breaker_failures, settings.breaker_open_for), turn: Turn::default() };
        let key = (account.tenant.clone(), account.generation);
        Arc::clone(accounts.lock().entry(key).or_insert_with(|| Arc::new(new())))
    }

    fn enter(&self, known: &Known) -> Result<Pass, Verdict> {
        let Inner { clock, metrics, .. } = &*self.inner;
        known.breaker.enter(clock.now()).inspect_err(|verdict| {
            let paused = matches!(verdict, Verdict::Overloaded { by: Limit::RetryAfter, .. });
            metrics.count_withheld(if paused { "retry_after" } else { "breaker" });
        })
    }

    fn host_of(&self, account: &Account) -> Arc<Host> {
        let key = host_key(&account.endpoint);
        let mut hosts = self.inner.hosts.lock();
        Arc::clone(hosts.entry(key).or_insert_with_key(|key| Arc::new(Host::new(key.clone(), &self.inner.settings))))
    }
}
