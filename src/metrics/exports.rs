//! Figures of exports.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// How an export ended: `OK`, `FAILED`, `GONE` when the client went away or took nothing, `CUT` by the end of the service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// Counts exports by HTTP and what they gave.
#[derive(Clone, Debug)]
pub struct ExportMetrics {
    ended: Family<OutcomeLabel, Counter>,
    rows: Counter,
    bytes: Counter,
}

impl ExportMetrics {
    /// Makes the figures known to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self { ended: Family::default(), rows: Counter::default(), bytes: Counter::default() };
        registry.register("quotagraph_exports", "Exports that ended, by outcome", metrics.ended.clone());
        registry.register("quotagraph_export_rows", "Rows of whole exports", metrics.rows.clone());
        registry.register("quotagraph_export_bytes", "Bytes of whole exports, before encoding", metrics.bytes.clone());
        metrics
    }

    /// Counts an export that ended, with the rows and bytes of a whole one.
    pub fn count(&self, outcome: &'static str, (rows, bytes): (u64, u64)) {
        self.ended.get_or_create(&OutcomeLabel { outcome }).inc();
        self.rows.inc_by(rows);
        self.bytes.inc_by(bytes);
    }
}
