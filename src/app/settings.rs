//! The config's sections as the parts want them.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::SignedDuration;

use crate::access::{self, ConcurrencySettings};
use crate::config::{Auth, Config, Listen, TrustedDocuments};
use crate::graphql::{DocumentLimits, TextLimits};
use crate::http::{DocumentSettings, Hosts, RequestLimits};
use crate::origin::Authority;
use crate::proxy::Proxies;
use crate::quota::retention::Grain;
use crate::retention::Ages;
use crate::{allocations, collector, koodrive, listener};

/// Readiness fails when a tenant is later than this: two intervals, since one slot may be missed without harm.
pub(super) fn longest_lag(config: &Config) -> SignedDuration {
    (signed(config.collector.interval) * 2).max(SignedDuration::from_secs(30))
}

/// What the texts of documents and JSON may have.
fn text_limits(config: &Config) -> TextLimits {
    TextLimits { tokens: config.limits.tokens, nesting: config.limits.nesting }
}

pub(super) fn document_limits(config: &Config) -> DocumentLimits {
    let limits = &config.limits;
    DocumentLimits {
        depth: limits.depth,
        complexity: limits.complexity,
        aliases: limits.aliases,
        root_fields: limits.root_fields,
        directives: limits.directives,
        text: text_limits(config),
        introspection: config.graphql.introspection,
    }
}

/// The settings of the documents that clients need not send.
#[must_use]
pub fn document_settings(config: &Config) -> DocumentSettings<'_> {
    let graphql = &config.graphql;
    DocumentSettings {
        trusted: graphql.trusted_file(),
        only: graphql.trusted_documents == TrustedDocuments::Only,
        remembered_bytes: graphql.persisted_queries_bytes,
        limits: text_limits(config),
    }
}

pub(super) fn request_limits(config: &Config) -> RequestLimits {
    let limits = &config.limits;
    RequestLimits {
        body_bytes: limits.body_bytes,
        batch: limits.batch,
        text: text_limits(config),
        answer_bytes: limits.answer_bytes,
        work: limits.work,
        complexity: limits.complexity,
        timeout: limits.request_timeout,
    }
}

/// The hosts by which the service may be called. Where nobody has to prove anything, those that no page can make its own.
pub(super) fn allowed_hosts(config: &Config) -> Hosts {
    let unproven = config.auth.is_none();
    if !unproven && config.server.hosts.is_empty() {
        return Hosts::any();
    }
    let listen = match &config.server.listen {
        // Whoever calls by it is on this machine.
        Listen::Unix(_) => "localhost:0".to_owned(),
        listen => listen.to_string(),
    };
    only_hosts(config, &listen, unproven)
}

/// The hosts by which the address for the figures alone may be called: nobody has to prove anything there.
pub(super) fn allowed_metrics_hosts(config: &Config, listen: SocketAddr) -> Hosts {
    if config.server.hosts.is_empty() && !listen.ip().is_loopback() {
        return Hosts::any();
    }
    only_hosts(config, &listen.to_string(), true)
}

fn only_hosts(config: &Config, listen: &str, unproven: bool) -> Hosts {
    let own = Authority::parse(listen).map(|authority| authority.host);
    let mut names = config.server.hosts.clone();
    names.extend(listen.rsplit_once(':').map(|(host, _)| host.to_owned()));
    Hosts::only(names, !own.is_some_and(|host| host.is_loopback()), unproven)
}

pub(super) fn connection_settings(config: &Config) -> listener::Settings {
    let reserve =
        config.upstream.concurrency.saturating_add(usize::try_from(config.database.max_connections).unwrap_or(usize::MAX));
    listener::Settings {
        header_timeout: config.server.header_timeout,
        keep_alive: config.server.keep_alive,
        stall_timeout: config.limits.stall_timeout,
        connections: listener::fitting_connections(config.server.connections, reserve),
    }
}

/// How callers prove who they are.
pub(super) fn gate_settings(config: &Config) -> access::Settings {
    let requests_per_second = config.limits.requests_per_second.map(at_least_one).filter(|_| config.auth.is_some());
    access::Settings { requests_per_second, ..auth_settings(config.auth.as_ref(), &config.environment_proxies) }
}

/// The same, of what may change while the service runs.
pub(super) fn auth_settings(auth: Option<&Auth>, environment: &Proxies) -> access::Settings {
    let Some(auth) = auth else { return access::Settings::default() };
    access::Settings {
        keys: auth.api_keys(),
        tokens: auth.token_settings(environment),
        failed_attempts_per_minute: Some(at_least_one(auth.failed_attempts_per_minute)),
        requests_per_second: None,
    }
}

pub(super) fn subscription_limits(config: &Config) -> ConcurrencySettings {
    let limits = &config.limits;
    ConcurrencySettings { name: "subscriptions", total: limits.subscriptions, per_principal: limits.subscriptions_per_principal }
}

pub(super) fn socket_limits(config: &Config) -> ConcurrencySettings {
    ConcurrencySettings { name: "sockets", total: config.limits.sockets, per_principal: config.limits.sockets_per_principal }
}

pub(super) fn at_least_one(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

/// The upstream client's settings.
#[must_use]
pub fn koodrive_settings(config: &Config) -> koodrive::Settings {
    let upstream = &config.upstream;
    koodrive::Settings {
        connect_timeout: upstream.connect_timeout,
        attempt_timeout: upstream.attempt_timeout,
        total_timeout: upstream.total_timeout,
        retries: upstream.retries,
        requests_per_second: upstream.requests_per_second,
        concurrency: u32::try_from(upstream.concurrency).unwrap_or(u32::MAX),
        language: upstream.language.clone(),
        proxies: upstream.proxy.proxies(&config.environment_proxies),
        ca_file: upstream.ca_file.clone(),
        breaker_failures: upstream.breaker_failures,
        breaker_open_for: upstream.breaker_open_for,
        ..koodrive::Settings::default()
    }
}

pub(super) fn cache_settings(config: &Config) -> allocations::Settings {
    allocations::Settings {
        fresh_for: signed(config.cache.fresh_for),
        stale_for: signed(config.cache.stale_for),
        max_tenants: config.cache.max_tenants,
        interval_s: interval_s(config),
    }
}

pub(super) fn collector_settings(config: &Config) -> collector::Settings {
    collector::Settings {
        interval_s: interval_s(config),
        concurrency: config.collector.concurrency,
        longest_ask: signed(config.upstream.total_timeout),
    }
}

/// How old history may become.
pub(super) fn retention_ages(config: &Config) -> Ages {
    let grain = if config.retention.thins_to_hours() { Grain::Hour } else { Grain::Day };
    Ages {
        keep_for: config.retention.keep_for.map(signed),
        thin_after: config.retention.thin_after.map(|after| (signed(after), grain)),
    }
}

/// The collector's interval; the config holds it within one second and one day.
pub(super) fn interval_s(config: &Config) -> u32 {
    u32::try_from(config.collector.interval.as_secs()).unwrap_or(u32::MAX).max(1)
}

pub(super) fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
