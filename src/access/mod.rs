//! Who may see and do what.
//!
//! [`Gate::admit`] is the one door: it turns a request's credentials into a [`View`], and a view is the only way to a tenant. What a
//! caller may not see is not in its view, so it cannot be told from what does not exist, on any path. Roles are asked of the view too.

mod allowance;
mod gate;
mod keys;
mod principal;
mod view;

pub use allowance::Allowance;
pub use gate::{Credentials, Gate, Refusal, Settings};
pub use keys::{ApiKey, KeyDigest, generate_key};
pub use principal::{Principal, Role, Roles, Scope};
pub use view::{Forbidden, View};
