//! The schema: what is committed is what the binary prints, and all of it is described.

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{TypeKind, TypeSystemDefinition};
use quotagraph::graphql;

#[test]
fn schema_graphql_is_what_the_binary_prints() {
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql")).unwrap();
    assert!(
        committed == graphql::sdl(),
        "schema.graphql is not what the schema is; if the change is meant: cargo run -- schema > schema.graphql"
    );
}

#[test]
fn every_type_field_and_argument_is_described() {
    let mut bare = Vec::new();
    let mut described = 0;
    let mut look = |name: String, is_described: bool| {
        described += 1;
        if !is_described {
            bare.push(name);
        }
    };
    for definition in parse_schema(graphql::sdl()).unwrap().definitions {
        let TypeSystemDefinition::Type(definition) = definition else { continue };
        let definition = definition.node;
        let name = definition.name.node.to_string();
        // What Apollo Federation prescribes comes without descriptions.
        if name.starts_with('_') {
            continue;
        }
        look(name.clone(), definition.description.is_some());
        match definition.kind {
            TypeKind::Object(object) => {
                for field in object.fields.into_iter().filter(|field| !field.node.name.node.starts_with('_')) {
                    let field = field.node;
                    look(format!("{name}.{}", field.name.node), field.description.is_some());
                    for argument in field.arguments {
                        look(
                            format!("{name}.{}({})", field.name.node, argument.node.name.node),
                            argument.node.description.is_some(),
                        );
                    }
                }
            }
            TypeKind::Enum(values) => {
                for value in values.values {
                    look(format!("{name}.{}", value.node.value.node), value.node.description.is_some());
                }
            }
            TypeKind::InputObject(object) => {
                for field in object.fields {
                    look(format!("{name}.{}", field.node.name.node), field.node.description.is_some());
                }
            }
            TypeKind::Scalar | TypeKind::Interface(_) | TypeKind::Union(_) => {}
        }
    }
    assert!(described > 100, "the schema was not read");
    assert!(bare.is_empty(), "not described: {bare:?}");
}
