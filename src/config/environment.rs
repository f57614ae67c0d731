//! Settings from the environment: `QUOTAGRAPH_SECTION__FIELD`, and `DATABASE_URL`.
//!
//! A list is written as in the config (`["a", "b"]`), as JSON, or as its texts with commas between them (`a, b`); a table as in the config
//! (`{ key = "value" }`) or as JSON. The fields of a table can also be set one by one: `QUOTAGRAPH_SERVER__TLS__KEY_FILE`.

use std::collections::BTreeMap;

use figment::error::Kind;
use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Value};

use super::error::ConfigError;

const PREFIX: &str = "QUOTAGRAPH_";

/// Fields that stand in no section, and may be set all the same.
const TOP_LEVEL: [&str; 1] = ["tenants_file"];

/// The variables of this process whose name and value are text, for the functions that take an environment.
pub fn process_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// A setting that a variable holds.
#[derive(Clone)]
pub(super) struct Override {
    /// The variable's name.
    pub(super) variable: String,
    /// Its text.
    pub(super) value: String,
}

/// The settings of an environment by field, such as `server.listen`.
pub(super) type Overrides = BTreeMap<String, Override>;

/// Finds the settings. A variable of our prefix that is no setting is an error, since it is a misspelt one.
pub(super) fn find_overrides(env: impl IntoIterator<Item = (String, String)>) -> Result<Overrides, ConfigError> {
    let mut overrides = Overrides::new();
    for (variable, value) in env {
        if variable == "DATABASE_URL" {
            // Empty is what compose files pass for a variable that is not set. The more telling name wins.
            if !value.is_empty() {
                overrides.entry("database.url".to_owned()).or_insert(Override { variable, value });
            }
        } else if let Some(rest) = variable.strip_prefix(PREFIX) {
            if let Some(field) = field_of(rest) {
                overrides.insert(field, Override { variable, value });
            } else if !is_service_link(rest) {
                return Err(ConfigError::within(
                    variable,
                    "is not a setting; settings are named QUOTAGRAPH_SECTION__FIELD, and variables for other things need another prefix",
                ));
            }
        }
    }
    Ok(overrides)
}

/// The field that the rest of a variable's name stands for.
fn field_of(rest: &str) -> Option<String> {
    if rest.bytes().any(|b| b.is_ascii_lowercase()) {
        return None;
    }
    let name = rest.to_ascii_lowercase();
    if TOP_LEVEL.contains(&name.as_str()) {
        return Some(name);
    }
    let parts: Vec<&str> = name.split("__").collect();
    let settable = parts.len() > 1 && parts[0] != "tenants" && parts.iter().all(|part| !part.is_empty() && !part.starts_with('_'));
    settable.then(|| parts.join("."))
}

/// The list or the table that a field wants instead of a text, as its error tells; `None` when it wants something else.
pub(super) fn parse_structure(text: &str, wanted: &Kind) -> Option<Result<Value, &'static str>> {
    let (Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected)) = wanted else { return None };
    let text = text.trim();
    let is_list = expected == "a sequence";
    if !is_list && expected != "a map" && !expected.starts_with("struct ") {
        return None;
    }
    if is_list && !text.starts_with('[') {
        let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
        return Some(Ok(texts.map(Value::from).collect::<Vec<_>>().into()));
    }
    // The parsers' own words would repeat the text, which may hold a secret.
    let parsed = match serde_json::from_str(text).ok().or_else(|| parse_toml(text)) {
        Some(value @ Value::Array(..)) if is_list => Ok(value),
        Some(value @ Value::Dict(..)) if !is_list => Ok(value),
        _ if is_list => Err("must be a list, such as [\"a\", \"b\"], or its texts with commas between them"),
        _ => Err("must be a table, such as { key = \"value\" }"),
    };
    Some(parsed)
}

fn parse_toml(text: &str) -> Option<Value> {
    let mut table: Dict = Toml::from_str(&format!("value = {text}")).ok()?;
    table.remove("value").filter(|_| table.is_empty())
}

/// Kubernetes puts variables like `QUOTAGRAPH_SERVICE_HOST` and `QUOTAGRAPH_PORT_8080_TCP_ADDR` into every pod beside a service of
/// our name. They are nobody's mistake.
fn is_service_link(rest: &str) -> bool {
    let last_port = |suffix: &str| rest == &suffix[1..] || rest.ends_with(suffix);
    let protocol = ["_TCP", "_UDP", "_SCTP"].iter().any(|p| rest.contains(p));
    last_port("_SERVICE_HOST")
        || last_port("_SERVICE_PORT")
        || last_port("_PORT")
        || format!("_{rest}").contains("_SERVICE_PORT_")
        || (protocol && format!("_{rest}").contains("_PORT_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_database_has_two_names_and_the_prefixed_one_wins_in_any_order() {
        let pairs = [("DATABASE_URL", "sqlite:a"), ("QUOTAGRAPH_DATABASE__URL", "sqlite:b")];
        for order in [pairs, [pairs[1], pairs[0]]] {
            let overrides = find_overrides(env(&order)).unwrap();
            assert_eq!(overrides["database.url"].value, "sqlite:b");
        }
        assert!(find_overrides(env(&[("DATABASE_URL", "")])).unwrap().is_empty());
    }

    #[test]
    fn variables_that_kubernetes_makes_for_a_service_of_our_name_are_no_settings() {
        let links = [
            "QUOTAGRAPH_SERVICE_HOST",
            "QUOTAGRAPH_SERVICE_PORT",
            "QUOTAGRAPH_SERVICE_PORT_HTTP",
            "QUOTAGRAPH_PORT",
            "QUOTAGRAPH_PORT_8080_TCP",
            "QUOTAGRAPH_PORT_8080_TCP_ADDR",
            "QUOTAGRAPH_DB_SERVICE_HOST",
            "QUOTAGRAPH_DB_PORT_5432_TCP_PROTO",
        ];
        for name in links {
            assert!(find_overrides(env(&[(name, "tcp://10.0.0.1:80")])).unwrap().is_empty(), "{name}");
        }
    }

    #[test]
    fn misspelt_names_of_our_prefix_are_refused() {
        for name in [
            "QUOTAGRAPH_LISTEN",
            "QUOTAGRAPH_Server__Listen",
            "QUOTAGRAPH___LISTEN",
            "QUOTAGRAPH_A____B",
            "QUOTAGRAPH_A__B__",
            "QUOTAGRAPH_TENANTS__0",
        ] {
            assert!(find_overrides(env(&[(name, "x")])).is_err(), "{name}");
        }
        assert!(find_overrides(env(&[("QUOTAGRAPHY", "x"), ("PATH", "x")])).unwrap().is_empty());
    }
}
