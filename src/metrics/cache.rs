//! Figures of the allocation cache.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Counts how reads were answered. Each read of a tenant counts once among hits, stale answers and misses.
#[derive(Clone, Debug, Default)]
pub struct CacheMetrics {
    /// Reads answered from memory within the fresh limit.
    pub hits: Counter,
    /// Reads answered with a value past the fresh limit or from the database.
    pub stale: Counter,
    /// Reads that had to wait for the database or the upstream.
    pub misses: Counter,
    /// Waits that joined a call which another reader had started.
    pub coalesced: Counter,
}

impl CacheMetrics {
    /// Makes the figures known to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("quotagraph_cache_hits", "Reads answered from memory within the fresh limit", metrics.hits.clone());
        registry.register(
            "quotagraph_cache_stale_answers",
            "Reads answered with a value past the fresh limit or from the database",
            metrics.stale.clone(),
        );
        registry.register(
            "quotagraph_cache_misses",
            "Reads that had to wait for the database or the upstream",
            metrics.misses.clone(),
        );
        registry.register(
            "quotagraph_cache_coalesced_waits",
            "Waits that joined a call which another reader had started",
            metrics.coalesced.clone(),
        );
        metrics
    }
}
