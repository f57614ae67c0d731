//! The public schema. Resolvers are thin: they read arguments, ask the cache or the store through a loader, and wrap what comes back.

#![warn(missing_docs)]

mod budget;
mod check;
mod context;
mod cost;
mod cursor;
mod delivery;
mod entities;
mod error;
mod history;
mod inputs;
#[doc(hidden)]
pub mod invariants;
mod json;
mod known;
mod limits;
mod loaders;
mod measure;
mod mutation;
mod placement;
mod query;
mod reader;
mod scalars;
mod schema;
mod services;
mod subscription;
mod syntax;
mod tokens;
mod types;

pub use self::budget::{Budget, Waiting};
use self::check::DocumentCheck;
pub use self::context::RequestContext;
pub use self::cost::Cost;
pub use self::delivery::Delivery;
pub use self::error::{ApiError, code, coded_error};
pub use self::json::Json;
pub use self::known::KnownDocuments;
pub use self::limits::DocumentLimits;
use self::loaders::Loaders;
pub use self::mutation::Mutation;
pub use self::query::Query;
use self::schema::builder;
pub use self::schema::{Schema, federation_sdl, sdl};
pub use self::services::Services;
pub use self::subscription::Subscription;
pub use self::tokens::TextLimits;

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
    inputs::InputTypes::of_schema().is_object(name)
}
