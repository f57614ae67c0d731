//! What is counted of the calls to the upstream.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of the request durations, in seconds: from a call inside a data centre to the longest time-outs.
const DURATION_BUCKETS_S: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The counters of the upstream client. Clones count into the same place.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics {
    requests: Family<RequestLabels, Counter>,
    duration: Histogram,
    retries: Counter,
    withheld: Family<WithheldLabels, Counter>,
    in_flight: Gauge,
    clock_offset: Family<HostLabels, Gauge<f64, AtomicU64>>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    verdict: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WithheldLabels {
    by: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct HostLabels {
    host: String,
}

impl UpstreamMetrics {
    /// Makes the counters and adds them to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Histogram::new(DURATION_BUCKETS_S),
            retries: Counter::default(),
            withheld: Family::default(),
            in_flight: Gauge::default(),
            clock_offset: Family::default(),
        };
        registry.register("quotagraph_upstream_requests", "Requests sent to KooDrive, by verdict", metrics.requests.clone());
        registry.register_with_unit(
            "quotagraph_upstream_request_duration",
            "From sending a request to KooDrive to the end of its answer",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register(
            "quotagraph_upstream_retries",
            "Requests to KooDrive that repeat a failed one of the same call",
            metrics.retries.clone(),
        );
        registry.register(
            "quotagraph_upstream_withheld_calls",
            "Calls to KooDrive that failed without a request being sent",
            metrics.withheld.clone(),
        );
        registry.register("quotagraph_upstream_in_flight_requests", "Requests to KooDrive under way", metrics.in_flight.clone());
        registry.register_with_unit(
            "quotagraph_upstream_clock_offset",
            "How far the upstream's clock is ahead of ours, at the least",
            Unit::Seconds,
            metrics.clock_offset.clone(),
        );
        metrics
    }

    /// Counts a request as under way until the guard goes.
    pub(crate) fn start_request(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Counts a request that has ended, by the name of its verdict.
    pub(crate) fn count_request(&self, verdict: &'static str, took: Duration) {
        self.requests.get_or_create(&RequestLabels { verdict }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Counts a request that repeats a failed one.
    pub(crate) fn count_retry(&self) {
        self.retries.inc();
    }

    /// Counts a call that was not sent, by what held it back.
    pub(crate) fn count_withheld(&self, by: &'static str) {
        self.withheld.get_or_create(&WithheldLabels { by }).inc();
    }

    /// Shows how far a host's clock is ahead of ours.
    pub(crate) fn show_clock_offset(&self, host: &str, seconds: f64) {
        self.clock_offset.get_or_create(&HostLabels { host: host.to_owned() }).set(seconds);
    }

    /// Forgets a host that is no longer called.
    pub(crate) fn forget_host(&self, host: &str) {
        self.clock_offset.remove(&HostLabels { host: host.to_owned() });
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_follow_prometheus() {
        let mut registry = Registry::default();
        let metrics = UpstreamMetrics::register(&mut registry);
        let running = metrics.start_request();
        metrics.count_request("good", Duration::from_millis(20));
        metrics.count_retry();
        metrics.count_withheld("own_limit");
        metrics.show_clock_offset("koodrive.example:443", -1.5);

        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "quotagraph_upstream_requests_total{verdict=\"good\"} 1",
            "quotagraph_upstream_request_duration_seconds_bucket{le=\"0.025\"} 1",
            "quotagraph_upstream_retries_total 1",
            "quotagraph_upstream_withheld_calls_total{by=\"own_limit\"} 1",
            "quotagraph_upstream_in_flight_requests 1",
            "quotagraph_upstream_clock_offset_seconds{host=\"koodrive.example:443\"} -1.5",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }

        drop(running);
        metrics.forget_host("koodrive.example:443");
        text.clear();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("quotagraph_upstream_in_flight_requests 0"));
        assert!(!text.contains("koodrive.example"));
    }
}
