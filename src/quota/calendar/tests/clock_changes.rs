use super::{local, starts_and_minutes};

/// The number of buckets in a local day, and the starts of those that are not as long as the interval, with their minutes.
fn day(zone: &str, date: &str, next: &str, interval: &str) -> (usize, Vec<(String, i64)>) {
    let found = starts_and_minutes(zone, &format!("{date}T12:00"), &format!("{date}T12:01"), "P1D");
    let (_, whole) = local(zone, &format!("{date}T12:00"), &format!("{date}T12:01"), "P1D");
    let (_, next_day) = local(zone, &format!("{next}T12:00"), &format!("{next}T12:01"), "P1D");
    assert_eq!(whole[0].to, next_day[0].from, "{date} ends where {next} begins");
    if interval == "P1D" {
        return (1, found);
    }
    let tz = super::time_zone(zone).unwrap();
    let usual = interval.parse::<crate::quota::Period>().unwrap().length_before(whole[0].to).as_secs() / 60;
    let found: Vec<_> = super::buckets(whole[0], interval.parse().unwrap(), &tz).collect();
    super::assert_tiles(&found, whole[0]);
    assert_eq!((found[0].from, found[found.len() - 1].to), (whole[0].from, whole[0].to), "days are whole buckets");
    let odd = found
        .iter()
        .map(|b| (tz.to_datetime(b.from).strftime("%d. %H:%M").to_string(), b.to.duration_since(b.from).as_secs() / 60))
        .filter(|(_, minutes)| *minutes != usual)
        .collect();
    (found.len(), odd)
}

fn odd(starts: &[(&str, i64)]) -> Vec<(String, i64)> {
    starts.iter().map(|(start, minutes)| ((*start).to_owned(), *minutes)).collect()
}

#[test]
fn a_day_of_25_hours_has_25_hours_and_4_quarters() {
    let berlin = |interval| day("Europe/Berlin", "2026-10-25", "2026-10-26", interval);
    assert_eq!(berlin("P1D"), (1, odd(&[("25. 00:00", 1500)])));
    assert_eq!(berlin("PT1H"), (25, odd(&[])));
    assert_eq!(berlin("PT15M"), (100, odd(&[])));
    assert_eq!(berlin("PT2H"), (12, odd(&[("25. 02:00", 180)])));
    assert_eq!(berlin("PT6H"), (4, odd(&[("25. 00:00", 420)])));
    assert_eq!(berlin("PT12H"), (2, odd(&[("25. 00:00", 780)])));
}

#[test]
fn a_day_of_23_hours_has_23_hours_and_4_quarters() {
    let berlin = |interval| day("Europe/Berlin", "2026-03-29", "2026-03-30", interval);
    assert_eq!(berlin("P1D"), (1, odd(&[("29. 00:00", 1380)])));
    assert_eq!(berlin("PT1H"), (23, odd(&[])));
    assert_eq!(berlin("PT15M"), (92, odd(&[])));
    assert_eq!(berlin("PT2H"), (12, odd(&[("29. 03:00", 60)])));
    assert_eq!(berlin("PT6H"), (4, odd(&[("29. 00:00", 300)])));
}

#[test]
fn lord_howe_shifts_by_half_an_hour() {
    let back = |interval| day("Australia/Lord_Howe", "2026-04-05", "2026-04-06", interval);
    assert_eq!(back("P1D"), (1, odd(&[("05. 00:00", 1470)])));
    assert_eq!(back("PT15M"), (98, odd(&[])));
    assert_eq!(back("PT30M"), (49, odd(&[])));
    assert_eq!(back("PT1H"), (24, odd(&[("05. 01:00", 90)])));
    assert_eq!(back("PT6H"), (4, odd(&[("05. 00:00", 390)])));

    let forward = |interval| day("Australia/Lord_Howe", "2026-10-04", "2026-10-05", interval);
    assert_eq!(forward("P1D"), (1, odd(&[("04. 00:00", 1410)])));
    assert_eq!(forward("PT30M"), (47, odd(&[])));
    assert_eq!(forward("PT1H"), (24, odd(&[("04. 02:30", 30)])));
}

#[test]
fn a_day_whose_midnight_is_skipped_begins_with_the_skip() {
    for (zone, date, next) in [
        ("America/Havana", "2024-03-10", "2024-03-11"),
        ("Asia/Beirut", "2026-03-29", "2026-03-30"),
        ("Africa/Cairo", "2026-04-24", "2026-04-25"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-05"),
    ] {
        let start = format!("{}. 01:00", &date[8..]);
        assert_eq!(day(zone, date, next, "P1D"), (1, odd(&[(&start, 1380)])), "{zone}");
        assert_eq!(day(zone, date, next, "PT1H"), (23, odd(&[])), "{zone}");
        assert_eq!(day(zone, date, next, "PT6H"), (4, odd(&[(&start, 300)])), "{zone}");
    }
}

#[test]
fn a_day_whose_midnight_comes_twice_begins_with_the_first() {
    let havana = |interval| day("America/Havana", "2024-11-03", "2024-11-04", interval);
    assert_eq!(havana("P1D"), (1, odd(&[("03. 00:00", 1500)])));
    assert_eq!(havana("PT1H"), (25, odd(&[])));
    assert_eq!(havana("PT6H"), (4, odd(&[("03. 00:00", 420)])));
}

#[test]
fn a_clock_set_back_at_midnight_makes_the_day_before_longer() {
    for (zone, date, next) in [
        ("Asia/Beirut", "2026-10-24", "2026-10-25"),
        ("Africa/Cairo", "2026-10-29", "2026-10-30"),
        ("America/Sao_Paulo", "2018-02-17", "2018-02-18"),
    ] {
        assert_eq!(day(zone, date, next, "P1D"), (1, odd(&[(&format!("{}. 00:00", &date[8..]), 1500)])), "{zone}");
        assert_eq!(day(zone, date, next, "PT1H"), (25, odd(&[])), "{zone}");
        assert_eq!(day(zone, date, next, "PT6H"), (4, odd(&[(&format!("{}. 18:00", &date[8..]), 420)])), "{zone}");
    }
}

#[test]
fn a_clock_set_back_just_after_midnight_leaves_the_day_begun() {
    // Until 2011 Newfoundland set its clocks back at 00:01, to 23:01 of the day before.
    let found = starts_and_minutes("America/St_Johns", "2010-11-06T12:00", "2010-11-08T12:00", "P1D");
    assert_eq!(found, odd(&[("06. 00:00", 1440), ("07. 00:00", 1500), ("08. 00:00", 1440)]));
    let found = starts_and_minutes("America/St_Johns", "2010-11-06T22:30", "2010-11-07T01:30", "PT1H");
    let hours = [("06. 22:00", 60), ("06. 23:00", 60), ("07. 00:00", 60), ("07. 00:00", 60), ("07. 01:00", 60)];
    assert_eq!(found, odd(&hours));
}

#[test]
fn a_day_that_apia_skipped_has_no_bucket() {
    let found = starts_and_minutes("Pacific/Apia", "2011-12-28T12:00", "2012-01-01T12:00", "P1D");
    assert_eq!(found, odd(&[("28. 00:00", 1440), ("29. 00:00", 1440), ("31. 00:00", 1440), ("01. 00:00", 1440)]));
    let found = starts_and_minutes("Pacific/Apia", "2011-12-29T17:00", "2011-12-31T06:30", "PT6H");
    assert_eq!(found, odd(&[("29. 12:00", 360), ("29. 18:00", 360), ("31. 00:00", 360), ("31. 06:00", 360)]));
    let found = starts_and_minutes("Pacific/Apia", "2011-12-26T00:00", "2012-01-02T00:00", "P1W");
    assert_eq!(found, odd(&[("26. 00:00", 6 * 1440)]));
}

#[test]
fn changes_of_the_offset_that_are_not_daylight_saving_count_alike() {
    // Back by half an hour at midnight: 24:00 became 23:30.
    let found = starts_and_minutes("Asia/Pyongyang", "2015-08-14T22:30", "2015-08-15T01:00", "PT1H");
    assert_eq!(found, odd(&[("14. 22:00", 60), ("14. 23:00", 90), ("15. 00:00", 60)]));
    let found = starts_and_minutes("Asia/Pyongyang", "2015-08-14T23:00", "2015-08-15T00:30", "PT30M");
    assert_eq!(found, odd(&[("14. 23:00", 30), ("14. 23:30", 30), ("14. 23:30", 30), ("15. 00:00", 30)]));
    // Forward by half an hour, onto midnight.
    let found = starts_and_minutes("Asia/Pyongyang", "2018-05-04T22:30", "2018-05-05T01:00", "PT1H");
    assert_eq!(found, odd(&[("04. 22:00", 60), ("04. 23:00", 30), ("05. 00:00", 60)]));
    // Forward by half an hour, onto and past nothing that an hour begins with but 03:00 itself.
    let found = starts_and_minutes("America/Caracas", "2016-05-01T01:30", "2016-05-01T03:30", "PT1H");
    assert_eq!(found, odd(&[("01. 01:00", 60), ("01. 02:00", 30), ("01. 03:00", 60)]));
}

#[test]
fn weeks_months_and_years_are_as_long_as_their_days() {
    assert_eq!(
        starts_and_minutes("Europe/Berlin", "2026-10-20T00:00", "2026-10-21T00:00", "P1W"),
        odd(&[("19. 00:00", 7 * 1440 + 60)])
    );
    assert_eq!(
        starts_and_minutes("Europe/Berlin", "2026-03-20T00:00", "2026-03-21T00:00", "P1M"),
        odd(&[("01. 00:00", 31 * 1440 - 60)])
    );
    assert_eq!(
        starts_and_minutes("Europe/Berlin", "2028-03-20T00:00", "2028-03-21T00:00", "P1Y"),
        odd(&[("01. 00:00", 366 * 1440)])
    );
}
