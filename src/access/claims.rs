//! What a token says of its bearer.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Means, Principal, PrincipalName, Role, Scope};
use crate::quota::TenantId;

/// A name's length at most, in bytes. OpenID Connect allows 255.
const MAX_NAME_BYTES: usize = 255;

/// The claims that give a principal's rights. Each is the name of a claim, to the letter, or else a path to one within others
/// (`realm_access.roles`); a dot that is a part of a name in a path has a backslash before it. The values are lists of texts, or a single text,
/// which is split at its blanks as `scope` is (RFC 8693, section 4.2).
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

/// A right that a token does not give, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lack<'a> {
    /// What of.
    pub(super) of: &'static str,
    /// What would have been one.
    pub(super) wanted: &'static str,
    /// The claim that was looked for.
    pub(super) claim: &'a str,
    /// The setting that names it.
    pub(super) setting: &'static str,
    /// What is there.
    pub(super) found: &'static str,
}

impl Claims {
    /// `exp`, in seconds since 1970; `None` when it is no number.
    pub(super) fn expires(&self) -> Option<f64> {
        self.0.get("exp")?.as_f64()
    }

    /// `nbf`, in seconds since 1970, or the beginning of time without it; `None` when it is no number.
    pub(super) fn not_before(&self) -> Option<f64> {
        self.0.get("nbf").map_or(Some(f64::NEG_INFINITY), Value::as_f64)
    }

    /// Whether `iss` is this issuer, and nothing else: a list of issuers is none (RFC 7519, section 4.1.1).
    pub(super) fn is_from(&self, issuer: &str) -> bool {
        self.0.get("iss").and_then(Value::as_str) == Some(issuer)
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
        Some(Principal { name: PrincipalName::new(Means::Token, name), scope, roles })
    }

    /// Which kinds of rights the token gives none of.
    pub(super) fn lacks<'a>(&self, names: &'a ClaimNames) -> Vec<Lack<'a>> {
        let mut lacks = Vec::new();
        let tenants = self.texts(&names.tenants);
        if tenants != ["*"] && !tenants.iter().any(|id| id.parse::<TenantId>().is_ok()) {
            let (claim, found) = (names.tenants.as_str(), self.describe(&names.tenants));
            lacks.push(Lack {
                of: "tenant",
                wanted: "tenant ids, or \"*\" alone,",
                claim,
                setting: "auth.jwt.tenants_claim",
                found,
            });
        }
        if !self.texts(&names.roles).into_iter().any(|name| Role::from_name(name).is_some()) {
            let (claim, found) = (names.roles.as_str(), self.describe(&names.roles));
            lacks.push(Lack {
                of: "role",
                wanted: "READ, REFRESH, EXPORT, METRICS or ADMIN",
                claim,
                setting: "auth.jwt.roles_claim",
                found,
            });
        }
        lacks
    }

    fn texts(&self, claim: &str) -> Vec<&str> {
        match self.find(claim) {
            Some(Value::String(text)) => text.split_ascii_whitespace().collect(),
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// What stands in a claim, without repeating it.
    fn describe(&self, claim: &str) -> &'static str {
        match self.find(claim) {
            None => "no such claim",
            Some(Value::String(_) | Value::Array(_)) if self.texts(claim).is_empty() => "no text",
            Some(Value::String(_) | Value::Array(_)) => "none that is known here",
            Some(_) => "neither a text nor a list",
        }
    }

    /// The claim of that name, or at the end of that path.
    fn find(&self, claim: &str) -> Option<&Value> {
        if let Some(value) = self.0.get(claim) {
            return Some(value);
        }
        let mut names = split_path(claim).into_iter();
        let first = self.0.get(&names.next()?)?;
        names.try_fold(first, |value, name| value.as_object()?.get(&name))
    }
}

/// The names of a path, between its dots. A backslash makes a dot, or a backslash, a part of a name.
fn split_path(path: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut chars = path.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.next_if(|next| matches!(next, '.' | '\\')) } else { None };
        match (escaped, c, names.last_mut()) {
            (None, '.', _) => names.push(String::new()),
            (escaped, c, Some(name)) => name.push(escaped.unwrap_or(c)),
            (_, _, None) => {}
        }
    }
    names
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
        assert_eq!(seen(&json!("openid a  b\n")), Some(vec!["a".to_owned(), "b".to_owned(), "openid".to_owned()]));
        assert_eq!(seen(&json!("a *")), Some(vec!["a".to_owned()]));
        assert_eq!(seen(&json!(["a b"])), Some(Vec::new()), "an id has no blank");
        for nothing in [json!([]), json!(null), json!(7), json!({ "a": 1 }), json!(""), json!(" ")] {
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
        assert_eq!(principal(json!({ "sub": "auth0|7 é" })).unwrap().name, PrincipalName::new(Means::Token, "auth0|7 é"));
        for sub in [json!(null), json!(7), json!(""), json!("a\nb"), json!("x".repeat(256))] {
            assert_eq!(principal(json!({ "sub": sub })), None);
        }
    }

    fn found(claim: &str, claims: Value) -> Option<Value> {
        serde_json::from_value::<Claims>(claims).unwrap().find(claim).cloned()
    }

    #[test]
    fn a_claim_is_found_by_its_name_to_the_letter_or_else_by_a_path() {
        let nested = json!({ "realm_access": { "roles": ["READ"] }, "a.b": { "c": 1, "d.e": 2 }, "x\\": { "y": 3 } });
        for (claim, expected) in [
            ("realm_access.roles", Some(json!(["READ"]))),
            (r"a\.b.c", Some(json!(1))),
            (r"a\.b.d\.e", Some(json!(2))),
            (r"x\\.y", Some(json!(3))),
            ("a.b", Some(json!({ "c": 1, "d.e": 2 }))),
            ("a.b.c", None),
            ("realm_access.roles.READ", None),
            ("realm_access.", None),
            (".realm_access", None),
            ("", None),
        ] {
            assert_eq!(found(claim, nested.clone()), expected, "{claim}");
        }
        let both = json!({ "a.b": "literal", "a": { "b": "path" } });
        assert_eq!(found("a.b", both.clone()), Some(json!("literal")));
        assert_eq!(found("a.b", json!({ "a": { "b": "path" } })), Some(json!("path")));
    }

    #[test]
    fn a_token_without_rights_tells_what_was_looked_for() {
        let names = ClaimNames { tenants: "tenants".to_owned(), roles: "realm_access.roles".to_owned() };
        let lacks = |claims: Value| {
            let claims = serde_json::from_value::<Claims>(claims).unwrap();
            claims.lacks(&names).into_iter().map(|lack| (lack.of, lack.claim, lack.found)).collect::<Vec<_>>()
        };
        let roles = |found| ("role", "realm_access.roles", found);
        assert_eq!(lacks(json!({})), [("tenant", "tenants", "no such claim"), roles("no such claim")]);
        assert_eq!(lacks(json!({ "tenants": "*", "realm_access": { "roles": "READ" } })), []);
        assert_eq!(lacks(json!({ "tenants": ["a"], "realm_access": { "roles": ["user"] } })), [roles("none that is known here")]);
        assert_eq!(lacks(json!({ "tenants": ["a"], "realm_access": { "roles": 7 } })), [roles("neither a text nor a list")]);
        assert_eq!(lacks(json!({ "tenants": [], "realm_access": { "roles": "READ" } })), [("tenant", "tenants", "no text")]);
    }

    #[test]
    fn only_an_issuer_alone_is_the_issuer() {
        for (iss, expected) in
            [(json!("i"), true), (json!(["i"]), false), (json!(["i", "j"]), false), (json!("j"), false), (json!(null), false)]
        {
            assert_eq!(serde_json::from_value::<Claims>(json!({ "iss": iss })).unwrap().is_from("i"), expected, "{iss}");
        }
    }
}
