//! The public schema. Resolvers are thin: they read arguments, ask the cache or the store through a loader, and wrap what comes back.

#![warn(missing_docs)]

mod budget;
mod context;
mod cursor;
mod delivery;
mod document;
mod entities;
mod error;
mod history;
mod json;
mod loaders;
mod mutation;
mod query;
mod scalars;
mod schema;
mod services;
mod subscription;
mod types;
mod usage_request;

pub use self::budget::{Budget, Waiting};
pub use self::context::RequestContext;
pub use self::delivery::Delivery;
use self::document::check::DocumentCheck;
pub use self::document::cost::Cost;
#[doc(hidden)]
pub use self::document::invariants;
pub use self::document::known::KnownDocuments;
pub use self::document::limits::DocumentLimits;
pub use self::document::tokens::TextLimits;
pub use self::error::{ApiError, code, coded_error};
pub use self::json::Json;
use self::loaders::Loaders;
pub use self::mutation::Mutation;
pub use self::query::Query;
use self::schema::builder;
pub use self::schema::{Schema, federation_sdl, sdl};
pub use self::services::Services;
pub use self::subscription::Subscription;

/// The executable schema. A request brings an `Arc` of its [`RequestContext`] as data.
#[must_use]
pub fn schema(services: Services, limits: DocumentLimits, known: KnownDocuments) -> Schema {
    let loaders =
        Loaders::new(services.allocations.clone(), services.store.clone(), services.fleets.clone(), services.computing.clone());
    builder()
        .data(loaders)
        .data(services)
        .limit_recursive_depth(limits.nesting())
        .extension(DocumentCheck::new(limits, known))
        .finish()
}

/// Whether this is the name of an input object of the schema.
pub(crate) fn is_input_object(name: &str) -> bool {
    document::inputs::InputTypes::of_schema().is_object(name)
}
