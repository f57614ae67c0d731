//! Coverage around every change of the clock from 2015 to 2035 in 48 zones.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::quota::calendar::tests::assert_tiles;
use crate::quota::calendar::tests::oracle::{ZONES, changes};
use crate::quota::calendar::{buckets, time_zone};
use crate::quota::usage::{Fill, series};
use crate::quota::{Run, TimeRange};

const INTERVALS: [&str; 6] = ["PT15M", "PT1H", "P1D", "P1W", "P1M", "P1Y"];
const HOUR: i64 = 3600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// What holds in a stretch, without any tolerance.
fn run(from: i64, to: i64, allocated_gb: i64) -> Run {
    let ended_at = Some(at(to));
    Run { space_type: 0, first_at: at(from), last_at: at(to - 1), interval_s: 60, samples: 2, allocated_gb, total_gb: 9, ended_at }
}

/// How many seconds of one stretch lie in another.
fn common(one: TimeRange, other: TimeRange) -> i64 {
    (one.to.min(other.to).as_second() - one.from.max(other.from).as_second()).max(0)
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
fn buckets_tile_and_coverage_is_exact_around_every_change_of_the_clock() {
    let mut day_lengths: BTreeMap<i64, usize> = BTreeMap::new();
    for zone in ZONES {
        let tz = time_zone(zone).unwrap();
        for change in changes(&tz, "2015-01-01T00:00:00Z", "2036-01-01T00:00:00Z") {
            // A gap lies around the change, of odd seconds.
            let known = [(change - 20 * HOUR, change - 2401), (change + 1507, change + 20 * HOUR)];
            let runs = [run(known[0].0, known[0].1, 3), run(known[1].0, known[1].1, 5)];
            let known = known.map(|(from, to)| TimeRange { from: at(from), to: at(to) });
            let range = TimeRange { from: at(change - 26 * HOUR), to: at(change + 26 * HOUR) };
            for interval in INTERVALS {
                let found: Vec<_> = buckets(range, interval.parse().unwrap(), &tz).collect();
                assert_tiles(&found, range);
                let series = series(&runs, &found, range, Timestamp::MAX, Fill::None);
                let mut covered = 0;
                for (bucket, point) in found.iter().zip(&series.points) {
                    let [before, after] = known.map(|known| common(*bucket, known));
                    let length = common(*bucket, *bucket);
                    let expected = (before + after) as f64 / length as f64;
                    assert_eq!(point.coverage.to_bits(), expected.to_bits(), "{interval} in {zone} at {bucket:?}");
                    let average = (3 * before + 5 * after) as f64 / (before + after) as f64;
                    let measured = point.allocated.map_or(f64::NAN, |allocated| allocated.average);
                    assert!(
                        measured.to_bits() == average.to_bits() || (measured.is_nan() && average.is_nan()),
                        "{interval} in {zone}"
                    );
                    covered += before + after;
                    if interval == "P1D" {
                        *day_lengths.entry(length).or_default() += 1;
                    }
                }
                assert_eq!(covered, common(range, known[0]) + common(range, known[1]), "{interval} in {zone} at {change}");
                assert_eq!(series.coverage.to_bits(), (covered as f64 / (52 * HOUR) as f64).to_bits());
            }
        }
    }
    let days_of = |hours: i64| day_lengths.get(&(hours * HOUR)).copied().unwrap_or(0);
    assert!(days_of(23) > 400 && days_of(24) > 400 && days_of(25) > 400, "{day_lengths:?}");
    assert!(day_lengths.keys().all(|length| (21 * HOUR..=27 * HOUR).contains(length)), "{day_lengths:?}");
}

#[test]
fn days_weeks_months_and_years_tile_two_decades_in_every_zone() {
    let range = TimeRange { from: "2015-01-01T00:00:00Z".parse().unwrap(), to: "2036-01-01T00:00:00Z".parse().unwrap() };
    for zone in ZONES {
        let tz = time_zone(zone).unwrap();
        // Some begin 2015 or end 2035 elsewhere than UTC does, which makes one more.
        for (interval, count) in [("P1D", 7670), ("P1W", 1096), ("P1M", 252), ("P1Y", 21)] {
            let found: Vec<_> = buckets(range, interval.parse().unwrap(), &tz).collect();
            assert_tiles(&found, range);
            assert!((count..=count + 1).contains(&found.len()), "{} times {interval} in {zone}", found.len());
        }
    }
}
