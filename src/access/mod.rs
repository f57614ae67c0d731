//! Who may see and do what.
//!
//! [`Gate::admit`] is the one door: it turns a request's credentials into a [`View`], and a view is the only way to a tenant. What a
//! caller may not see is not in its view, so it cannot be told from what does not exist, on any path. Roles are asked of the view too.
//!
//! What was granted ends when it is taken back. The rules ([`Gate::replace`]) and the issuer's keys change while callers permit; whoever stays
//! holds a view, is told of changes ([`Gate::watch`]) and asks whether it still holds ([`Gate::renew`]).

mod allowance;
mod changes;
mod claims;
mod concurrency;
mod fault;
mod gate;
mod grant;
mod jwk;
mod jwks;
mod jws;
mod key_set;
mod keys;
mod principal;
mod proof;
mod rules;
mod signature;
mod tokens;
mod turns;
mod view;

pub use allowance::Allowance;
pub use claims::ClaimNames;
pub use concurrency::{ConcurrencyLimit, ConcurrencySettings, LimitReached, Permit};
pub use gate::{AccessError, Credentials, Gate, Ignored};
pub use grant::Lapse;
pub use jwks::{IssuerState, JwksError, JwksSettings, JwksSource};
pub use keys::{ApiKey, KeyDigest, generate_key};
pub use principal::{Means, Principal, PrincipalName, Role, Roles, Scope};
pub use proof::Proof;
pub use rules::{ReplaceError, Settings};
pub use tokens::TokenSettings;
pub use view::{Forbidden, View};
