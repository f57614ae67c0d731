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

    /// The open subscriptions of a transport.
    #[must_use]
    pub fn open(&self, transport: &'static str) -> Gauge {
        self.open.get_or_create(&TransportLabel { transport }).clone()
    }

    /// The events that went by a transport.
    #[must_use]
    pub fn events(&self, transport: &'static str) -> Counter {
        self.events.get_or_create(&TransportLabel { transport }).clone()
    }
}
