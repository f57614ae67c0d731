//! What a token says of its bearer.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Principal, Role, Scope};
use crate::quota::TenantId;

/// A name's length at most, in bytes. OpenID Connect allows 255.
const MAX_NAME_BYTES: usize = 255;

/// The claims that give a principal's rights. Their values are lists of texts, or a single text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// The ids of the tenants that may be seen, or `["*"]` for all.
    pub tenants: String,
    /// The names of the roles.
    pub roles: String,
}

/// The claims of a token.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    /// `exp`, in seconds since 1970; `None` when it is no number.
    pub(super) fn expires(&self) -> Option<f64> {
        self.0.get("exp")?.as_f64()
    }

    /// `nbf`, in seconds since 1970, or the beginning of time without it; `None` when it is no number.
    pub(super) fn not_before(&self) -> Option<f64> {
        self.0.get("nbf").map_or(Some(f64::NEG_INFINITY), Value::as_f64)
    }

    /// The principal; `None` when the subject is no name for a log. Tenants and roles that nobody knows give no right.
    pub(super) fn principal(&self, names: &ClaimNames) -> Option<Principal> {
        let name = self.0.get("sub")?.as_str()?;
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
            return None;
        }
        let tenants = self.texts(&names.tenants);
        let scope = match tenants.as_slice() {
            ["*"] => Scope::All,
            ids => Scope::Only(Arc::new(ids.iter().filter_map(|id| id.parse::<TenantId>().ok()).collect())),
        };
        let roles = self.texts(&names.roles).into_iter().filter_map(Role::from_name).collect();
        Some(Principal { name: name.into(), scope, roles })
    }

    fn texts(&self, claim: &str) -> Vec<&str> {
        match self.0.get(claim) {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn principal(claims: Value) -> Option<Principal> {
        let names = ClaimNames { tenants: "https://k.example/tenants".to_owned(), roles: "roles".to_owned() };
        serde_json::from_value::<Claims>(claims).unwrap().principal(&names)
    }

    fn seen(tenants: &Value) -> Option<Vec<String>> {
        match principal(json!({ "sub": "s", "https://k.example/tenants": tenants })).unwrap().scope {
            Scope::All => None,
            Scope::Only(ids) => Some(ids.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn only_a_star_alone_shows_all_tenants() {
        assert_eq!(seen(&json!(["*"])), None);
        assert_eq!(seen(&json!("*")), None);
        assert_eq!(seen(&json!(["b", "a"])), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(seen(&json!("a")), Some(vec!["a".to_owned()]));
        assert_eq!(seen(&json!(["a", "*", 7, "no id"])), Some(vec!["a".to_owned()]));
        for nothing in [json!([]), json!(null), json!(7), json!({ "a": 1 })] {
            assert_eq!(seen(&nothing), Some(Vec::new()));
        }
    }

    #[test]
    fn unknown_roles_give_no_right() {
        let roles = principal(json!({ "sub": "s", "roles": ["READ", "read", "ROOT", 7] })).unwrap().roles;
        assert!(roles.allow(Role::Read));
        assert!(!roles.allow(Role::Refresh) && !roles.allow(Role::Admin));
        assert!(!principal(json!({ "sub": "s" })).unwrap().roles.allow(Role::Read));
    }

    #[test]
    fn a_subject_that_would_spoil_the_log_is_refused() {
        assert_eq!(&*principal(json!({ "sub": "auth0|7 é" })).unwrap().name, "auth0|7 é");
        for sub in [json!(null), json!(7), json!(""), json!("a\nb"), json!("x".repeat(256))] {
            assert_eq!(principal(json!({ "sub": sub })), None);
        }
    }
}
