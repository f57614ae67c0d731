//! What the answer to a document costs: the complexity that `limits.complexity` limits.
//!
//! Every field counts one, and what it holds as often as it may be there: entries of pages, groups, steps, representations of entities, and
//! points of series, each with the fields that are asked of it; and the values of its arguments where there are many. It is counted on the parsed document before it is validated and executed,
//! which takes longer, and saturates instead of overflowing. What is wrong in a document counts little, for it is refused afterwards.
//!
//! The library counts too, while it validates, but does not know the fields that it makes itself (`_entities`), nor the time.

mod arguments;
mod fields;

use std::collections::HashMap;

use async_graphql::parser::types::{ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet};
use async_graphql::{Name, Positioned, Variables};
use jiff::Timestamp;

use self::arguments::Arguments;
use self::fields::{FieldTypes, Rule, rule};
use crate::graphql::services::MAX_POINTS;

/// Points that count one when they have no more than [`FIELDS_OF_POINT`] fields: about as much work as one other field.
const POINTS_OF_ONE: usize = 10;

/// Fields that a point may have without counting more. A full selection has as many: four of its own, and three measures with eight figures.
const FIELDS_OF_POINT: usize = 15;

/// Lists of the schema's fields within each other that an introspection may have; each of them is some times longer than the one around it.
const INTROSPECTED_LISTS: usize = 2;

/// What a document costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The complexity of the costliest operation.
    pub complexity: usize,
    /// Whether it is the same whatever the variables and the time are.
    pub is_steady: bool,
    /// How often all tenants of the caller are gone through: roots of lists and fleets, of which some sort and some filter.
    pub sweeps: usize,
    /// Whether it asks for fields of fields of fields … of the schema.
    pub introspects_deep: bool,
}

/// What a document costs with these variables at this instant. One that has more than `nesting` selection sets within each other is not
/// walked through; it must have been refused before.
pub(in crate::graphql) fn cost_of(document: &ExecutableDocument, variables: &Variables, now: Timestamp, nesting: usize) -> Cost {
    let mut cost = Cost { complexity: 0, is_steady: true, sweeps: 0, introspects_deep: false };
    for (_, operation) in document.operations.iter() {
        let operation = &operation.node;
        let arguments = Arguments::new(variables, &operation.variable_definitions, now);
        let mut walk = Walk { document, arguments, types: FieldTypes::of_schema(), known: HashMap::new(), cost: &mut cost };
        let sum = walk.set(root_of(operation), &operation.selection_set.node, 0, nesting);
        cost.complexity = cost.complexity.max(sum.fields);
    }
    cost
}

/// Whether one of the variables has so many values that a document costs more with it.
pub(in crate::graphql) fn has_large(variables: &Variables) -> bool {
    arguments::has_large(variables)
}

fn root_of(operation: &OperationDefinition) -> &'static str {
    match operation.ty {
        async_graphql::parser::types::OperationType::Query => "Query",
        async_graphql::parser::types::OperationType::Mutation => "Mutation",
        async_graphql::parser::types::OperationType::Subscription => "Subscription",
    }
}

/// What a part of a document costs.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    fields: usize,
    /// The fields of a point, of which the series that they belong to knows how many there are.
    of_point: usize,
}

impl Sum {
    fn with(self, other: Self) -> Self {
        Self { fields: self.fields.saturating_add(other.fields), of_point: self.of_point.saturating_add(other.of_point) }
    }
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    arguments: Arguments<'a>,
    types: &'static FieldTypes,
    /// What fragments cost within so many lists of the schema's fields; `None` while it is being found.
    known: HashMap<(&'a Name, usize), Option<Sum>>,
    cost: &'a mut Cost,
}

impl<'a> Walk<'a> {
    fn set(&mut self, of_type: &'a str, set: &'a SelectionSet, lists: usize, room: usize) -> Sum {
        let Some(room) = room.checked_sub(1) else { return Sum::default() };
        let mut has_type_name = false;
        set.items.iter().fold(Sum::default(), |sum, item| {
            sum.with(match &item.node {
                // Clients put it everywhere; once it costs nothing.
                Selection::Field(field) if field.node.name.node == "__typename" && !has_type_name => {
                    has_type_name = true;
                    Sum::default()
                }
                Selection::Field(field) => self.field(of_type, &field.node, lists, room),
                Selection::InlineFragment(fragment) => {
                    let condition = fragment.node.type_condition.as_ref().map(|condition| condition.node.on.node.as_str());
                    self.set(condition.unwrap_or(of_type), &fragment.node.selection_set.node, lists, room)
                }
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node, lists, room),
            })
        })
    }

    fn fragment(&mut self, name: &'a Name, lists: usize, room: usize) -> Sum {
        match self.known.get(&(name, lists)) {
            Some(known) => return known.unwrap_or_default(),
            None => self.known.insert((name, lists), None),
        };
        let Some(Positioned { node: fragment, .. }) = self.document.fragments.get(name) else { return Sum::default() };
        let sum = self.set(fragment.type_condition.node.on.node.as_str(), &fragment.selection_set.node, lists, room);
        self.known.insert((name, lists), Some(sum));
        sum
    }

    fn field(&mut self, of_type: &'a str, field: &'a Field, lists: usize, room: usize) -> Sum {
        let name = field.name.node.as_str();
        let rule = rule(of_type, name);
        let lists = lists + usize::from(rule == Rule::ListOfSchema);
        self.cost.introspects_deep |= lists > INTROSPECTED_LISTS;
        let within = self.set(self.types.of_field(of_type, name), &field.selection_set.node, lists, room);
        let arguments = &self.arguments;
        let mut is_steady = true;
        let mut steady = |(number, of_variable): (usize, bool)| {
            is_steady &= !of_variable;
            number
        };
        let Sum { fields, of_point } = within;
        let times = |times: usize, more: usize| Sum { fields: times.saturating_mul(fields).saturating_add(more), of_point };
        let sum = match rule {
            Rule::Plain => times(1, 1),
            Rule::Point => Sum { fields: 1, of_point: fields },
            Rule::Adds(own) => times(1, own),
            Rule::Sweeps(own) => {
                self.cost.sweeps = self.cost.sweeps.saturating_add(1);
                times(1, own)
            }
            Rule::Page { sweeps } => {
                self.cost.sweeps = self.cost.sweeps.saturating_add(usize::from(sweeps));
                times(steady(arguments.page(field)), 3)
            }
            Rule::Runs => {
                let runs = steady(arguments.page(field));
                // A page that is too long is refused by a better sentence.
                times(runs, runs.min(MAX_POINTS).div_ceil(POINTS_OF_ONE) + 3)
            }
            Rule::List { argument, default, own } => times(steady(arguments.count(field, argument, default)), own),
            Rule::Times(count) | Rule::Introspected(count) => times(count, 1),
            Rule::ListOfSchema => times(4, 1),
            Rule::Entities => times(steady(arguments.length(field, "representations")), 3),
            Rule::Series(own) => {
                let points = steady(arguments.points(field));
                Sum { fields: fields.saturating_add(own).saturating_add(points_cost(points, of_point)), of_point: 0 }
            }
            Rule::Forecast(own) => {
                let days = if of_point == 0 { 0 } else { steady(arguments.days(field)) };
                Sum { fields: fields.saturating_add(own).saturating_add(points_cost(days, of_point)), of_point: 0 }
            }
        };
        let weight = steady(arguments.weight(field));
        self.cost.is_steady &= is_steady;
        Sum { fields: sum.fields.saturating_add(weight), ..sum }
    }
}

/// What so many points with so many fields cost.
fn points_cost(points: usize, fields: usize) -> usize {
    points.saturating_mul(fields.max(FIELDS_OF_POINT)).div_ceil(POINTS_OF_ONE * FIELDS_OF_POINT)
}

#[cfg(test)]
mod tests;
