use jiff::Timestamp;
use proptest::prelude::*;

use crate::quota::forecast::{Expected, Forecast, MAX_DAYS, backtest_error, daily_values, forecast};
use crate::quota::usage::segments;
use crate::quota::usage::tests::{BASE_MS, any_runs, oracle};

/// Whatever may have been observed: small and enormous values, gaps, and no regularity at all.
fn any_daily() -> impl Strategy<Value = Vec<Option<f64>>> {
    let scale = prop::sample::select(vec![1.0, 1000.0, 1e18]);
    let day = prop_oneof![5 => (0.0..1.0).prop_map(Some), 2 => Just(Some(0.5)), 1 => Just(Some(0.0)), 1 => Just(None)];
    (scale, prop::collection::vec(day, 0..200))
        .prop_map(|(scale, days)| days.into_iter().map(|day| day.map(|value: f64| (value * scale).round())).collect())
}

fn any_forecast() -> impl Strategy<Value = Forecast> {
    let day = prop::array::uniform3(0..40_u8).prop_map(|mut edges| {
        edges.sort_unstable();
        let [lower, line, upper] = edges.map(f64::from);
        Expected { line, lower, upper }
    });
    (0..40_u8, prop::collection::vec(day, 0..30)).prop_map(|(newest, days)| Forecast {
        newest_gb: newest.into(),
        total_gb: 40.0,
        days,
    })
}

/// When a line through a value now and one for each coming day first reaches a level, by walking along it in small steps.
fn walk(newest: f64, days: &[f64], level: f64) -> Option<f64> {
    const STEPS: u32 = 1000;
    let (mut before, mut day) = (newest, 0.0);
    for after in days {
        for step in 0..=STEPS {
            let share = f64::from(step) / f64::from(STEPS);
            if before + share * (after - before) >= level - 1e-9 {
                return Some(day + share);
            }
        }
        (before, day) = (*after, day + 1.0);
    }
    (days.is_empty() && newest >= level).then_some(0.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 4))]

    #[test]
    fn the_line_lies_in_the_band_and_a_surer_band_is_wider(daily in any_daily(), days in 0..120_usize, confidences in prop::array::uniform2(0.001..0.999_f64)) {
        let [less, more] = [confidences[0].min(confidences[1]), confidences[0].max(confidences[1])];
        let found = [less, more].map(|confidence| forecast(&daily, 7.0, days, confidence));
        prop_assert_eq!(found[0].is_ok(), found[1].is_ok());
        if let [Ok(narrow), Ok(wide)] = found {
            prop_assert_eq!((narrow.days.len(), wide.days.len()), (days, days));
            for (narrow, wide) in narrow.days.iter().zip(&wide.days) {
                let ordered = [0.0, wide.lower, narrow.lower, narrow.line, narrow.upper, wide.upper, f64::MAX];
                prop_assert!(ordered.windows(2).all(|pair| pair[0] <= pair[1]), "{narrow:?} and {wide:?}");
                prop_assert_eq!(narrow.line.to_bits(), wide.line.to_bits());
            }
        }
        prop_assert!(backtest_error(&daily).is_none_or(|error| error >= 0.0 && error.is_finite()));
    }

    #[test]
    fn days_before_the_first_observation_do_not_matter(daily in any_daily(), before in 0..50_usize) {
        let padded = [&vec![None; before][..], &daily].concat();
        prop_assert_eq!(forecast(&padded, 7.0, 20, 0.9), forecast(&daily, 7.0, 20, 0.9));
    }

    #[test]
    fn a_threshold_is_reached_where_walking_along_each_edge_first_meets_it(found in any_forecast(), threshold in 0.01..1.5) {
        let reaching = found.reaching(threshold);
        let edge = |value: fn(&Expected) -> f64| {
            let days: Vec<_> = found.days.iter().map(value).collect();
            walk(found.newest_gb, &days, threshold * 40.0)
        };
        let times = [(reaching.expected, edge(|day| day.line)), (reaching.earliest, edge(|day| day.upper)), (reaching.latest, edge(|day| day.lower))];
        for (found, expected) in times {
            prop_assert_eq!(found.is_some(), expected.is_some());
            prop_assert!((found.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 0.0011, "{found:?} is not {expected:?}");
        }
        let order = [reaching.earliest, reaching.expected, reaching.latest].map(|time| time.unwrap_or(f64::MAX));
        prop_assert!(order[0] <= order[1] && order[1] <= order[2]);
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "the same rounding")]
    fn daily_values_are_the_last_known_of_each_day_that_ends_with_this_hour(runs in any_runs(), now in 0..40 * 86_400_000_000_i64) {
        let now = Timestamp::from_microsecond(BASE_MS * 1000 + now).unwrap();
        let found = daily_values(&segments(&runs, now), now);
        prop_assert_eq!(found.len(), MAX_DAYS);
        for (place, found) in found.into_iter().rev().enumerate().take(45) {
            let hour = now.as_millisecond() / 3_600_000 * 3_600_000;
            let mark = |ago: i64| if ago == 0 { now } else { Timestamp::from_millisecond(hour - ago * 86_400_000).unwrap() };
            let ago = i64::try_from(place).unwrap();
            let parts = oracle::parts(&runs, mark(ago + 1), mark(ago), now);
            let expected = parts.into_iter().rev().find_map(|(micros, sums)| sums.filter(|_| micros > 0)).map(|sums| sums.0 as f64);
            prop_assert_eq!(found, expected, "{} days ago", place);
        }
    }
}
