//! The buckets against a clock that is watched tick by tick.

use jiff::Timestamp;
use jiff::civil::{DateTime, Weekday};
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use proptest::prelude::*;

use super::assert_tiles;
use crate::quota::calendar::{buckets, instant, time_zone};
use crate::quota::{Interval, TimeRange};

const HOUR: i64 = 3600;

/// Of every continent, hemisphere and oddity: half-hour shifts, shifts at midnight, Ramadan rules, dropped and changed offsets.
pub(in crate::quota) const ZONES: [&str; 48] = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Juba",
    "Africa/Khartoum",
    "Africa/Monrovia",
    "Africa/Sao_Tome",
    "Africa/Windhoek",
    "America/Argentina/Buenos_Aires",
    "America/Asuncion",
    "America/Bogota",
    "America/Cancun",
    "America/Caracas",
    "America/Chihuahua",
    "America/Havana",
    "America/Los_Angeles",
    "America/Mexico_City",
    "America/New_York",
    "America/Nuuk",
    "America/Port-au-Prince",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/Scoresbysund",
    "America/St_Johns",
    "America/Whitehorse",
    "Antarctica/Casey",
    "Antarctica/Troll",
    "Asia/Almaty",
    "Asia/Amman",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Jerusalem",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Pyongyang",
    "Asia/Shanghai",
    "Asia/Tehran",
    "Asia/Ulaanbaatar",
    "Atlantic/Azores",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/Istanbul",
    "Europe/Volgograd",
    "Pacific/Apia",
    "Pacific/Bougainville",
    "Pacific/Chatham",
    "Pacific/Norfolk",
];

/// Whether a bucket begins at a local time, and how far the clock must be set back for it to begin there again.
fn line(interval: &str, at: DateTime) -> (bool, i64) {
    let day = at.date().duration_since(jiff::civil::date(1970, 1, 1)).as_hours() / 24;
    let month = i64::from(at.year()) * 12 + i64::from(at.month()) - 1;
    let second = i64::from(at.hour()) * HOUR + i64::from(at.minute()) * 60 + i64::from(at.second());
    let number: String = interval.chars().filter(char::is_ascii_digit).collect();
    let number: i64 = number.parse().unwrap();
    if let Some(unit) = interval.strip_prefix("PT") {
        let step = number
            * if unit.ends_with('H') {
                HOUR
            } else if unit.ends_with('M') {
                60
            } else {
                1
            };
        return (second % step == 0, step);
    }
    let begins = match interval.chars().last() {
        Some('W') => at.weekday() == Weekday::Monday && ((day + 3) / 7).rem_euclid(number) == 0,
        Some('D') => day.rem_euclid(number) == 0,
        Some('M') => at.day() == 1 && month.rem_euclid(number) == 0,
        _ => at.day() == 1 && at.month() == 1 && i64::from(at.year()).rem_euclid(number) == 0,
    };
    (second == 0 && begins, i64::MAX)
}

/// The instants in `[from, to)` at which a bucket begins, found by looking at the clock every `tick` seconds. Until `from` the clock
/// is taken to have run evenly.
fn watch(tz: &TimeZone, interval: &str, from: i64, to: i64, tick: i64) -> Vec<i64> {
    let shown = |at: i64| at + i64::from(tz.to_offset(instant(at)).seconds());
    let civil = |local: i64| Offset::UTC.to_datetime(instant(local));
    let mut begins = Vec::new();
    let mut before = shown(from - tick);
    let (mut latest, mut shift) = (before, 0);
    let mut at = from;
    while at < to {
        let now = shown(at);
        if now < before {
            shift = before + tick - now;
        }
        // All that the clock reached for the first time, be it one tick or a skip; else what it shows again.
        let mut reached = (latest + tick..=now).step_by(usize::try_from(tick).unwrap());
        let again = || now <= latest && matches!(line(interval, civil(now)), (true, far) if far <= shift);
        if reached.any(|local| line(interval, civil(local)).0) || again() {
            begins.push(at);
        }
        latest = latest.max(now);
        before = now;
        at += tick;
    }
    begins
}

fn computed(tz: &TimeZone, interval: &str, from: i64, to: i64) -> Vec<i64> {
    let range = TimeRange { from: instant(from), to: instant(to) };
    let found: Vec<_> = buckets(range, interval.parse().unwrap(), tz).collect();
    assert_tiles(&found, range);
    found.iter().map(|bucket| bucket.from.as_second()).filter(|start| *start >= from).collect()
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// When the clock is set, in seconds since 1970.
pub(in crate::quota) fn changes(tz: &TimeZone, from: &str, to: &str) -> Vec<i64> {
    let to: Timestamp = to.parse().unwrap();
    tz.following(from.parse().unwrap())
        .map(|change| change.timestamp())
        .take_while(|at| *at < to)
        .map(Timestamp::as_second)
        .collect()
}

#[test]
fn buckets_begin_where_the_watched_clock_says_around_every_change_from_2015_to_2035() {
    let mut seen = 0;
    for zone in ZONES {
        let tz = time_zone(zone).unwrap();
        let new_year = "2020-01-01T00:00:00Z".parse::<Timestamp>().unwrap().as_second();
        for change in changes(&tz, "2015-01-01T00:00:00Z", "2036-01-01T00:00:00Z").into_iter().chain([new_year]) {
            let tick = greatest_common_divisor(900, change);
            let (from, to) = (change - 26 * HOUR, change + 26 * HOUR);
            for interval in ["PT15M", "PT1H", "PT6H", "P1D", "P1W", "P1M", "P3M", "P1Y"] {
                assert_eq!(
                    computed(&tz, interval, from, to),
                    watch(&tz, interval, from, to, tick),
                    "{interval} in {zone} at {change}"
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 1000, "only {seen} changes");
}

fn any_zone() -> impl Strategy<Value = TimeZone> {
    let mut names: Vec<_> = TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect();
    names.sort();
    proptest::sample::select(names).prop_map(|name| time_zone(&name).unwrap())
}

fn any_interval() -> impl Strategy<Value = String> {
    let divisors: Vec<_> = (1..86_400).filter(|step| 86_400 % step == 0).collect();
    prop_oneof![
        4 => proptest::sample::select(divisors).prop_map(|seconds| format!("PT{seconds}S")),
        // Sevens of days are weeks, which the oracle reads from the unit.
        1 => (1..40_i64).prop_filter("weeks", |days| days % 7 != 0).prop_map(|days| format!("P{days}D")),
        1 => (1..9_i64).prop_map(|weeks| format!("P{weeks}W")),
        1 => (1..30_i64).prop_map(|months| format!("P{months}M")),
        1 => (1..4_i64).prop_map(|years| format!("P{years}Y")),
    ]
}

proptest! {
    #[test]
    fn buckets_begin_where_the_watched_clock_says_around_any_change_ever(
        tz in any_zone(),
        interval in any_interval(),
        which: prop::sample::Index,
        aside in -3 * HOUR..3 * HOUR,
    ) {
        let known = changes(&tz, "1840-01-01T00:00:00Z", "2060-01-01T00:00:00Z");
        let change = if known.is_empty() { 1_000_000_000 } else { known[which.index(known.len())] };
        let offset = |at: i64| i64::from(tz.to_offset(instant(at)).seconds());
        let step = interval.strip_prefix("PT").map_or(900, |text| text.trim_end_matches('S').parse().unwrap());
        let tick = [900, step, offset(change), offset(change - 1)].into_iter().fold(change, greatest_common_divisor).abs();
        // Watching each second is slow.
        let around = if tick < 60 { 2000 + aside.abs() / 4 } else { 26 * HOUR };
        let from = (change - around).div_euclid(tick) * tick;
        let to = from + 2 * around.div_euclid(tick) * tick;
        prop_assert_eq!(computed(&tz, &interval, from, to), watch(&tz, &interval, from, to, tick));
    }

    #[test]
    fn a_part_of_a_range_has_a_part_of_its_buckets(
        tz in any_zone(),
        interval in any_interval(),
        start in -4_000_000_000_i64..4_000_000_000,
        cuts in prop::array::uniform2(0.0..1.0),
    ) {
        let interval: Interval = interval.parse().unwrap();
        let length = (interval.nominal_seconds() * 60).min(400 * 86_400).max(interval.nominal_seconds() * 3);
        let range = TimeRange { from: instant(start), to: instant(start + length) };
        let whole: Vec<_> = buckets(range, interval, &tz).take(1000).collect();
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "any place will do")]
        let mut cuts = cuts.map(|cut| start + (cut * length as f64) as i64);
        cuts.sort_unstable();
        prop_assume!(cuts[0] < cuts[1]);
        let part = TimeRange { from: instant(cuts[0]), to: instant(cuts[1]) };
        let expected: Vec<_> = whole.iter().filter(|b| b.from < part.to && part.from < b.to).copied().collect();
        prop_assume!(whole.last().is_some_and(|last| last.to >= part.to));
        prop_assert_eq!(buckets(part, interval, &tz).collect::<Vec<_>>(), expected);
    }
}
