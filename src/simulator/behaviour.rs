//! How a simulated tenant behaves, as the library and the control API set it.

use serde::{Deserialize, Serialize};

use crate::quota::SpaceTypeAllocation;

/// The longest delay: ten minutes.
const MAX_DELAY_MS: u64 = 600_000;
/// The largest skew of a clock, either way: ten years.
const MAX_SKEW_S: i64 = 10 * 366 * 86_400;

/// How a tenant behaves; the default is that of a healthy one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// How long each answer takes, in milliseconds; at most 600,000.
    pub delay_ms: u64,
    /// Fails with this status, 300 to 599; redirects lead to the same address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Fails with this business code, in an answer with status 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
    /// Sends a body that is no valid answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub garbage: Option<Garbage>,
    /// Breaks the connection off in the middle of the answer.
    pub drop: bool,
    /// Fails so often and is healthy again; without it the failure lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_times: Option<u32>,
    /// How far this tenant's server clock is ahead of the right time, in seconds; within ten years.
    pub clock_skew_s: i64,
    /// Answers 429 to all requests above so many in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_per_minute: Option<u32>,
    /// The `Retry-After` header, in seconds, of answers that are no success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// Values instead of the tenant's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<SpaceTypeValue>>,
    /// The form of the body instead of the tenant's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
}

/// The allocation of one space type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SpaceTypeValue {
    #[serde(rename = "type")]
    pub space_type: i32,
    pub allocated_gb: i64,
    pub total_gb: i64,
}

impl From<SpaceTypeAllocation> for SpaceTypeValue {
    fn from(value: SpaceTypeAllocation) -> Self {
        Self { space_type: value.space_type, allocated_gb: value.allocated_gb, total_gb: value.total_gb }
    }
}

impl From<SpaceTypeValue> for SpaceTypeAllocation {
    fn from(value: SpaceTypeValue) -> Self {
        Self { space_type: value.space_type, allocated_gb: value.allocated_gb, total_gb: value.total_gb }
    }
}

/// The forms in which the reference documents and shows a good body. Objects can hold one space type only; several come as an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// As documented: an array, numbers, and the code as a text.
    ArrayOfNumbers,
    ArrayOfTexts,
    ObjectOfNumbers,
    /// As in the reference's example: an object, texts, and the code as a number.
    ObjectOfTexts,
}

/// Bodies that are no valid answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say what they are")]
pub enum Garbage {
    Html,
    NotJson,
    Truncated,
    EmptyBody,
    NoData,
    NullData,
    EmptyList,
    NoCode,
    WrongTypes,
    Negative,
    Fractional,
    Exponent,
    Overflow,
    TypeOverflow,
    DuplicateType,
    /// A valid answer after more than 1 MiB of white space.
    TooLarge,
}

impl Garbage {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Html,
        Self::NotJson,
        Self::Truncated,
        Self::EmptyBody,
        Self::NoData,
        Self::NullData,
        Self::EmptyList,
        Self::NoCode,
        Self::WrongTypes,
        Self::Negative,
        Self::Fractional,
        Self::Exponent,
        Self::Overflow,
        Self::TypeOverflow,
        Self::DuplicateType,
        Self::TooLarge,
    ];
}

/// Why a behaviour cannot be had. The sentence says what to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidBehaviour(pub(super) String);

impl Behaviour {
    /// Whether it fails in any way that [`Self::fail_times`] counts.
    pub(super) fn fails(&self) -> bool {
        self.status.is_some() || self.code.is_some() || self.garbage.is_some() || self.drop
    }

    /// Checks the ranges.
    pub(super) fn validate(&self) -> Result<(), InvalidBehaviour> {
        let require = |holds: bool, sentence: &str| if holds { Ok(()) } else { Err(InvalidBehaviour(sentence.to_owned())) };
        require(self.delay_ms <= MAX_DELAY_MS, "delay_ms must be at most 600000")?;
        require(self.status.is_none_or(|s| (300..600).contains(&s)), "status must be between 300 and 599")?;
        require(self.code != Some(0), "code must not be 0, which is the code of success")?;
        require(self.clock_skew_s.abs() <= MAX_SKEW_S, "clock_skew_s must be within ten years")?;
        require(self.fail_times.is_none() || self.fails(), "fail_times needs one of status, code, garbage or drop")?;
        let values = self.values.as_deref().unwrap_or_default();
        require(self.values.is_none() || !values.is_empty(), "values must list a space type")?;
        require(values.iter().all(|v| v.allocated_gb >= 0 && v.total_gb >= 0), "values must not be negative")?;
        let mut types: Vec<i32> = values.iter().map(|v| v.space_type).collect();
        types.sort_unstable();
        require(types.windows(2).all(|w| w[0] != w[1]), "values must list each type once")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_range_has_its_sentence() {
        let healthy = Behaviour::default;
        let value = |space_type, allocated_gb| SpaceTypeValue { space_type, allocated_gb, total_gb: 1 };
        for (behaviour, field) in [
            (Behaviour { delay_ms: 600_001, ..healthy() }, "delay_ms"),
            (Behaviour { status: Some(204), ..healthy() }, "status"),
            (Behaviour { status: Some(600), ..healthy() }, "status"),
            (Behaviour { code: Some(0), ..healthy() }, "code"),
            (Behaviour { clock_skew_s: -400_000_000, ..healthy() }, "clock_skew_s"),
            (Behaviour { fail_times: Some(1), ..healthy() }, "fail_times"),
            (Behaviour { values: Some(vec![]), ..healthy() }, "values"),
            (Behaviour { values: Some(vec![value(0, -1)]), ..healthy() }, "values"),
            (Behaviour { values: Some(vec![value(0, 1), value(0, 2)]), ..healthy() }, "values"),
        ] {
            let sentence = behaviour.validate().unwrap_err().to_string();
            assert!(sentence.starts_with(field), "{sentence}");
        }
        assert_eq!(healthy().validate(), Ok(()));
        assert_eq!(Behaviour { drop: true, fail_times: Some(1), ..healthy() }.validate(), Ok(()));
    }
}
