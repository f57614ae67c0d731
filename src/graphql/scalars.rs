//! The scalars that GraphQL does not have, and integers.
//!
//! A scalar that is given does not know the name of its argument, which an error must tell. So the validation looks at its kind only, and
//! what it means is read where the name is known.

use std::fmt::Display;
use std::str::FromStr;

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use jiff::{SignedDuration, Timestamp};

use super::error::ApiError;
use crate::quota::{Interval, Period, parse_instant};

/// A date and time (RFC 3339). Input takes any offset and fractions down to nanoseconds; output is in UTC with Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateTime(pub Timestamp);

/// A date and time (RFC 3339). Input takes any offset and fractions down to nanoseconds; output is in UTC with Z.
#[Scalar(name = "DateTime", specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => {
                parse_instant(text).map(Self).ok_or_else(|| InputValueError::custom("not an instant of RFC 3339"))
            }
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn is_valid(value: &Value) -> bool {
        is_text(value)
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// A [`DateTime`] that was given: any text until it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instant(String);

/// A date and time (RFC 3339). Input takes any offset and fractions down to nanoseconds; output is in UTC with Z.
#[Scalar(name = "DateTime", specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339")]
impl ScalarType for Instant {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(text_of(value)))
    }

    fn is_valid(value: &Value) -> bool {
        is_text(value)
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

impl Instant {
    /// The instant.
    ///
    /// # Errors
    /// When the text is none.
    pub fn read(&self, argument: &str) -> Result<Timestamp, ApiError> {
        let mend = || refuse(&self.0, argument, " is not a date and time; write RFC 3339 with an offset: 2026-03-01T00:00:00Z");
        parse_instant(&self.0).ok_or_else(mend)
    }

    /// The instant of an argument that may be left out.
    ///
    /// # Errors
    /// When the text is none.
    pub fn read_optional(given: Option<&Self>, argument: &str) -> Result<Option<Timestamp>, ApiError> {
        given.map(|given| given.read(argument)).transpose()
    }
}

/// A duration (ISO 8601): PT5M, PT1H, P1D, P1W, P1M, P1Y. Days and longer units follow the calendar of the time zone in use.
///
/// Any text until it is read for what it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duration(String);

/// A duration (ISO 8601): PT5M, PT1H, P1D, P1W, P1M, P1Y. Days and longer units follow the calendar of the time zone in use.
#[Scalar(name = "Duration")]
impl ScalarType for Duration {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(text_of(value)))
    }

    fn is_valid(value: &Value) -> bool {
        is_text(value)
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
        self.read(argument)
    }

    fn as_period(&self, argument: &str) -> Result<Period, ApiError> {
        self.read(argument)
    }

    fn read<T: FromStr<Err: Display>>(&self, argument: &str) -> Result<T, ApiError> {
        self.0.parse().map_err(|refused| refuse(&self.0, argument, format_args!(": {refused}")))
    }
}

/// A whole number that was given, of 32 bits as GraphQL's `Int` is: any number until it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integer(Option<i64>);

/// The `Int` scalar type represents non-fractional whole numeric values.
#[Scalar(name = "Int")]
impl ScalarType for Integer {
    fn parse(value: Value) -> InputValueResult<Self> {
        let number = if let Value::Number(number) = value { number.as_i64() } else { None };
        Ok(Self(number))
    }

    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::Number(number) if number.is_i64())
    }

    fn to_value(&self) -> Value {
        self.0.map_or(Value::Null, Value::from)
    }
}

impl From<i32> for Integer {
    fn from(number: i32) -> Self {
        Self(Some(number.into()))
    }
}

impl Integer {
    /// The number of an argument that may be left out.
    ///
    /// # Errors
    /// When it has more than 32 bits.
    pub fn read_optional(given: Option<Self>, argument: &str) -> Result<Option<i32>, ApiError> {
        let read = |given: Self| given.0.and_then(|number| i32::try_from(number).ok());
        let mend = || ApiError::argument(argument, format_args!("must be an integer from {} to {}", i32::MIN, i32::MAX));
        given.map(|given| read(given).ok_or_else(mend)).transpose()
    }

    /// How many there are to be.
    ///
    /// # Errors
    /// When the number is negative or more than the limit.
    pub fn read_count(self, argument: &str, limit: usize) -> Result<usize, ApiError> {
        match self.0.map(usize::try_from) {
            Some(Ok(count)) if count <= limit => Ok(count),
            Some(Err(_)) => Err(ApiError::argument(argument, "must not be negative")),
            _ => Err(ApiError::argument(argument, format_args!("must be at most {limit}"))),
        }
    }

    /// How many a document asks for, as far as its complexity goes: wrong numbers count nothing, for they are refused anyway.
    pub fn asked(self) -> usize {
        self.0.and_then(|number| usize::try_from(number).ok()).unwrap_or(0)
    }
}

fn is_text(value: &Value) -> bool {
    matches!(value, Value::String(_))
}

/// The text that is given. The validation has refused all else; as a text it is nothing that can be read.
fn text_of(value: Value) -> String {
    if let Value::String(text) = value { text } else { value.to_string() }
}

fn refuse(given: &str, argument: &str, mend: impl Display) -> ApiError {
    let shown: String = given.chars().take(40).collect();
    ApiError::argument(argument, format_args!("{shown:?}{mend}"))
}
