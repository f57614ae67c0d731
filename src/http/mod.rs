//! The public side.
//!
//! A request comes in at the [`Edge`], where it is decided who may call at all. The router finds its route. What it asks for is read in
//! `request`; what it accepts in `negotiation`. `execute` has it executed, and `answer` is what becomes of it.

mod answer;
mod caller;
mod edge;
mod events;
mod execute;
mod export;
mod graphiql;
mod graphql;
mod health;
mod home;
mod limits;
mod metrics;
mod negotiation;
mod readiness;
mod request;
mod router;
mod routes;
mod socket;
mod state;

pub use self::answer::cache::AnswerCache;
pub use self::answer::unsent::Unsent;
pub use self::edge::Edge;
pub use self::edge::hosts::Hosts;
pub use self::edge::origin::AllowedOrigins;
pub use self::edge::policy::Policy;
pub use self::export::permits::Exports;
pub use self::limits::RequestLimits;
pub use self::metrics::metrics_routes;
pub use self::readiness::Readiness;
pub use self::request::documents::{DocumentSettings, Documents};
pub use self::request::manifest::ManifestError;
pub use self::router::routes;
pub use self::state::HttpState;
