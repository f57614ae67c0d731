//! What the log is told of what clients can have happen as often as they like: one line at once, and then the count, once a minute.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How often the same thing is told.
const EVERY: Duration = Duration::from_mins(1);

/// Something that is told.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Happened>);

#[derive(Debug, Default)]
struct Happened {
    /// What was not told.
    count: usize,
    told: Option<Instant>,
}

impl Told {
    /// Notes that it happened so many times.
    pub(super) fn note(&self, times: usize) {
        self.0.lock().count += times;
    }

    /// How often it happened since it was told, if that is to be told now.
    pub(super) fn due(&self) -> Option<usize> {
        let mut happened = self.0.lock();
        if happened.count == 0 || happened.told.is_some_and(|told| told.elapsed() < EVERY) {
            return None;
        }
        happened.told = Some(Instant::now());
        Some(std::mem::take(&mut happened.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_told_at_once_and_then_once_a_minute() {
        let told = Told::default();
        assert_eq!(told.due(), None);
        told.note(2);
        assert_eq!((told.due(), told.due()), (Some(2), None));
        for _ in 0..1000 {
            told.note(3);
            assert_eq!(told.due(), None);
        }
        tokio::time::advance(EVERY).await;
        assert_eq!((told.due(), told.due()), (Some(3000), None));
    }
}
