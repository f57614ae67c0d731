use super::{assert_starts, count, local};
use crate::quota::TimeRange;
use crate::quota::calendar::{buckets, stretch_of, time_zone};

#[test]
fn buckets_are_whole_where_the_range_is_not() {
    assert_starts(
        "Europe/Berlin",
        "2026-07-01T13:00",
        "2026-07-03T00:01",
        "P1D",
        &["2026-07-01T00:00", "2026-07-02T00:00", "2026-07-03T00:00"],
    );
    assert_starts(
        "Europe/Berlin",
        "2026-07-01T13:10",
        "2026-07-01T14:00",
        "PT15M",
        &["2026-07-01T13:00", "2026-07-01T13:15", "2026-07-01T13:30", "2026-07-01T13:45"],
    );
}

#[test]
fn a_range_that_is_whole_gets_just_itself() {
    let (_, found) = local("Asia/Tokyo", "2026-01-01T00:00", "2027-01-01T00:00", "P1M");
    assert_eq!(found.len(), 12);
    let (_, year) = local("Asia/Tokyo", "2026-01-01T00:00", "2027-01-01T00:00", "P1Y");
    assert_eq!(stretch_of(&found), Some(year[0]));
}

#[test]
fn a_nanosecond_more_is_a_bucket_more() {
    let utc = time_zone("UTC").unwrap();
    let range = |from: &str, to: &str| TimeRange { from: from.parse().unwrap(), to: to.parse().unwrap() };
    assert_eq!(count(range("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"), "P1D", &utc), 1);
    assert_eq!(count(range("2026-01-01T00:00:00Z", "2026-01-02T00:00:00.000000001Z"), "P1D", &utc), 2);
    assert_eq!(count(range("2025-12-31T23:59:59.999999999Z", "2026-01-02T00:00:00Z"), "P1D", &utc), 2);
    assert_eq!(count(range("1969-12-31T23:59:59.999999999Z", "1970-01-01T00:00:00Z"), "PT1S", &utc), 1);
}

#[test]
fn an_empty_range_has_no_buckets() {
    let utc = time_zone("UTC").unwrap();
    let at = "2026-01-01T12:00:00Z".parse().unwrap();
    assert_eq!(buckets(TimeRange { from: at, to: at }, "P1D".parse().unwrap(), &utc).count(), 0);
    assert_eq!(stretch_of(&[]), None);
}

#[test]
fn weeks_begin_on_monday_and_several_are_counted_from_1969_12_29() {
    assert_starts(
        "America/New_York",
        "2026-10-01T00:00",
        "2026-10-13T00:00",
        "P1W",
        &["2026-09-28T00:00", "2026-10-05T00:00", "2026-10-12T00:00"],
    );
    assert_starts("UTC", "1970-01-01T00:00", "1970-01-20T00:00", "P2W", &["1969-12-29T00:00", "1970-01-12T00:00"]);
    assert_starts("UTC", "1969-12-28T00:00", "1969-12-29T00:00", "P2W", &["1969-12-15T00:00"]);
}

#[test]
fn several_days_are_counted_from_1970_01_01() {
    assert_starts(
        "Asia/Kolkata",
        "1970-01-02T00:00",
        "1970-01-08T00:00",
        "P3D",
        &["1970-01-01T00:00", "1970-01-04T00:00", "1970-01-07T00:00"],
    );
    assert_starts("UTC", "1969-12-31T12:00", "1970-01-01T00:00", "P3D", &["1969-12-29T00:00"]);
}

#[test]
fn months_are_counted_from_year_0() {
    assert_starts(
        "Europe/Paris",
        "2026-02-10T00:00",
        "2026-04-01T00:01",
        "P1M",
        &["2026-02-01T00:00", "2026-03-01T00:00", "2026-04-01T00:00"],
    );
    assert_starts(
        "Europe/Paris",
        "2026-02-10T00:00",
        "2026-08-01T00:00",
        "P3M",
        &["2026-01-01T00:00", "2026-04-01T00:00", "2026-07-01T00:00"],
    );
    assert_starts("Europe/Paris", "2026-08-10T00:00", "2027-02-01T00:00", "P6M", &["2026-07-01T00:00", "2027-01-01T00:00"]);
    assert_starts("Europe/Paris", "2026-08-10T00:00", "2026-09-01T00:00", "P1Y", &["2026-01-01T00:00"]);
    assert_starts("Europe/Paris", "2026-08-10T00:00", "2030-01-01T00:01", "P5Y", &["2025-01-01T00:00", "2030-01-01T00:00"]);
    assert_starts("UTC", "-000001-06-01T00:00", "0001-01-01T00:00", "P10Y", &["-000010-01-01T00:00", "0000-01-01T00:00"]);
}

#[test]
fn hours_follow_the_local_clock_where_it_is_not_whole_hours_from_utc() {
    let (_, found) = local("Asia/Kathmandu", "2026-05-01T10:00", "2026-05-01T10:30", "PT1H");
    assert_eq!(found[0].from.to_string(), "2026-05-01T04:15:00Z");
    assert_starts(
        "Asia/Kathmandu",
        "2026-05-01T00:00",
        "2026-05-02T00:00",
        "PT6H",
        &["2026-05-01T00:00", "2026-05-01T06:00", "2026-05-01T12:00", "2026-05-01T18:00"],
    );
    assert_starts("Asia/Kolkata", "2026-05-01T00:10", "2026-05-01T01:00", "PT30M", &["2026-05-01T00:00", "2026-05-01T00:30"]);
}
