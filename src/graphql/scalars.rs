//! The scalars that GraphQL does not have.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use jiff::{SignedDuration, Timestamp};

use super::error::ApiError;
use crate::quota::{Interval, Period};

/// An instant. RFC 3339 with any offset on the way in, UTC with Z on the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateTime(pub Timestamp);

/// An instant. RFC 3339 with any offset on the way in, UTC with Z on the way out.
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
///
/// Any text until it is read for what it is to be: the scalar does not know the name of its argument, which an error must tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duration(String);

/// A span of time, ISO 8601: PT5M, PT1H, P1D, P1W, P1M, P1Y. Days and longer follow the calendar of the time zone at hand.
#[Scalar(name = "Duration")]
impl ScalarType for Duration {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

impl From<Interval> for Duration {
    fn from(interval: Interval) -> Self {
        Self(interval.to_string())
    }
}

impl Duration {
    /// A default of the schema.
    pub fn from_static(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// The span as an age of what is known at `now`.
    ///
    /// # Errors
    /// When the text is none.
    pub fn as_age(&self, argument: &str, now: Timestamp) -> Result<SignedDuration, ApiError> {
        Ok(self.as_period(argument)?.length_before(now))
    }

    /// The span as a stretch of time of more than nothing, beside `now`.
    ///
    /// # Errors
    /// When the text is none, or has no length.
    pub fn as_stretch(&self, argument: &str, now: Timestamp) -> Result<Period, ApiError> {
        let period = self.as_period(argument)?;
        if period.length_before(now).is_zero() { Err(ApiError::argument(argument, "must be longer than zero")) } else { Ok(period) }
    }

    /// The span as the length of buckets.
    ///
    /// # Errors
    /// When no calendar bucket has that length.
    pub fn as_interval(&self, argument: &str) -> Result<Interval, ApiError> {
        self.0.parse().map_err(|refused| self.refuse(argument, refused))
    }

    fn as_period(&self, argument: &str) -> Result<Period, ApiError> {
        self.0.parse().map_err(|refused| self.refuse(argument, refused))
    }

    fn refuse(&self, argument: &str, refused: impl std::fmt::Display) -> ApiError {
        let shown: String = self.0.chars().take(40).collect();
        ApiError::argument(argument, format_args!("{shown:?}: {refused}"))
    }
}
