use crate::quota::forecast::{Expected, Forecast, Unavailable, backtest_error, forecast};

/// A value for each of so many days.
fn days(count: i32, value: impl Fn(f64) -> f64) -> Vec<Option<f64>> {
    (0..count).map(|day| Some(value(f64::from(day)))).collect()
}

fn carried_on(daily: &[Option<f64>]) -> Forecast {
    forecast(daily, 1000.0, 60, 0.9).unwrap()
}

#[track_caller]
fn assert_near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
}

#[test]
fn a_straight_line_goes_on() {
    let found = carried_on(&days(100, |day| 100.0 + 2.0 * day));
    assert_near(found.newest_gb, 298.0, 0.0);
    assert_near(found.days[0].line, 300.0, 0.1);
    assert_near(found.days[59].line, 418.0, 1.0);
    let reaching = found.reaching(0.4);
    assert_near(reaching.expected.unwrap(), 51.0, 0.5);
    assert!(reaching.earliest.unwrap() <= reaching.expected.unwrap());
    assert!(reaching.latest.unwrap() < 55.0, "nothing was ever uncertain about it");
}

#[test]
fn a_weekly_pattern_goes_on() {
    let weekend = |day: f64| if day % 7.0 >= 5.0 { -30.0 } else { 0.0 };
    let found = carried_on(&days(100, |day| 500.0 + weekend(day)));
    for (place, day) in found.days.iter().enumerate() {
        let day_number = f64::from(u32::try_from(100 + place).unwrap());
        assert_near(day.line, 500.0 + weekend(day_number), 0.5);
    }
}

#[test]
fn a_step_shifts_the_level_and_is_no_trend() {
    for since in [1.0, 2.0, 4.0, 10.0, 45.0, 90.0] {
        // A little noise, which is not random: the step is far out of the usual.
        let found = carried_on(&days(120, |day| (day * 7.0) % 5.0 + if day >= 120.0 - since { 700.0 } else { 400.0 }));
        assert_near(found.days[59].line, 702.0, 20.0);
    }
}

#[test]
fn values_are_never_below_nothing() {
    let found = carried_on(&days(60, |day| 300.0 - 5.0 * day));
    assert_eq!(found.days[59], Expected { line: 0.0, lower: 0.0, upper: found.days[59].upper });
    let reaching = found.reaching(0.5);
    assert_eq!((reaching.expected, reaching.latest), (None, None));
}

#[test]
fn a_threshold_that_is_reached_is_reached_now() {
    let found = carried_on(&days(60, |_| 500.0));
    for threshold in [0.1, 0.5] {
        let reaching = found.reaching(threshold);
        assert_eq!([reaching.expected, reaching.earliest, reaching.latest], [Some(0.0); 3]);
    }
    assert_eq!(found.reaching(0.6).expected, None);
}

#[test]
fn the_reason_is_told_where_there_is_no_forecast() {
    let whole = days(60, |day| day);
    let refused = |daily: &[Option<f64>], total| forecast(daily, total, 30, 0.9).unwrap_err();
    let without = |gap: std::ops::Range<usize>| {
        let mut daily = whole.clone();
        daily[gap].fill(None);
        daily
    };
    assert_eq!(refused(&[], 100.0), Unavailable::TooLittleHistory);
    assert_eq!(refused(&[None; 100], 0.0), Unavailable::TooLittleHistory);
    assert_eq!(refused(&without(0..33), 100.0), Unavailable::TooLittleHistory);
    assert!(forecast(&without(0..32), 100.0, 30, 0.9).is_ok());

    assert_eq!(refused(&whole, 0.0), Unavailable::NoCapacity);
    assert_eq!(refused(&whole[..5], 0.0), Unavailable::NoCapacity);

    assert_eq!(refused(&without(1..32), 100.0), Unavailable::TooManyGaps);
    assert_eq!(refused(&without(40..55), 100.0), Unavailable::TooManyGaps);
    assert_eq!(refused(&without(53..60), 100.0), Unavailable::TooManyGaps);
    assert!(forecast(&without(54..60), 100.0, 30, 0.9).is_ok());
    assert!(forecast(&without(2..30), 100.0, 30, 0.9).is_ok());
}

#[test]
fn gaps_are_bridged_and_a_gap_at_the_end_is_carried_over() {
    let mut daily = days(100, |day| 100.0 + 2.0 * day);
    daily[95..].fill(None);
    daily[40..50].fill(None);
    let found = carried_on(&daily);
    assert_near(found.newest_gb, 288.0, 0.0);
    assert_near(found.days[0].line, 300.0, 0.1);
    assert_eq!(found.days.len(), 60);
}

#[test]
fn what_lies_before_a_year_does_not_matter() {
    let lately = days(371, |day| (day * 7.0) % 11.0 + day);
    let longer = [&days(200, |day| 5000.0 - day)[..], &lately].concat();
    assert_eq!(carried_on(&longer), carried_on(&lately));
}

#[test]
fn the_backtest_tells_how_far_off_the_same_method_was() {
    assert_near(backtest_error(&days(100, |day| 100.0 + 2.0 * day)).unwrap(), 0.0, 0.001);
    // Known until day 80, then a third more: off by a quarter.
    assert_near(backtest_error(&days(100, |day| if day < 80.0 { 300.0 } else { 400.0 })).unwrap(), 0.25, 1e-9);
    assert_eq!(backtest_error(&days(100, |_| 0.0)), None);
    assert_eq!(backtest_error(&days(20, |_| 5.0)), None);
}
