//! What the service counts, for Prometheus.

mod upstream;

pub use upstream::UpstreamMetrics;
