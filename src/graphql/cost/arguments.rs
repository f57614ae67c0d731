//! The arguments by which fields count.

use async_graphql::parser::types::{Field, VariableDefinition};
use async_graphql::{Positioned, ScalarType, Value, Variables};
use jiff::Timestamp;

use super::super::scalars::{Duration, Instant, Integer};
use super::super::services::MAX_POINTS;
use super::fields::ENTRIES;
use crate::quota::TimeRange;
use crate::quota::calendar::estimate_count;

/// Days of a forecast at most.
const MAX_DAYS: usize = 731;
/// What is given where there is no value of its type. It is refused by a better sentence when it is validated or resolved.
const WRONG: usize = 0;

/// Where arguments get their values from.
pub(super) struct Arguments<'a> {
    pub variables: &'a Variables,
    pub definitions: &'a [Positioned<VariableDefinition>],
    pub now: Timestamp,
}

/// A number, and whether it is a matter of variables or of the time.
type Counted = (usize, bool);

impl Arguments<'_> {
    /// The value of an argument; `None` when it is not given. Besides: whether it is a variable's.
    fn value(&self, field: &Field, name: &str) -> (Option<Value>, bool) {
        let Some(given) = field.get_argument(name) else { return (None, false) };
        let mut is_variable = false;
        let value = given.node.clone().into_const_with(|name| {
            is_variable = true;
            let default = || {
                let definition = self.definitions.iter().find(|definition| definition.node.name.node == name)?;
                definition.node.default_value.as_ref().map(|default| default.node.clone())
            };
            self.variables.get(&name).cloned().or_else(default).ok_or(())
        });
        (value.ok(), is_variable)
    }

    fn scalar<T: ScalarType>(&self, field: &Field, name: &str) -> (Option<T>, bool) {
        let (value, is_variable) = self.value(field, name);
        let value = value.filter(|value| *value != Value::Null && T::is_valid(value));
        (value.and_then(|value| T::parse(value).ok()), is_variable)
    }

    fn number(&self, field: &Field, name: &str) -> (Option<usize>, bool) {
        let (number, is_variable) = self.scalar::<Integer>(field, name);
        (number.map(Integer::asked), is_variable)
    }

    /// How many an argument asks for.
    pub(super) fn count(&self, field: &Field, name: &str, default: usize) -> Counted {
        let (number, is_variable) = self.number(field, name);
        (number.unwrap_or(default), is_variable)
    }

    /// The entries of a page.
    pub(super) fn page(&self, field: &Field) -> Counted {
        let ((first, of_first), (last, of_last)) = (self.number(field, "first"), self.number(field, "last"));
        (first.or(last).unwrap_or(ENTRIES), of_first || of_last)
    }

    /// The entries of a list that is given. One value stands for a list of it.
    pub(super) fn length(&self, field: &Field, name: &str) -> Counted {
        let (value, is_variable) = self.value(field, name);
        let length = match value {
            Some(Value::List(values)) => values.len(),
            Some(_) => 1,
            None => WRONG,
        };
        (length, is_variable)
    }

    /// The points that a series is asked for, as near as the usual length of the interval tells, and no more than may be given.
    pub(super) fn points(&self, field: &Field) -> Counted {
        let ((from, of_from), (to, of_to)) = (self.scalar::<Instant>(field, "from"), self.scalar::<Instant>(field, "to"));
        let (interval, of_interval) = self.scalar::<Duration>(field, "interval");
        let readable = || {
            let range = TimeRange {
                from: from?.read("from").ok()?,
                to: Instant::read_optional(to.as_ref(), "to").ok()?.unwrap_or(self.now),
            };
            let interval = interval.unwrap_or_else(|| Duration::from_static("P1D"));
            Some((range, interval.as_interval("interval").ok()?))
        };
        let until_now = to.is_none();
        let points = readable().map_or(0, |(range, interval)| estimate_count(range, interval));
        let points = usize::try_from(points).unwrap_or(MAX_POINTS).min(MAX_POINTS);
        (points, until_now || of_from || of_to || of_interval)
    }

    /// The days of a forecast. They depend on the calendar by so little that they count alike at any time.
    pub(super) fn days(&self, field: &Field) -> Counted {
        let (horizon, is_variable) = self.scalar::<Duration>(field, "horizon");
        let horizon = horizon.unwrap_or_else(|| Duration::from_static("P180D"));
        let days = horizon
            .as_stretch("horizon", self.now)
            .map_or(0, |period| period.after(self.now).duration_since(self.now).as_hours() / 24);
        (usize::try_from(days).unwrap_or(WRONG).min(MAX_DAYS), is_variable)
    }
}
