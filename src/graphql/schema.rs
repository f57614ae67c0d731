//! The schema and its texts.

use async_graphql::SDLExportOptions;

use super::mutation::Mutation;
use super::query::Query;
use super::subscription::Subscription;

/// The schema with everything that its resolvers need.
pub type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

pub(super) fn builder() -> async_graphql::SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query, Mutation, Subscription).enable_federation().enable_subscription_in_federation()
}

/// The schema of a subgraph of an Apollo Federation (v2), where `Tenant` is an entity by its id.
#[must_use]
pub fn federation_sdl() -> String {
    let options = SDLExportOptions::new().prefer_single_line_descriptions().federation().compose_directive();
    builder().finish().sdl_with_options(options)
}

/// The schema in GraphQL's own language, as `schema.graphql` holds it.
#[must_use]
pub fn sdl() -> String {
    let options = SDLExportOptions::new().prefer_single_line_descriptions();
    builder().finish().sdl_with_options(options)
}
