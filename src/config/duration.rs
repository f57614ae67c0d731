//! Durations in the config: text such as `"90s"`, `"5m"`, `"1h 30m"`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::Invalid;

/// A duration for people: `2 days`, `1 h 30 min`, `250 ms`.
pub(super) fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let days = seconds / 86_400;
    let parts = [
        (days, if days == 1 { "day" } else { "days" }),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
        (u64::from(duration.subsec_millis()), "ms"),
        (u64::from(duration.subsec_nanos() % 1_000_000), "ns"),
    ];
    let shown: Vec<String> = parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count} {unit}")).collect();
    if shown.is_empty() { "0 s".to_owned() } else { shown.join(" ") }
}

/// Refuses a duration outside of the range.
pub(super) fn require_within(field: &str, value: Duration, range: RangeInclusive<Duration>) -> Result<(), Invalid> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Invalid::found(field, format!("must be between {} and {}", show(*range.start()), show(*range.end())), show(value)))
}

/// Refuses zero, which nobody means and which would time out before it begins, and spans over 100 days, which overflow sums with instants
/// sooner or later.
pub(super) fn require_positive(field: &str, value: Duration) -> Result<(), Invalid> {
    require_within(field, value, Duration::from_millis(1)..=Duration::from_hours(100 * 24))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_with_every_unit_that_counts() {
        let cases = [
            (Duration::ZERO, "0 s"),
            (Duration::from_secs(1), "1 s"),
            (Duration::from_hours(24), "1 day"),
            (Duration::from_hours(48), "2 days"),
            (Duration::from_mins(90), "1 h 30 min"),
            (Duration::from_millis(1500), "1 s 500 ms"),
            (Duration::from_nanos(7), "7 ns"),
        ];
        for (duration, text) in cases {
            assert_eq!(show(duration), text);
        }
    }
}
