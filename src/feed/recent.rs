//! The newest changes, in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;

use crate::store::RecordedChange;

/// Changes that are kept at most: about half a megabyte.
const KEPT: usize = 2048;

/// All changes after one place up to another.
pub(super) struct Recent {
    after: Timestamp,
    read_to: Timestamp,
    changes: VecDeque<Arc<RecordedChange>>,
}

impl Recent {
    /// Nothing yet, from a place on.
    pub(super) fn after(place: Timestamp) -> Self {
        Self { after: place, read_to: place, changes: VecDeque::new() }
    }

    /// Adds the changes that come next. Gives the place of the last one.
    pub(super) fn add(&mut self, next: impl IntoIterator<Item = Arc<RecordedChange>>) -> Timestamp {
        for change in next {
            if self.changes.len() == KEPT
                && let Some(oldest) = self.changes.pop_front()
            {
                self.after = oldest.recorded_at;
            }
            self.read_to = change.recorded_at;
            self.changes.push_back(change);
        }
        self.read_to
    }

    /// Whether all changes after a place are here, those from before the feed included.
    pub(super) fn reaches_back_to(&self, place: Timestamp) -> bool {
        let oldest =
            if self.after == Timestamp::MIN { self.changes.front().map(|change| change.recorded_at) } else { Some(self.after) };
        oldest.is_some_and(|oldest| oldest <= place)
    }

    /// The changes after a place, and the place up to which that are all; `None` when some are no longer kept.
    pub(super) fn after_place(&self, place: Timestamp) -> Option<(Vec<Arc<RecordedChange>>, Timestamp)> {
        if place < self.after {
            return None;
        }
        let first = self.changes.partition_point(|change| change.recorded_at <= place);
        Some((self.changes.range(first..).cloned().collect(), self.read_to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::{Change, SpaceAllocation};

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_microsecond(micros).unwrap()
    }

    fn change(micros: i64) -> Arc<RecordedChange> {
        let after = SpaceAllocation::new(at(micros), Vec::new());
        Arc::new(RecordedChange {
            recorded_at: at(micros),
            tenant: "acme".parse().unwrap(),
            change: Change { before: None, after },
        })
    }

    #[test]
    fn an_empty_feed_reaches_back_to_nothing_and_one_that_has_begun_to_its_first_change() {
        let mut recent = Recent::after(Timestamp::MIN);
        assert!(!recent.reaches_back_to(at(0)));
        recent.add([change(5)]);
        assert!(recent.reaches_back_to(at(5)) && !recent.reaches_back_to(at(4)));
        assert_eq!(recent.after_place(at(4)).unwrap().0.len(), 1);
    }

    #[test]
    fn what_comes_after_a_place_is_given_as_far_back_as_is_kept() {
        let mut recent = Recent::after(at(0));
        let places = |recent: &Recent, after: i64| {
            let (changes, read_to) = recent.after_place(at(after))?;
            Some((changes.iter().map(|c| c.recorded_at.as_microsecond()).collect::<Vec<_>>(), read_to.as_microsecond()))
        };
        assert_eq!(places(&recent, -1), None);
        assert_eq!(places(&recent, 0), Some((Vec::new(), 0)));
        let kept = i64::try_from(KEPT).unwrap();
        assert_eq!(recent.add((1..=kept).map(change)), at(kept));
        assert_eq!(places(&recent, 0), Some(((1..=kept).collect(), kept)));
        assert!(recent.reaches_back_to(at(0)) && !recent.reaches_back_to(at(-1)));
        recent.add([change(kept + 5)]);
        assert!(recent.reaches_back_to(at(1)) && !recent.reaches_back_to(at(0)));
        assert_eq!(places(&recent, 0), None);
        assert_eq!(places(&recent, kept), Some((vec![kept + 5], kept + 5)));
        assert_eq!(places(&recent, kept + 9), Some((Vec::new(), kept + 5)));
    }
}
