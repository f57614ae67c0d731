//! Figures of the tasks of the background.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// A task, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabel {
    task: &'static str,
}

/// Counts how often tasks had to be started again.
#[derive(Clone, Debug, Default)]
pub struct TaskMetrics {
    restarts: Family<TaskLabel, Counter>,
}

impl TaskMetrics {
    /// Makes the figures known to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "quotagraph_task_restarts",
            "How often a task of the background, or a part of it, failed and was started again or left behind",
            metrics.restarts.clone(),
        );
        metrics
    }

    /// Counts a failure of a task.
    pub fn count_restart(&self, task: &'static str) {
        self.restarts.get_or_create(&TaskLabel { task }).inc();
    }

    /// How often a task failed.
    #[must_use]
    pub fn restarts(&self, task: &'static str) -> u64 {
        self.restarts.get_or_create(&TaskLabel { task }).get()
    }
}
