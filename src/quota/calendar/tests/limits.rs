use jiff::Timestamp;

use super::count;
use crate::quota::TimeRange;
use crate::quota::calendar::{buckets, buckets_within, time_zone};

const ALL_TIME: TimeRange = TimeRange { from: Timestamp::MIN, to: Timestamp::MAX };

fn range(from: &str, to: &str) -> TimeRange {
    TimeRange { from: from.parse().unwrap(), to: to.parse().unwrap() }
}

#[test]
fn as_many_buckets_as_the_limit_are_given_and_one_more_is_not() {
    let tz = time_zone("America/New_York").unwrap();
    let interval = "PT1H".parse().unwrap();
    let start: Timestamp = "2026-01-01T05:00:00Z".parse().unwrap();
    let hours = |n| TimeRange { from: start, to: start + jiff::SignedDuration::from_hours(n) };
    assert_eq!(buckets_within(hours(10_000), interval, &tz, 10_000).unwrap().len(), 10_000);
    let refused = buckets_within(hours(10_001), interval, &tz, 10_000).unwrap_err();
    assert_eq!((refused.limit, refused.estimate), (10_000, 10_001));
    let text = refused.to_string();
    assert!(text.contains("10000") && text.contains("10001") && text.contains("PT1H"), "{text}");
}

#[test]
fn a_number_of_buckets_beyond_counting_is_refused_at_once() {
    let tz = time_zone("Europe/Berlin").unwrap();
    let refused = buckets_within(ALL_TIME, "PT1S".parse().unwrap(), &tz, 10_000).unwrap_err();
    assert!(refused.estimate > 600_000_000_000);
}

#[test]
fn the_limit_agrees_with_the_buckets_wherever_the_estimate_is_near_it() {
    let casablanca = ("Africa/Casablanca", range("2001-01-31T00:00:00Z", "2031-02-01T00:00:00Z"));
    // When Alaska was sold, its clocks were set back by a whole day: 32 times 24 hours made 31 days.
    let sitka = ("America/Sitka", range("1867-09-30T09:01:13Z", "1867-11-01T09:01:13Z"));
    let intervals = ["PT12H", "P1D", "P1W", "P1M", "P1Y"].map(|interval| interval.parse().unwrap());
    for ((zone, range), interval) in [casablanca, sitka].into_iter().flat_map(|place| intervals.map(|interval| (place, interval))) {
        let tz = time_zone(zone).unwrap();
        let all: Vec<_> = buckets(range, interval, &tz).collect();
        assert_eq!(buckets_within(range, interval, &tz, all.len()).as_ref(), Ok(&all), "{interval}");
        assert!(buckets_within(range, interval, &tz, all.len() - 1).is_err(), "{interval}");
    }
}

#[test]
fn the_first_and_the_last_bucket_are_cut_where_time_ends() {
    for zone in ["UTC", "Pacific/Kiritimati", "Pacific/Niue", "Europe/Berlin"] {
        let tz = time_zone(zone).unwrap();
        for interval in ["P1000Y", "P7777M", "P19998Y", "P7304484D", "P999999W"] {
            let found = count(ALL_TIME, interval, &tz);
            assert!((1..=32).contains(&found), "{found} buckets of {interval} in {zone}");
        }
        for interval in ["PT1S", "PT12H", "P1D", "P1W", "P1M"] {
            let second = jiff::SignedDuration::from_secs(1);
            assert_eq!(count(TimeRange { from: Timestamp::MIN, to: Timestamp::MIN + second }, interval, &tz), 1);
            assert_eq!(count(TimeRange { from: Timestamp::MAX - second / 2, to: Timestamp::MAX }, interval, &tz), 1);
        }
    }
}

#[test]
fn zones_are_known_by_their_iana_names_only() {
    assert_eq!(time_zone("Europe/Berlin").unwrap().iana_name(), Some("Europe/Berlin"));
    assert_eq!(time_zone("europe/berlin").unwrap().iana_name(), Some("Europe/Berlin"));
    assert_eq!(time_zone("UTC").unwrap().iana_name(), Some("UTC"));
    for name in
        ["", "local", "localtime", "Etc/Unknown", "CET-1CEST,M3.5.0,M10.5.0/3", "+02:00", "Europe/Atlantis", "../UTC", ":UTC"]
    {
        let text = time_zone(name).unwrap_err().to_string();
        assert!(text.contains(&format!("{name:?}")) && text.contains("Europe/Berlin"), "{text}");
    }
}

#[test]
fn a_very_long_zone_name_is_cut_in_the_answer() {
    assert!(time_zone(&"x".repeat(100_000)).unwrap_err().to_string().len() < 200);
}
