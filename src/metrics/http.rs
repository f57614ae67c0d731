//! Figures of the public side.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// An error code of the API, as a label; the codes are a closed list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: String,
}

/// Counts GraphQL requests and the errors in their answers.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    /// GraphQL requests answered.
    pub requests: Counter,
    /// How long they took, in seconds.
    pub duration: Histogram,
    /// Documents validated. Those that are known to be valid with such variables are not.
    pub validations: Counter,
    errors: Family<CodeLabel, Counter>,
}

impl HttpMetrics {
    /// Makes the figures known to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let buckets = [0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0];
        let metrics = Self {
            requests: Counter::default(),
            duration: Histogram::new(buckets),
            validations: Counter::default(),
            errors: Family::default(),
        };
        registry.register("quotagraph_graphql_requests", "GraphQL requests answered", metrics.requests.clone());
        registry.register("quotagraph_graphql_duration_seconds", "How long GraphQL requests took", metrics.duration.clone());
        registry.register(
            "quotagraph_graphql_validations",
            "GraphQL documents validated, which those that are known to be valid with such variables are not",
            metrics.validations.clone(),
        );
        registry.register("quotagraph_graphql_errors", "Errors in GraphQL answers, by code", metrics.errors.clone());
        metrics
    }

    /// Counts an error of an answer.
    pub fn count_error(&self, code: &str) {
        self.errors.get_or_create(&CodeLabel { code: code.to_owned() }).inc();
    }
}
