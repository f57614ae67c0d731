mod alignment;
mod clock_changes;
mod limits;
pub(in crate::quota) mod oracle;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{buckets, time_zone};
use crate::quota::TimeRange;

/// The buckets of a stretch that is given in local time, which must not be ambiguous.
fn local(zone: &str, from: &str, to: &str, interval: &str) -> (TimeZone, Vec<TimeRange>) {
    let tz = time_zone(zone).unwrap();
    let at = |text: &str| tz.to_ambiguous_timestamp(text.parse::<DateTime>().unwrap()).compatible().unwrap();
    let found = buckets(TimeRange { from: at(from), to: at(to) }, interval.parse().unwrap(), &tz).collect();
    (tz, found)
}

/// Where buckets begin, as the local clock shows it, and how many minutes each has.
fn starts_and_minutes(zone: &str, from: &str, to: &str, interval: &str) -> Vec<(String, i64)> {
    let (tz, found) = local(zone, from, to, interval);
    let show = |at: Timestamp| tz.to_datetime(at).strftime("%d. %H:%M").to_string();
    found.iter().map(|b| (show(b.from), b.to.duration_since(b.from).as_secs() / 60)).collect()
}

fn assert_starts(zone: &str, from: &str, to: &str, interval: &str, expected: &[&str]) {
    let (tz, found) = local(zone, from, to, interval);
    let starts: Vec<_> = found.iter().map(|bucket| tz.to_datetime(bucket.from)).collect();
    assert_eq!(starts, expected.iter().map(|text| text.parse().unwrap()).collect::<Vec<DateTime>>(), "{interval} in {zone}");
}

/// How many buckets there are, after checking what holds of all buckets.
fn count(range: TimeRange, interval: &str, tz: &TimeZone) -> usize {
    let found: Vec<_> = buckets(range, interval.parse().unwrap(), tz).collect();
    assert_tiles(&found, range);
    found.len()
}

pub(in crate::quota) fn assert_tiles(found: &[TimeRange], range: TimeRange) {
    let (first, last) = (found.first().unwrap(), found.last().unwrap());
    assert!(first.from <= range.from && range.from < first.to, "{first:?} is not the first of {range:?}");
    assert!(last.from < range.to && range.to <= last.to, "{last:?} is not the last of {range:?}");
    assert!(found.iter().all(|bucket| bucket.from < bucket.to), "an empty bucket in {range:?}");
    assert!(found.windows(2).all(|pair| pair[0].to == pair[1].from), "a gap or overlap in {range:?}");
}
