//! Figures of the answer cache.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Counts how often a finished answer was there. Each request that may be answered so counts once.
#[derive(Clone, Debug, Default)]
pub struct AnswerMetrics {
    /// Answered with a finished answer.
    pub hits: Counter,
    /// There was one, but what it was made from had changed or was no longer fresh.
    pub outdated: Counter,
    /// There was none.
    pub misses: Counter,
    /// Answers that may be kept were encoded, once for each encoding.
    pub encodings: Counter,
}

impl AnswerMetrics {
    /// Makes the figures known to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("quotagraph_answer_hits", "Requests answered with a finished answer", metrics.hits.clone());
        registry.register(
            "quotagraph_answer_outdated",
            "Requests whose finished answer was no longer valid",
            metrics.outdated.clone(),
        );
        registry.register("quotagraph_answer_misses", "Requests for which there was no finished answer", metrics.misses.clone());
        registry.register(
            "quotagraph_answer_encodings",
            "Finished answers encoded; each counts once for an encoding",
            metrics.encodings.clone(),
        );
        metrics
    }
}
