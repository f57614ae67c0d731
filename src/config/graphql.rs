//! `[graphql]`.

use serde::Deserialize;

/// What of GraphQL is offered.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Graphql {
    /// Whether documents may ask for the schema. Default true.
    pub introspection: bool,
    /// Whether the IDE is served. Default true.
    pub graphiql: bool,
}

impl Default for Graphql {
    fn default() -> Self {
        Self { introspection: true, graphiql: true }
    }
}
