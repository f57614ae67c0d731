//! Who may see and do what.
//!
//! [`Gate::admit`] is the one door: it turns a request's credentials into a [`View`], and a view is the only way to a tenant. What a
//! caller may not see is not in its view, so it cannot be told from what does not exist, on any path. Roles are asked of the view too.

mod allowance;
mod claims;
mod gate;
mod jwks;
mod key_set;
mod keys;
mod presence;
mod principal;
mod signature;
mod tokens;
mod view;

pub use allowance::Allowance;
pub use claims::ClaimNames;
pub use gate::{Credentials, Gate, Proof, Refusal, Settings};
pub use jwks::{JwksError, JwksSource};
pub use keys::{ApiKey, KeyDigest, generate_key};
pub use presence::{Crowded, Presence, PresenceLimits, Stay};
pub use principal::{Principal, Role, Roles, Scope};
pub use tokens::{TokenSettings, TokenVerifier};
pub use view::{Forbidden, View};
