//! What series count in the complexity of a document: every ten points that are asked for count one.
//!
//! The library counts while it validates, field by field, and does not know the time. A series without an end ends now, so counting is told
//! the time, and tells whether there was a series to count.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;

use super::scalars::{Duration, Instant};
use super::services::MAX_POINTS;
use crate::quota::TimeRange;
use crate::quota::calendar::estimate_count;

tokio::task_local! {
    static COUNTING: Counting;
}

struct Counting {
    now: Timestamp,
    counted_points: Arc<AtomicBool>,
}

/// Lets a future count at that instant. Besides what it gives: whether it counted points, which other values or another time make others.
pub(super) async fn count_at<F: Future>(now: Timestamp, counts: F) -> (F::Output, bool) {
    let counted_points = Arc::<AtomicBool>::default();
    let counted = COUNTING.scope(Counting { now, counted_points: Arc::clone(&counted_points) }, counts).await;
    (counted, counted_points.load(Ordering::Relaxed))
}

/// Points that count one: about as much work as one other field.
const POINTS_OF_ONE: usize = 10;

/// What the points count that a series is asked for.
pub(super) fn count_points(from: &Instant, to: Option<&Instant>, interval: &Duration) -> usize {
    points_asked(from, to, interval).div_ceil(POINTS_OF_ONE)
}

/// How many points a series is asked for, as near as the usual length of the interval tells. Nothing for what cannot be read, and no more
/// than may be given: both are refused by a better sentence when they are resolved.
fn points_asked(from: &Instant, to: Option<&Instant>, interval: &Duration) -> usize {
    let now = begin_to_count();
    let readable = || {
        let from = from.read("from").ok()?;
        let to = Instant::read_optional(to, "to").ok()?.or(now)?;
        Some((TimeRange { from, to }, interval.as_interval("interval").ok()?))
    };
    let asked = readable().map_or(0, |(range, interval)| estimate_count(range, interval));
    usize::try_from(asked).unwrap_or(MAX_POINTS).min(MAX_POINTS)
}

/// Notes that points are counted, and gives the time.
fn begin_to_count() -> Option<Timestamp> {
    let begin = |counting: &Counting| {
        counting.counted_points.store(true, Ordering::Relaxed);
        counting.now
    };
    COUNTING.try_with(begin).ok()
}

#[cfg(test)]
mod tests {
    use async_graphql::{ScalarType as _, Value};

    use super::*;

    fn asked(from: &str, to: Option<&str>, interval: &str) -> usize {
        let instant = |text: &str| Instant::parse(Value::from(text)).unwrap();
        points_asked(&instant(from), to.map(instant).as_ref(), &Duration::parse(Value::from(interval)).unwrap())
    }

    #[tokio::test]
    async fn a_series_is_asked_for_as_many_points_as_its_stretch_has_intervals() {
        let now = "2026-03-02T12:00:00Z".parse().unwrap();
        let (january, february) = ("2026-01-01T00:00:00Z", Some("2026-02-01T00:00:00Z"));
        count_at(now, async {
            assert_eq!(asked(january, february, "P1D"), 31);
            assert_eq!(asked(january, february, "P1W"), 5);
            assert_eq!(asked(january, february, "PT15M"), 31 * 96);
            assert_eq!(asked("2025-01-01T00:00:00Z", Some(january), "PT1H"), 8760);
            assert_eq!(asked("2025-01-01T00:00:00Z", Some(january), "PT1M"), MAX_POINTS);
            assert_eq!(asked("2026-02-01T00:00:00Z", Some(january), "P1D"), 0);
            assert_eq!(asked("yesterday", february, "P1D"), 0);
            assert_eq!(asked(january, Some("tomorrow"), "P1D"), 0);
            assert_eq!(asked(january, february, "PT0S"), 0);
        })
        .await;
        assert_eq!(count_at(now, async { asked("2026-03-01T00:00:00Z", None, "PT1H") }).await, (36, true));
        assert_eq!(count_at(now, async {}).await, ((), false));
    }
}
