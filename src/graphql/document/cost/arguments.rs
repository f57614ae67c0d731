//! The arguments by which fields count.

use async_graphql::parser::types::{Field, VariableDefinition};
use async_graphql::{Name, Positioned, ScalarType, Value, Variables};
use async_graphql_value::Value as Given;
use jiff::Timestamp;

use super::fields::ENTRIES;
use crate::graphql::scalars::{Duration, Instant, Integer};
use crate::graphql::services::MAX_POINTS;
use crate::quota::TimeRange;
use crate::quota::calendar::estimate_count;

/// Days of a forecast at most.
const MAX_DAYS: usize = 731;
/// What is given where there is no value of its type. It is refused by a better sentence when it is validated or resolved.
const WRONG: usize = 0;

/// Values of an argument, those within lists and objects included, that count one: they are read anew wherever they are used.
const VALUES_OF_ONE: usize = 10;
/// Bytes of a text that count as much as a value.
const BYTES_OF_VALUE: usize = 100;

/// Where arguments get their values from.
pub(in crate::graphql) struct Arguments<'a> {
    variables: &'a Variables,
    definitions: &'a [Positioned<VariableDefinition>],
    now: Timestamp,
    /// How many values each variable has that is large.
    large: Vec<(&'a Name, usize)>,
}

/// A number, and whether it is a matter of variables or of the time.
type Counted = (usize, bool);

/// Whether one of the variables has so many values that it counts by itself wherever it is used.
pub(in crate::graphql) fn has_large(variables: &Variables) -> bool {
    variables.values().any(|value| count_values(value) >= VALUES_OF_ONE)
}

/// How many values there are within a value and with it.
fn count_values(value: &Value) -> usize {
    1 + match value {
        Value::String(text) => text.len() / BYTES_OF_VALUE,
        Value::List(values) => values.iter().map(count_values).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| name.len() / BYTES_OF_VALUE + count_values(value)).sum(),
        _ => 0,
    }
}

impl<'a> Arguments<'a> {
    pub(in crate::graphql) fn new(
        variables: &'a Variables,
        definitions: &'a [Positioned<VariableDefinition>],
        now: Timestamp,
    ) -> Self {
        let large = definitions.iter().filter_map(|definition| {
            let VariableDefinition { name, default_value, .. } = &definition.node;
            let value = variables.get(&name.node).or(default_value.as_ref().map(|default| &default.node))?;
            Some((&name.node, count_values(value))).filter(|(_, values)| *values >= VALUES_OF_ONE)
        });
        Self { variables, definitions, now, large: large.collect() }
    }

    /// What the values of a field's arguments count.
    pub(in crate::graphql) fn weight(&self, field: &Field) -> Counted {
        let mut is_variable = false;
        let values: usize = field.arguments.iter().map(|(_, given)| self.count_given(&given.node, &mut is_variable)).sum();
        (values / VALUES_OF_ONE, is_variable)
    }

    fn count_given(&self, given: &Given, is_variable: &mut bool) -> usize {
        1 + match given {
            Given::Variable(name) => match self.large.iter().find(|(large, _)| *large == name) {
                Some((_, values)) => {
                    *is_variable = true;
                    *values
                }
                None => 0,
            },
            Given::String(text) => text.len() / BYTES_OF_VALUE,
            Given::List(values) => values.iter().map(|value| self.count_given(value, is_variable)).sum(),
            Given::Object(members) => members.values().map(|value| self.count_given(value, is_variable)).sum(),
            _ => 0,
        }
    }

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
    pub(in crate::graphql) fn count(&self, field: &Field, name: &str, default: usize) -> Counted {
        let (number, is_variable) = self.number(field, name);
        (number.unwrap_or(default), is_variable)
    }

    /// The entries of a page.
    pub(in crate::graphql) fn page(&self, field: &Field) -> Counted {
        let ((first, of_first), (last, of_last)) = (self.number(field, "first"), self.number(field, "last"));
        (first.or(last).unwrap_or(ENTRIES), of_first || of_last)
    }

    /// The entries of a list that is given. One value stands for a list of it.
    pub(in crate::graphql) fn length(&self, field: &Field, name: &str) -> Counted {
        let (value, is_variable) = self.value(field, name);
        let length = match value {
            Some(Value::List(values)) => values.len(),
            Some(_) => 1,
            None => WRONG,
        };
        (length, is_variable)
    }

    /// The points that a series is asked for, as near as the usual length of the interval tells, and no more than may be given.
    pub(in crate::graphql) fn points(&self, field: &Field) -> Counted {
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
    pub(in crate::graphql) fn days(&self, field: &Field) -> Counted {
        let (horizon, is_variable) = self.scalar::<Duration>(field, "horizon");
        let horizon = horizon.unwrap_or_else(|| Duration::from_static("P180D"));
        let days = horizon
            .as_stretch("horizon", self.now)
            .map_or(0, |period| period.after(self.now).duration_since(self.now).as_hours() / 24);
        (usize::try_from(days).unwrap_or(WRONG).min(MAX_DAYS), is_variable)
    }
}
