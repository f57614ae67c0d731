//! What the schema takes for input, to tell values that are valid of their types.
//!
//! A value that is taken for valid here is found valid by the library's validation wherever a variable of its type may stand. The opposite
//! need not be: of what is not taken for valid here, validation says what is wrong, if anything.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ExecutableDocument, InputValueDefinition, ServiceDocument, Type, TypeKind, TypeSystemDefinition,
};
use async_graphql::{Any, ID, Positioned, ScalarType, Value};
use foldhash::fast::RandomState;

use super::placement::Placements;
use crate::graphql::scalars::{DateTime, Duration};

/// The types of the schema that values can have.
#[derive(Debug, Default)]
pub(in crate::graphql) struct InputTypes {
    types: HashMap<String, InputType, RandomState>,
    placements: Placements,
}

/// Takes a value for one of a scalar, or not.
type Rule = fn(&Value) -> bool;

#[derive(Debug)]
enum InputType {
    Scalar(Rule),
    Enum(HashSet<String>),
    Object(Vec<InputField>),
}

#[derive(Debug)]
struct InputField {
    name: String,
    of_type: Type,
    required: bool,
}

impl InputTypes {
    /// Those of our schema.
    pub(in crate::graphql) fn of_schema() -> &'static Self {
        static TYPES: LazyLock<InputTypes> =
            LazyLock::new(|| parse_schema(crate::graphql::schema::sdl()).map(InputTypes::new).unwrap_or_default());
        &TYPES
    }

    fn new(schema: ServiceDocument) -> Self {
        let mut types: HashMap<_, _, _> = BUILT_IN.into_iter().filter_map(InputType::scalar).collect();
        let mut placements = Placements::default();
        for definition in schema.definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let name = definition.node.name.node.to_string();
            match definition.node.kind {
                TypeKind::Scalar => types.extend(InputType::scalar(&name)),
                TypeKind::Enum(of_enum) => {
                    let values = of_enum.values.into_iter().map(|value| value.node.value.node.to_string()).collect();
                    types.insert(name, InputType::Enum(values));
                }
                TypeKind::InputObject(object) => {
                    placements.take(&object.fields);
                    types.insert(name, InputType::Object(object.fields.into_iter().map(InputField::new).collect()));
                }
                TypeKind::Object(object) => object.fields.iter().for_each(|field| placements.take(&field.node.arguments)),
                TypeKind::Interface(_) | TypeKind::Union(_) => {}
            }
        }
        placements.retain(|name| matches!(types.get(name), Some(InputType::Object(_))));
        Self { types, placements }
    }

    /// Whether the validation compares the type of each variable of a document with the place where it stands, and not just its value.
    pub(in crate::graphql) fn compares_all(&self, document: &ExecutableDocument) -> bool {
        self.placements.compare_all(document)
    }

    /// Whether this is the name of an input object.
    pub(in crate::graphql) fn is_object(&self, name: &str) -> bool {
        matches!(self.types.get(name), Some(InputType::Object(_)))
    }

    /// Whether a value is valid wherever a variable of the type may stand.
    pub(in crate::graphql) fn is_valid(&self, of_type: &Type, value: &Value) -> bool {
        match (&of_type.base, value) {
            (_, Value::Null) => of_type.nullable,
            (BaseType::List(member), Value::List(values)) => values.iter().all(|value| self.is_valid(member, value)),
            // One value stands for a list of it.
            (BaseType::List(member), value) => self.is_valid(member, value),
            (BaseType::Named(name), value) => match (self.types.get(name.as_str()), value) {
                (Some(InputType::Scalar(is_valid)), value) => is_valid(value),
                (Some(InputType::Enum(values)), Value::String(name)) => values.contains(name),
                (Some(InputType::Object(fields)), Value::Object(given)) => {
                    given.keys().all(|name| fields.iter().any(|field| field.name == name.as_str()))
                        && fields.iter().all(|field| match given.get(field.name.as_str()) {
                            Some(value) => self.is_valid(&field.of_type, value),
                            None => !field.required,
                        })
                }
                _ => false,
            },
        }
    }
}

impl InputType {
    /// A scalar by its name.
    fn scalar(name: &str) -> Option<(String, Self)> {
        Some((name.to_owned(), Self::Scalar(scalar_rule(name)?)))
    }
}

impl InputField {
    fn new(definition: Positioned<InputValueDefinition>) -> Self {
        let InputValueDefinition { name, ty, default_value, .. } = definition.node;
        let required = !ty.node.nullable && default_value.is_none();
        Self { name: name.node.to_string(), of_type: ty.node, required }
    }
}

/// The scalars that a schema does not define.
const BUILT_IN: [&str; 5] = ["Boolean", "Float", "ID", "Int", "String"];

/// The rule by which the schema's validation takes a value for one of a scalar.
fn scalar_rule(name: &str) -> Option<Rule> {
    let rule: Rule = match name {
        "Boolean" => bool::is_valid,
        "Float" => f64::is_valid,
        "ID" => ID::is_valid,
        // Of whichever of Rust's types the schema knows by this name.
        "Int" => {
            |value| matches!(value, Value::Number(number) if number.as_u64().is_some_and(|number| i32::try_from(number).is_ok()))
        }
        "String" => String::is_valid,
        "DateTime" => DateTime::is_valid,
        "Duration" => Duration::is_valid,
        "_Any" => Any::is_valid,
        // What is not known here is validated each time.
        _ => return None,
    };
    Some(rule)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_type_of_the_schema_that_values_can_have_is_known() {
        let schema = parse_schema(crate::graphql::sdl()).unwrap();
        for definition in schema.definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let is_input = matches!(definition.node.kind, TypeKind::Scalar | TypeKind::Enum(_) | TypeKind::InputObject(_));
            let name = definition.node.name.node.as_str();
            assert_eq!(InputTypes::of_schema().types.contains_key(name), is_input, "{name}");
        }
    }

    #[test]
    fn values_are_valid_by_their_types_down_to_the_last_field() {
        for (of_type, valid, not_valid) in [
            ("String!", vec![json!("a")], vec![json!(1), json!(null), json!(["a"])]),
            ("ID", vec![json!("a"), json!(-7), json!(null)], vec![json!(1.5), json!(true)]),
            ("Int", vec![json!(0), json!(2_147_483_647)], vec![json!(-1), json!(2_147_483_648_i64), json!(1.0), json!("1")]),
            ("Float!", vec![json!(1), json!(-0.5)], vec![json!("1"), json!(null)]),
            ("Boolean!", vec![json!(true)], vec![json!("true"), json!(0)]),
            ("StorageUnit", vec![json!("TB")], vec![json!("tb"), json!(1)]),
            ("[ID!]", vec![json!([]), json!(["a", 1]), json!("a")], vec![json!(["a", null]), json!([["a"]]), json!([true])]),
            ("[ID]", vec![json!(["a", null])], vec![json!([false])]),
            ("[[Int]!]", vec![json!([[1, null], 2]), json!(1)], vec![json!([null]), json!([["a"]])]),
            (
                "TenantOrder",
                vec![json!({ "by": "ID" }), json!({ "by": "NAME", "direction": "DESC" })],
                vec![
                    json!({}),
                    json!({ "by": null }),
                    json!({ "by": "ID", "direction": null }),
                    json!({ "by": "ID", "at": 1 }),
                    json!("ID"),
                ],
            ),
            (
                "TenantFilter!",
                vec![
                    json!({}),
                    json!({ "ids": null, "utilizationBelow": 1 }),
                    json!({ "labels": [{ "key": "a", "value": "b" }], "nameContains": "c" }),
                    json!({ "labels": { "key": "a", "value": "b" } }),
                ],
                vec![
                    json!({ "ids": [null] }),
                    json!({ "labels": [{ "key": "a" }] }),
                    json!({ "labels": [{ "key": "a", "value": 7 }] }),
                    json!({ "utilizationBelow": "1" }),
                    json!([]),
                ],
            ),
            ("Tenant", vec![], vec![json!({}), json!("a")]),
            ("Nothing", vec![], vec![json!({}), json!("a")]),
        ] {
            let of_type_parsed = Type::new(of_type).unwrap();
            let is_valid = |value: &serde_json::Value| {
                InputTypes::of_schema().is_valid(&of_type_parsed, &Value::from_json(value.clone()).unwrap())
            };
            assert!(valid.iter().all(is_valid), "{of_type}: {valid:?}");
            assert!(!not_valid.iter().any(is_valid), "{of_type}: {not_valid:?}");
        }
    }
}
