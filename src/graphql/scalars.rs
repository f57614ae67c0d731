//! The scalars that GraphQL does not have.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use jiff::{SignedDuration, Span, Timestamp};

use super::error::ApiError;

/// An instant. RFC 3339 with any offset on the way in, UTC with Z on the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateTime(pub Timestamp);

#[Scalar(name = "DateTime", specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => text.parse().map(Self).map_err(|_| {
                InputValueError::custom(format!("{text:?} is no instant; RFC 3339 with an offset is one: 2026-03-01T00:00:00Z"))
            }),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// A span of time, ISO 8601: PT5M, PT1H, P1D, P1W, P1M, P1Y. Days and longer follow the calendar of the time zone at hand.
#[derive(Clone, Copy, Debug)]
pub struct Duration(pub Span);

#[Scalar(name = "Duration", specified_by_url = "https://www.iso.org/iso-8601-date-and-time-format.html")]
impl ScalarType for Duration {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        let iso = text.trim_start_matches(['+', '-']).starts_with(['P', 'p']);
        match text.parse() {
            Ok(span) if iso => Ok(Self(span)),
            _ => Err(InputValueError::custom(format!("{text:?} is no span of time; ISO 8601 has them: PT5M, PT1H, P1D, P1W, P1M, P1Y"))),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

impl Duration {
    /// One day of the calendar.
    pub fn one_day() -> Self {
        Self(Span::new().days(1))
    }

    /// The span as an age: days count 24 hours, weeks seven days.
    ///
    /// # Errors
    /// For negative spans and for months and years, whose length depends on the date.
    pub fn as_age(&self, argument: &str) -> Result<SignedDuration, ApiError> {
        if self.0.is_negative() {
            return Err(ApiError::argument(argument, "must not be negative"));
        }
        let days = SignedDuration::from_hours(24 * (i64::from(self.0.get_weeks()) * 7 + i64::from(self.0.get_days())));
        let time = self.0.weeks(0).days(0);
        if time.get_years() != 0 || time.get_months() != 0 {
            return Err(ApiError::argument(argument, "must be in weeks, days or smaller: months and years differ in length"));
        }
        let time = SignedDuration::try_from(time).map_err(|_| ApiError::argument(argument, "is too long"))?;
        days.checked_add(time).ok_or_else(|| ApiError::argument(argument, "is too long"))
    }
}
