//! Figures of the collector and of what it records.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::quota::recording::Effect;

/// What became of something, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    outcome: &'static str,
}

/// Counts attempts and what was recorded.
#[derive(Clone, Debug, Default)]
pub struct CollectorMetrics {
    attempts: Family<OutcomeLabel, Counter>,
    recorded: Family<OutcomeLabel, Counter>,
    /// Writes to the database that failed and are tried again.
    pub write_failures: Counter,
    /// Claims of due tenants that failed.
    pub claim_failures: Counter,
    /// Observations that wait to be written.
    pub pending: Gauge,
    /// By how many seconds the most overdue tenant is late.
    pub lag_seconds: Gauge,
}

impl CollectorMetrics {
    /// Makes the figures known to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "quotagraph_collector_attempts",
            "Attempts of the collector to ask a tenant's upstream",
            metrics.attempts.clone(),
        );
        registry.register(
            "quotagraph_recorded_samples",
            "Samples recorded, by their effect on the history",
            metrics.recorded.clone(),
        );
        registry.register(
            "quotagraph_record_failures",
            "Writes to the database that failed and are tried again",
            metrics.write_failures.clone(),
        );
        registry.register("quotagraph_claim_failures", "Claims of due tenants that failed", metrics.claim_failures.clone());
        registry.register("quotagraph_record_pending", "Observations that wait to be written", metrics.pending.clone());
        registry.register(
            "quotagraph_collector_lag_seconds",
            "By how much the most overdue tenant is late",
            metrics.lag_seconds.clone(),
        );
        metrics
    }

    /// Counts an attempt of the collector.
    pub fn count_attempt(&self, good: bool) {
        self.attempts.get_or_create(&OutcomeLabel { outcome: if good { "good" } else { "failed" } }).inc();
    }

    /// Counts a recorded sample.
    pub fn count(&self, effect: Effect) {
        let outcome = match effect {
            Effect::Conflict => "conflict",
            Effect::Changed => "changed",
            Effect::Extended => "extended",
            Effect::Unchanged => "unchanged",
        };
        self.recorded.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}
