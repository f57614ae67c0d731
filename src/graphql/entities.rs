//! Equal representations of entities are loaded and made once, however often a gateway names them.
//!
//! The library makes `_entities` itself, one entity for each representation. So equal ones are taken out of the request before it is executed,
//! and what was made of the others is put into each place afterwards.

use std::collections::HashMap;

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql::{Name, Value, Variables};

use super::budget::Budget;

/// The field that gives entities.
pub(super) const ENTITIES: &str = "_entities";

/// Which of the different representations stands in each place, by the keys of the fields in the answer.
#[derive(Debug, Default)]
pub(super) struct Repeats(HashMap<Name, Vec<usize>>);

impl Repeats {
    /// Takes repeated representations out of a request; `None` when there are none. Where there are several operations, which may call
    /// different fields alike, nothing is taken out.
    pub(super) fn take_out(document: &mut ExecutableDocument, variables: &mut Variables) -> Option<Self> {
        let operation = match &mut document.operations {
            DocumentOperations::Single(operation) => operation,
            DocumentOperations::Multiple(operations) if operations.len() == 1 => operations.values_mut().next()?,
            DocumentOperations::Multiple(_) => return None,
        };
        let mut taking = Taking { variables, of_variables: HashMap::new(), repeats: HashMap::new() };
        taking.set(&mut operation.node.selection_set.node);
        document.fragments.values_mut().for_each(|fragment| taking.set(&mut fragment.node.selection_set.node));
        let repeats = taking.repeats;
        (!repeats.is_empty()).then_some(Self(repeats))
    }

    /// Puts what was made into each place. `None` when the answer becomes too large.
    pub(super) fn put_in(&self, field: &Field, made: Value, budget: &Budget) -> Option<Value> {
        let (Some(places), Value::List(made)) = (self.0.get(&field.response_key().node), &made) else { return Some(made) };
        let mut all = Vec::with_capacity(places.len());
        let mut seen = 0;
        for place in places {
            let entity = made.get(*place)?;
            // The first one of each has spent its own.
            if *place < seen && !budget.spend_copy(entity) {
                return None;
            }
            seen = seen.max(place + 1);
            all.push(entity.clone());
        }
        Some(Value::List(all))
    }
}

struct Taking<'a> {
    variables: &'a mut Variables,
    of_variables: HashMap<Name, Option<Vec<usize>>>,
    repeats: HashMap<Name, Vec<usize>>,
}

impl Taking<'_> {
    fn set(&mut self, set: &mut SelectionSet) {
        for item in &mut set.items {
            match &mut item.node {
                Selection::Field(field) if field.node.name.node == ENTITIES => self.field(&mut field.node),
                Selection::InlineFragment(fragment) => self.set(&mut fragment.node.selection_set.node),
                Selection::Field(_) | Selection::FragmentSpread(_) => {}
            }
        }
    }

    fn field(&mut self, field: &mut Field) {
        let key = field.response_key().node.clone();
        let Some((_, given)) = field.arguments.iter_mut().find(|(name, _)| name.node == "representations") else { return };
        let given = &mut given.node;
        let places = match given.clone().into_const_with(|_| Err(())) {
            Ok(Value::List(mut values)) => without_repeats(&mut values).inspect(|_| *given = Value::List(values).into_value()),
            Ok(_) => None,
            // A variable stands there, or somewhere within; that is as long as the document at most.
            Err(()) => given.to_string().strip_prefix('$').and_then(|name| self.variable(Name::new(name))),
        };
        self.repeats.extend(places.map(|places| (key, places)));
    }

    fn variable(&mut self, name: Name) -> Option<Vec<usize>> {
        let variables = &mut *self.variables;
        let places = self.of_variables.entry(name).or_insert_with_key(|name| match variables.get_mut(name) {
            Some(Value::List(values)) => without_repeats(values),
            _ => None,
        });
        places.clone()
    }
}

/// Leaves one of each value. Gives which one stood in each place, `None` when all are different.
fn without_repeats(values: &mut Vec<Value>) -> Option<Vec<usize>> {
    let mut known = HashMap::with_capacity(values.len());
    let mut different = Vec::new();
    let mut places = Vec::with_capacity(values.len());
    for value in values.iter() {
        let next = different.len();
        let place = *known.entry(value.to_string()).or_insert(next);
        if place == next {
            different.push(value.clone());
        }
        places.push(place);
    }
    (different.len() < values.len()).then(|| {
        *values = different;
        places
    })
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use async_graphql::value;
    use serde_json::json;
    use std::time::Duration;

    use super::*;
    use crate::work::Work;

    #[test]
    fn repeated_representations_are_taken_out_and_put_in_again() {
        let document = "query($r: [_Any!]!) { _entities(representations: $r) { __typename } \
            ... { b: _entities(representations: $r) { __typename } } ...F } \
            fragment F on Query { c: _entities(representations: [{id: 1}, {id: 2}, {id: 2}]) { __typename } d: _entities(representations: [1, 2]) { __typename } }";
        let mut document = parse_query(document).unwrap();
        let mut variables = Variables::from_json(json!({ "r": [{ "id": "a" }, { "id": "b" }, { "id": "a" }, { "id": "a" }] }));
        let repeats = Repeats::take_out(&mut document, &mut variables).unwrap();
        assert_eq!(variables.get("r"), Some(&value!([{ "id": "a" }, { "id": "b" }])));
        let mut found: Vec<_> = repeats.0.iter().map(|(key, places)| (key.as_str(), places.clone())).collect();
        found.sort();
        assert_eq!(found, [("_entities", vec![0, 1, 0, 0]), ("b", vec![0, 1, 0, 0]), ("c", vec![0, 1, 1])]);
        let DocumentOperations::Single(operation) = &document.operations else { panic!("one operation") };
        let Selection::Field(field) = &operation.node.selection_set.node.items[0].node else { panic!("a field") };
        let made = value!([{ "id": "a" }, { "id": "b" }]);
        let budget = |bytes| Budget::new(bytes, Work::endless(Duration::ZERO));
        let expected = value!([{ "id": "a" }, { "id": "b" }, { "id": "a" }, { "id": "a" }]);
        assert_eq!(repeats.put_in(&field.node, made.clone(), &budget(1000)), Some(expected.clone()));
        assert_eq!(repeats.put_in(&field.node, made.clone(), &budget(80)), Some(expected));
        assert_eq!(repeats.put_in(&field.node, made, &budget(79)), None);
    }

    #[test]
    fn what_has_no_repeats_or_several_operations_is_left_as_it_is() {
        for (document, given) in [
            ("query($r: [_Any!]!) { _entities(representations: $r) { __typename } }", json!([1, 2])),
            ("query($r: [_Any!]!) { _entities(representations: $r) { __typename } }", json!(1)),
            ("query($r: [_Any!]!) { _entities(representations: [$r, $r]) { __typename } }", json!([1, 1])),
            ("query A($r: [_Any!]!) { _entities(representations: $r) { __typename } } query B { a }", json!([1, 1])),
            ("{ _entities { __typename } }", json!([1, 1])),
        ] {
            let mut parsed = parse_query(document).unwrap();
            let mut variables = Variables::from_json(json!({ "r": given }));
            let before = variables.clone();
            assert!(Repeats::take_out(&mut parsed, &mut variables).is_none(), "{document}");
            assert_eq!(variables, before, "{document}");
        }
    }
}
