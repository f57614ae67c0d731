//! Figures of subscriptions.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// How events travel, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransportLabel {
    transport: &'static str,
}

/// Counts subscriptions and their events.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionMetrics {
    open: Family<TransportLabel, Gauge>,
    events: Family<TransportLabel, Counter>,
}

impl SubscriptionMetrics {
    /// Makes the figures known to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("quotagraph_subscriptions", "Subscriptions that are open", metrics.open.clone());
        registry.register("quotagraph_subscription_events", "Events handed to subscribers", metrics.events.clone());
        metrics
    }

    /// Counts a subscription by a transport as open, until what this gives is dropped.
    #[must_use]
    pub fn begin(&self, transport: &'static str) -> OpenSubscription {
        let label = TransportLabel { transport };
        let open = self.open.get_or_create(&label).clone();
        open.inc();
        OpenSubscription { open, events: self.events.get_or_create(&label).clone() }
    }

    /// How many subscriptions by a transport are open.
    #[must_use]
    pub fn count_open(&self, transport: &'static str) -> i64 {
        self.open.get_or_create(&TransportLabel { transport }).get()
    }
}

/// A subscription that is open.
#[derive(Debug)]
pub struct OpenSubscription {
    open: Gauge,
    events: Counter,
}

impl OpenSubscription {
    pub fn count_event(&self) {
        self.events.inc();
    }
}

impl Drop for OpenSubscription {
    fn drop(&mut self) {
        self.open.dec();
    }
}
