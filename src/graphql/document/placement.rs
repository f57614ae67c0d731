//! Where in a document the library's validation compares the types of variables.
//!
//! It does not where one object stands for a list of it, as in `labels: { key: $key, value: $value }`. There, a variable may be of any type, and
//! whether the document is valid depends on more than whether its value is one of that type.

use std::collections::HashMap;
use std::convert::Infallible;

use async_graphql::parser::types::{BaseType, ExecutableDocument, InputValueDefinition, Selection, SelectionSet, Type};
use async_graphql::{Name, Positioned, Value};
use bytes::Bytes;

/// Stands for a variable in a value: no document has it.
const VARIABLE: Value = Value::Binary(Bytes::new());

/// The arguments and the input fields, by their names.
#[derive(Debug, Default)]
pub(in crate::graphql) struct Placements {
    /// The name of the innermost type and the lists around it, of all that have the name.
    of_name: HashMap<String, Vec<(String, usize)>>,
}

impl Placements {
    /// Takes up arguments or input fields.
    pub(in crate::graphql) fn take(&mut self, inputs: &[Positioned<InputValueDefinition>]) {
        for input in inputs {
            let name = input.node.name.node.to_string();
            self.of_name.entry(name).or_default().push(innermost(&input.node.ty.node));
        }
    }

    /// Leaves only those whose innermost type, by its name, is an input object. Of the others the validation does not look into objects.
    pub(in crate::graphql) fn retain(&mut self, is_object: impl Fn(&str) -> bool) {
        for places in self.of_name.values_mut() {
            places.retain(|(name, _)| is_object(name));
        }
    }

    /// Whether all types of variables in the document are compared.
    pub(in crate::graphql) fn compare_all(&self, document: &ExecutableDocument) -> bool {
        let operations = document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node);
        let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set.node);
        operations.chain(fragments).all(|set| self.compare_in_set(set))
    }

    fn compare_in_set(&self, set: &SelectionSet) -> bool {
        set.items.iter().all(|item| match &item.node {
            Selection::Field(field) => {
                let mut arguments = field.node.arguments.iter();
                arguments.all(|(name, value)| {
                    let Ok(value) = value.node.clone().into_const_with(|_| Ok::<_, Infallible>(VARIABLE));
                    self.holds_variable(&name.node, 0, &value).is_ok()
                }) && self.compare_in_set(&field.node.selection_set.node)
            }
            Selection::InlineFragment(fragment) => self.compare_in_set(&fragment.node.selection_set.node),
            Selection::FragmentSpread(_) => true,
        })
    }

    /// Whether a value that stands for the name within so many lists holds a variable; an error when the type of one is not compared.
    fn holds_variable(&self, name: &Name, lists: usize, value: &Value) -> Result<bool, NotCompared> {
        let mut held = false;
        match value {
            Value::Binary(_) => held = true,
            Value::List(values) => {
                for value in values {
                    held |= self.holds_variable(name, lists + 1, value)?;
                }
            }
            Value::Object(fields) => {
                for (field, value) in fields {
                    held |= self.holds_variable(field, 0, value)?;
                }
                let places = self.of_name.get(name.as_str());
                if held && places.is_some_and(|places| places.iter().any(|(_, expected)| *expected != lists)) {
                    return Err(NotCompared);
                }
            }
            _ => {}
        }
        Ok(held)
    }
}

/// A variable's type is not compared.
struct NotCompared;

/// The name of the innermost type, and how many lists are around it.
fn innermost(of_type: &Type) -> (String, usize) {
    match &of_type.base {
        BaseType::Named(name) => (name.to_string(), 0),
        BaseType::List(member) => {
            let (name, lists) = innermost(member);
            (name, lists + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::super::inputs::InputTypes;

    #[test]
    fn an_object_with_a_variable_that_stands_for_a_list_is_the_only_place_where_types_are_not_compared() {
        for (arguments, compared) in [
            ("first: $v", true),
            ("where: $v", true),
            ("where: { ids: $v }", true),
            ("where: { ids: [$v] }", true),
            ("where: { labels: $v }", true),
            ("where: { labels: [$v, { key: $v, value: $v }] }", true),
            ("where: { labels: { key: \"a\", value: \"b\" }, ids: $v }", true),
            ("where: { labels: { key: $v, value: \"b\" } }", false),
            ("where: { labels: { key: [{ x: $v }], value: \"b\" } }", false),
            ("where: [{ ids: $v }]", false),
        ] {
            for document in [
                format!("{{ tenants({arguments}) {{ totalCount }} }}"),
                format!("{{ ...F }} fragment F on Query {{ ... {{ a: fleet {{ x }} b: tenants({arguments}) {{ totalCount }} }} }}"),
            ] {
                let parsed = parse_query(&document).unwrap();
                assert_eq!(InputTypes::of_schema().compares_all(&parsed), compared, "{document}");
            }
        }
    }
}
