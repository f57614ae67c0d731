//! Keeps the tasks of the background alive, and tells of those that do not live well.
//!
//! A task that panics, or that ends although nobody told it to, is started again after a pause that grows with each time. Nothing of this is
//! silent: it is logged, counted by `quotagraph_task_restarts_total`, and shown by `/readyz` until the task has run well for a while.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::metrics::TaskMetrics;

/// The pause before a task is started again for the first time; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The pause that is not exceeded.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A task that has run for so long is well again.
const WELL_AFTER: Duration = Duration::from_mins(2);

/// What the service is without a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Not able to do its work: it is not ready while the task is down.
    Essential,
    /// Able to answer, for a while at least. A fault that hits every replica in its housekeeping must not take all of them away.
    Housekeeping,
}

/// A task of the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its name in the log, the metrics and `/readyz`.
    pub name: &'static str,
    /// What the service is without it.
    pub weight: Weight,
}

impl Task {
    /// A task without which the service is not ready.
    #[must_use]
    pub const fn essential(name: &'static str) -> Self {
        Self { name, weight: Weight::Essential }
    }

    /// A task without which the service can answer.
    #[must_use]
    pub const fn housekeeping(name: &'static str) -> Self {
        Self { name, weight: Weight::Housekeeping }
    }
}

/// Keeps tasks alive. Cheap to clone; clones share what is known of the tasks.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    metrics: TaskMetrics,
    unwell: Arc<Mutex<BTreeMap<&'static str, Unwell>>>,
}

/// A task that failed lately.
#[derive(Clone, Copy, Debug)]
struct Unwell {
    weight: Weight,
    /// How often in a row.
    failures: u32,
}

/// The tasks that failed lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Whether one of them is essential.
    pub is_essential: bool,
    /// Which, and how often; fit for `/readyz`.
    pub reason: String,
}

impl Supervisor {
    /// A supervisor that counts with these metrics.
    #[must_use]
    pub fn new(metrics: TaskMetrics) -> Self {
        Self { metrics, unwell: Arc::default() }
    }

    /// Runs a task until `stop`: whenever what `start` gives panics or ends before, it is started anew after a pause.
    pub async fn keep<F: Future<Output = ()>>(&self, task: Task, stop: CancellationToken, mut start: impl FnMut() -> F) {
        let mut failures = 0;
        loop {
            let started = Instant::now();
            let mut running = std::pin::pin!(AssertUnwindSafe(async { start().await }).catch_unwind());
            let outcome = if let Ok(outcome) = timeout(WELL_AFTER, &mut running).await {
                outcome
            } else {
                self.forget(task);
                running.await
            };
            if stop.is_cancelled() && outcome.is_ok() {
                return;
            }
            failures = if started.elapsed() >= WELL_AFTER { 1 } else { failures + 1 };
            let pause = self.note(task, failures, &outcome);
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Notes that a part of a task failed that the task itself goes on without.
    pub fn note_part(&self, task: Task, panic: &(dyn Any + Send)) {
        self.metrics.count_restart(task.name);
        error!(task = task.name, panic = describe(panic), "a part of a task failed; the task goes on without it");
    }

    /// The tasks that failed lately; `None` when all are well.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        let unwell = self.unwell.lock();
        let of_task = |(name, task): (&&str, &Unwell)| match task.failures {
            1 => format!("the task {name} failed and was started again"),
            times => format!("the task {name} failed {times} times in a row and is started again and again"),
        };
        let reasons: Vec<_> = unwell.iter().map(of_task).collect();
        let is_essential = unwell.values().any(|task| task.weight == Weight::Essential);
        (!reasons.is_empty()).then(|| Trouble { is_essential, reason: format!("{}; the log says why", reasons.join(", ")) })
    }

    /// Notes a failure and says how long to wait.
    fn note(&self, task: Task, failures: u32, outcome: &Result<(), Box<dyn Any + Send>>) -> Duration {
        self.metrics.count_restart(task.name);
        self.unwell.lock().insert(task.name, Unwell { weight: task.weight, failures });
        let doublings = failures.saturating_sub(1).min(16);
        let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Ok(()) => error!(task = task.name, failures, pause_ms, "a task has ended by itself; it is started again after a pause"),
            Err(panic) => {
                let panic = describe(&**panic);
                error!(task = task.name, failures, pause_ms, panic, "a task panicked; it is started again after a pause");
            }
        }
        pause
    }

    fn forget(&self, task: Task) {
        self.unwell.lock().remove(task.name);
    }
}

/// What a panic said.
#[must_use]
pub fn describe(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it said nothing")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_panics_or_ends_is_started_again_after_a_growing_pause_and_is_shown_until_it_is_well() {
        let (supervisor, stop) = (Supervisor::default(), CancellationToken::new());
        let starts = AtomicU32::new(0);
        let begin = Instant::now();
        let task = Task::essential("packing");
        let work = || async {
            match starts.fetch_add(1, Ordering::Relaxed) {
                0 => panic!("no {}", "luck"),
                1 => {}
                2 => panic!("none"),
                _ => {
                    assert_eq!(begin.elapsed(), Duration::from_millis(500 + 1000 + 2000));
                    assert_eq!(supervisor.metrics.restarts("packing"), 3);
                    let trouble = supervisor.trouble().unwrap();
                    assert!(trouble.is_essential && trouble.reason.contains("packing failed 3 times"), "{trouble:?}");
                    sleep(WELL_AFTER + Duration::from_secs(1)).await;
                    assert_eq!(supervisor.trouble(), None, "it has run well for a while");
                    stop.cancel();
                }
            }
        };
        supervisor.keep(task, stop.clone(), work).await;
        assert_eq!(starts.load(Ordering::Relaxed), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_pause_and_what_ends_with_it_is_no_failure() {
        let (supervisor, stop) = (Supervisor::default(), CancellationToken::new());
        let sleeping = supervisor.keep(Task::housekeeping("sleeper"), stop.clone(), || stop.cancelled());
        let failing = supervisor.keep(Task::housekeeping("failing"), stop.clone(), || async { panic!("always") });
        let ending = async {
            sleep(Duration::from_mins(10)).await;
            stop.cancel();
        };
        tokio::join!(sleeping, failing, ending);
        let trouble = supervisor.trouble().unwrap();
        assert!(!trouble.is_essential && !trouble.reason.contains("sleeper"), "{trouble:?}");
        assert_eq!(supervisor.metrics.restarts("sleeper"), 0);
        // 0.5, 1, 2, … 32 s, and then once a minute.
        assert!((14..=17).contains(&supervisor.metrics.restarts("failing")), "{}", supervisor.metrics.restarts("failing"));
    }
}
