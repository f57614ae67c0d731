//! How each field counts, and of which type it is.

use std::collections::HashMap;
use std::sync::LazyLock;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{BaseType, Type, TypeKind, TypeSystemDefinition};

use crate::graphql::types::DEFAULT_PAGE;

/// Types of the schema, as far as an introspection counts: a full one has some thousand fields.
const TYPES: usize = 20;

/// How a field counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::graphql) enum Rule {
    /// One, and what it holds.
    Plain,
    /// So many, and what it holds.
    Adds(usize),
    /// The same; it goes through all tenants of the caller.
    Sweeps(usize),
    /// What it holds by the length of the page.
    Page {
        /// Whether it goes through all tenants of the caller.
        sweeps: bool,
    },
    /// The same for runs of the history, which take as long as points of a series even if nothing of them is asked.
    Runs,
    /// What it holds as often as an argument says.
    List { argument: &'static str, default: usize, own: usize },
    /// What it holds so many times.
    Times(usize),
    /// What it holds by the representations.
    Entities,
    /// So many, and its points.
    Series(usize),
    /// So many, and its points, one a day.
    Forecast(usize),
    /// The points of a series or of a forecast.
    Point,
    /// A list of types of the schema.
    Introspected(usize),
    /// A list of what a type of the schema has.
    ListOfSchema,
}

/// The rule for a field of a type.
pub(in crate::graphql) fn rule(of_type: &str, field: &str) -> Rule {
    match (of_type, field) {
        ("Query", "tenants") => Rule::Page { sweeps: true },
        ("Query", "fleet") | ("Fleet", "observedCount" | "spaceAllocation") => Rule::Sweeps(5),
        ("Query", "_entities") => Rule::Entities,
        ("Tenant", "snapshots") => Rule::Runs,
        // As many as a tenant of the usual kind has of them. What some have more is bounded by the bytes of the answer.
        ("Tenant", "labels") => Rule::Times(4),
        ("SpaceAllocation" | "FleetAllocation", "byType") => Rule::Times(8),
        ("Tenant", "usageOverTime") => Rule::Series(20),
        ("Tenant", "growth") => Rule::Adds(10),
        ("Tenant", "forecast") => Rule::Forecast(50),
        // As much work as the forecast itself.
        ("Forecast", "backtestError") => Rule::Adds(20),
        ("Fleet", "usageOverTime") => Rule::Series(50),
        ("Fleet", "top") => Rule::List { argument: "first", default: 10, own: 50 },
        ("Fleet", "distribution") => Rule::List { argument: "steps", default: 10, own: 5 },
        ("Fleet", "groups") => Rule::List { argument: "first", default: 100, own: 5 },
        ("UsageSeries" | "Forecast", "points") => Rule::Point,
        ("__Schema", "types") => Rule::Introspected(TYPES),
        ("__Type", "fields" | "inputFields" | "interfaces" | "possibleTypes") => Rule::ListOfSchema,
        ("__Type", "enumValues") | ("__Schema", "directives") | ("__Field" | "__Directive", "args") => Rule::Times(2),
        _ => Rule::Plain,
    }
}

/// Entries of a page when the caller does not say.
pub(in crate::graphql) const ENTRIES: usize = DEFAULT_PAGE;

/// The types of fields.
#[derive(Debug, Default)]
pub(in crate::graphql) struct FieldTypes {
    types: HashMap<String, HashMap<String, String>>,
}

impl FieldTypes {
    /// Those of our schema.
    pub(in crate::graphql) fn of_schema() -> &'static Self {
        static TYPES: LazyLock<FieldTypes> = LazyLock::new(FieldTypes::read);
        &TYPES
    }

    fn read() -> Self {
        let mut types = HashMap::new();
        let definitions = parse_schema(crate::graphql::schema::sdl()).map(|schema| schema.definitions).unwrap_or_default();
        for definition in definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let TypeKind::Object(object) = definition.node.kind else { continue };
            let field_type = |ty: &Type| innermost(ty).to_owned();
            let fields = object.fields.iter().map(|field| (field.node.name.node.to_string(), field_type(&field.node.ty.node)));
            types.insert(definition.node.name.node.to_string(), fields.collect());
        }
        Self { types }
    }

    /// The type of a field; an empty name where there is none.
    pub(in crate::graphql) fn of_field(&self, of_type: &str, field: &str) -> &str {
        match (of_type, field) {
            ("Query", "__schema") => "__Schema",
            ("Query", "__type")
            | ("__Schema", "types" | "queryType" | "mutationType" | "subscriptionType")
            | ("__Type", "interfaces" | "possibleTypes" | "ofType")
            | ("__Field" | "__InputValue", "type") => "__Type",
            ("__Schema", "directives") => "__Directive",
            ("__Type", "fields") => "__Field",
            ("__Type", "inputFields") | ("__Field" | "__Directive", "args") => "__InputValue",
            ("__Type", "enumValues") => "__EnumValue",
            _ => self.types.get(of_type).and_then(|fields| fields.get(field)).map_or("", String::as_str),
        }
    }
}

/// The name of the innermost type.
fn innermost(of_type: &Type) -> &str {
    match &of_type.base {
        BaseType::Named(name) => name.as_str(),
        BaseType::List(member) => innermost(member),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule for a field that was renamed would count nothing.
    #[test]
    fn every_field_with_a_rule_of_its_own_exists() {
        let types = FieldTypes::of_schema();
        for (of_type, field) in [
            ("Query", "tenants"),
            ("Query", "fleet"),
            ("Tenant", "snapshots"),
            ("Tenant", "labels"),
            ("SpaceAllocation", "byType"),
            ("Tenant", "usageOverTime"),
            ("Tenant", "growth"),
            ("Tenant", "forecast"),
            ("Forecast", "backtestError"),
            ("Fleet", "usageOverTime"),
            ("Fleet", "observedCount"),
            ("Fleet", "spaceAllocation"),
            ("Fleet", "top"),
            ("Fleet", "distribution"),
            ("Fleet", "groups"),
            ("UsageSeries", "points"),
            ("Forecast", "points"),
        ] {
            assert!(!types.of_field(of_type, field).is_empty(), "{of_type}.{field}");
            assert_ne!(rule(of_type, field), Rule::Plain, "{of_type}.{field}");
        }
        assert_eq!(types.of_field("Tenant", "nothing"), "");
        assert_eq!(types.of_field("Nothing", "id"), "");
    }
}
