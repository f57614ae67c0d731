//! What a token says of its bearer.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::fault::TokenFault;
use super::{Means, Principal, PrincipalName, Role, Scope};
use crate::quota::TenantId;

/// A name's length at most, in bytes. OpenID Connect allows 255.
const MAX_NAME_BYTES: usize = 255;

/// The claims that give a principal's rights. Each is the exact name of a claim, or else a path to one within others
/// (`realm_access.roles`); a dot that is a part of a name in a path has a backslash before it. The values are lists of texts, or a single text,
/// which is split at its spaces as `scope` is (RFC 8693, section 4.2).
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lack<'a> {
    /// The claim that was looked for.
    pub(super) claim: &'a str,
    pub(super) found: &'static str,
}

/// The rights that a token does not give, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lacks<'a> {
    pub(super) tenant: Option<Lack<'a>>,
    pub(super) role: Option<Lack<'a>>,
}

/// What is lacking, and what was looked for where.
impl fmt::Display for Lacks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenants = "ids of tenants that are watched, or \"*\" alone, in the claim that auth.jwt.tenants_claim names";
        let roles = "READ, REFRESH, EXPORT, METRICS or ADMIN in the claim that auth.jwt.roles_claim names";
        match (self.tenant, self.role) {
            (Some(_), Some(_)) => write!(f, "no tenant and no role; looked for {tenants}, and for {roles}"),
            (Some(_), None) => write!(f, "no tenant; looked for {tenants}"),
            (None, _) => write!(f, "no role; looked for {roles}"),
        }
    }
}

impl Claims {
    /// Until when the token counts, in seconds since 1970, if it does at `now`, is of this issuer, and for this audience. Its times are taken
    /// with a leeway.
    pub(super) fn check(&self, issuer: &str, audience: &str, now: f64, leeway: f64) -> Result<f64, TokenFault> {
        let text = |claim, wanted| {
            move |value: &Value| match value {
                Value::String(text) => Ok(text.clone()),
                _ => Err(TokenFault::Form { claim, wanted }),
            }
        };
        // A list of issuers is none (RFC 7519, section 4.1.1).
        if text("iss", "a text")(self.require("iss")?)? != issuer {
            return Err(TokenFault::Issuer);
        }
        let one = text("aud", "a text, or a list of texts");
        let is_meant = match self.require("aud")? {
            Value::Array(list) => list.iter().map(&one).collect::<Result<Vec<_>, _>>()?.iter().any(|aud| aud == audience),
            alone => one(alone)? == audience,
        };
        if !is_meant {
            return Err(TokenFault::Audience);
        }
        let expires = Self::time("exp", self.require("exp")?)? + leeway;
        let begins = self.0.get("nbf").map_or(Ok(f64::NEG_INFINITY), |nbf| Self::time("nbf", nbf))? - leeway;
        if now >= expires {
            return Err(TokenFault::Expired);
        }
        if now < begins {
            return Err(TokenFault::NotYetValid);
        }
        Ok(expires)
    }

    fn require(&self, claim: &'static str) -> Result<&Value, TokenFault> {
        self.0.get(claim).ok_or(TokenFault::MissingClaim(claim))
    }

    fn time(claim: &'static str, value: &Value) -> Result<f64, TokenFault> {
        value.as_f64().ok_or(TokenFault::Form { claim, wanted: "a number of seconds since 1970" })
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

    /// Which kinds of rights the token gives none of, where `is_watched` tells the tenants; `None` when it gives of all that it needs. The role
    /// `METRICS` alone needs no tenant.
    pub(super) fn lacks<'a>(&self, names: &'a ClaimNames, is_watched: impl Fn(&str) -> bool) -> Option<Lacks<'a>> {
        let lack = |claim: &'a String| Some(Lack { claim, found: self.describe(claim) });
        let tenants = self.texts(&names.tenants);
        let has_tenants = tenants == ["*"] || tenants.iter().any(|id| is_watched(id));
        let roles: Vec<_> = self.texts(&names.roles).into_iter().filter_map(Role::from_name).collect();
        let needs_tenants = roles.is_empty() || roles.iter().any(|role| *role != Role::Metrics);
        let tenant = if has_tenants || !needs_tenants { None } else { lack(&names.tenants) };
        let role = if roles.is_empty() { lack(&names.roles) } else { None };
        (tenant.is_some() || role.is_some()).then_some(Lacks { tenant, role })
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
            claims.lacks(&names, |id| id == "a").map(|lacks| (lacks.tenant.map(|l| l.found), lacks.role.map(|l| l.found)))
        };
        let of = |tenants: Value, roles: Value| lacks(json!({ "tenants": tenants, "realm_access": { "roles": roles } }));
        let unknown = Some("none that is known here");
        assert_eq!(lacks(json!({})), Some((Some("no such claim"), Some("no such claim"))));
        for (tenants, roles, expected) in [
            (json!("*"), json!("READ"), None),
            (json!(["nope", "a"]), json!(["user", "READ"]), None),
            (json!([]), json!("METRICS"), None),
            (json!(["nope"]), json!(["METRICS", "user"]), None),
            (json!([]), json!("METRICS READ"), Some((Some("no text"), None))),
            (json!(["nope"]), json!("READ"), Some((unknown, None))),
            (json!("openid profile"), json!("ADMIN"), Some((unknown, None))),
            (json!(["*", "nope"]), json!("READ"), Some((unknown, None))),
            (json!(["a"]), json!(["user"]), Some((None, unknown))),
            (json!(["a"]), json!(7), Some((None, Some("neither a text nor a list")))),
            (json!(["nope"]), json!("user"), Some((unknown, unknown))),
        ] {
            assert_eq!(of(tenants.clone(), roles.clone()), expected, "{tenants} {roles}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_claim_is_told_truly() {
        let good = || json!({ "iss": "i", "aud": "a", "exp": 100 });
        let check = |claims: Value| serde_json::from_value::<Claims>(claims).unwrap().check("i", "a", 50.0, 1.0);
        assert_eq!(check(good()), Ok(101.0));
        let form = |claim, wanted| TokenFault::Form { claim, wanted };
        let (text, texts, number) = ("a text", "a text, or a list of texts", "a number of seconds since 1970");
        for (claim, value, expected) in [
            ("iss", json!(null), form("iss", text)),
            ("iss", json!(["i"]), form("iss", text)),
            ("iss", json!(5), form("iss", text)),
            ("iss", json!("j"), TokenFault::Issuer),
            ("aud", json!(5), form("aud", texts)),
            ("aud", json!(["a", 5]), form("aud", texts)),
            ("aud", json!([]), TokenFault::Audience),
            ("aud", json!(["b"]), TokenFault::Audience),
            ("exp", json!("100"), form("exp", number)),
            ("exp", json!(null), form("exp", number)),
            ("exp", json!(49), TokenFault::Expired),
            ("nbf", json!("now"), form("nbf", number)),
            ("nbf", json!(52), TokenFault::NotYetValid),
        ] {
            let mut claims = good();
            claims[claim] = value;
            assert_eq!(check(claims.clone()), Err(expected), "{claims}");
        }
        for claim in ["iss", "aud", "exp"] {
            let mut claims = good();
            claims.as_object_mut().unwrap().remove(claim);
            assert_eq!(check(claims), Err(TokenFault::MissingClaim(claim)));
        }
    }
}
