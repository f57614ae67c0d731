//! The figures that `/metrics` shows, one struct per subject. Names follow Prometheus: `quotagraph_<what>_<unit>`.

mod answers;
mod cache;
mod collector;
mod exports;
mod http;
mod subscriptions;
mod tasks;
mod upstream;

pub use answers::AnswerMetrics;
pub use cache::CacheMetrics;
pub use collector::CollectorMetrics;
pub use exports::ExportMetrics;
pub use http::HttpMetrics;
use prometheus_client::registry::Registry;
pub use subscriptions::SubscriptionMetrics;
pub use tasks::TaskMetrics;
pub use upstream::UpstreamMetrics;

/// All figures of one service, and the registry that prints them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// The answer cache.
    pub answers: AnswerMetrics,
    /// The allocation cache.
    pub cache: CacheMetrics,
    pub collector: CollectorMetrics,
    pub exports: ExportMetrics,
    /// The public side.
    pub http: HttpMetrics,
    pub subscriptions: SubscriptionMetrics,
    /// The tasks of the background.
    pub tasks: TaskMetrics,
    /// The upstream client.
    pub upstream: UpstreamMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let answers = AnswerMetrics::register(&mut registry);
        let cache = CacheMetrics::register(&mut registry);
        let collector = CollectorMetrics::register(&mut registry);
        let exports = ExportMetrics::register(&mut registry);
        let http = HttpMetrics::register(&mut registry);
        let subscriptions = SubscriptionMetrics::register(&mut registry);
        let tasks = TaskMetrics::register(&mut registry);
        let upstream = UpstreamMetrics::register(&mut registry);
        Self { registry, answers, cache, collector, exports, http, subscriptions, tasks, upstream }
    }
}

impl Metrics {
    /// The figures in the text format of `OpenMetrics`.
    ///
    /// # Errors
    /// When a figure cannot be written, which is a fault of ours.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// The figures in the text format of Prometheus, version 0.0.4.
    ///
    /// # Errors
    /// As [`Metrics::encode`].
    pub fn encode_as_text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::prometheus_text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
