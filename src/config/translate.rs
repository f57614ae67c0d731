//! Turns the errors of the parsers into sentences for the person who wrote the config.

use figment::error::{Actual, Error, Kind};
use figment::value::{Dict, Value};

use super::error::Invalid;

use crate::shown;

/// Says which field of `root` is wrong and what to mend.
pub(super) fn explain(error: &Error, root: &Dict) -> Invalid {
    let mut path: Vec<String> = error.path.iter().map(|part| shown::cut(part).into_owned()).collect();
    let secretive = path.iter().any(|part| part == "auth" || part == "proxy" || part == "url" || part == "endpoint");
    let mend = match &error.kind {
        Kind::UnknownField(name, known) => {
            let name = shown::cut(name);
            if path.last().map(String::as_str) != Some(&*name) {
                path.push(name.into_owned());
            }
            format!("is not known; known are {}", known.join(", "))
        }
        Kind::MissingField(name) => {
            path.push(name.to_string());
            "is missing".to_owned()
        }
        Kind::UnknownVariant(found, known) => format!("must be {}, found {}", known.join(" or "), shown::quoted(found)),
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            format!("must be {}, found {}", describe_expected(expected, &path), describe_found(found, secretive))
        }
        Kind::Message(sentence) => sentence.clone(),
        other => other.to_string(),
    };
    Invalid::new(describe_path(&path, root), mend)
}

/// `collector.interval`, and for tenants `tenant acme: endpoint`.
fn describe_path(path: &[String], root: &Dict) -> String {
    match path {
        [list, index, rest @ ..] if list == "tenants" => {
            let tenant = describe_tenant(root, index);
            if rest.is_empty() { tenant } else { format!("{tenant}: {}", rest.join(".")) }
        }
        _ => path.join("."),
    }
}

/// Names a tenant by its id, or by its place in the file when it has none.
fn describe_tenant(root: &Dict, index: &str) -> String {
    let index: usize = index.parse().unwrap_or_default();
    let list = root.get("tenants").and_then(Value::as_array).unwrap_or_default();
    let id = list.get(index).and_then(Value::as_dict).and_then(|tenant| tenant.get("id")?.as_str());
    id.map_or_else(|| format!("tenant number {}", index + 1), |id| format!("tenant {}", shown::cut(id)))
}

/// What a field takes. Of the lists, which hold tables or strings, only the path tells which.
fn describe_expected<'a>(expected: &'a str, path: &[String]) -> &'a str {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match expected {
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number of 0 or more",
        "a boolean" => "true or false",
        "a string" | "path string" => "a string in quotes",
        "a duration" => "a duration such as \"30s\" or \"5m\"",
        "a sequence" if path == ["tenants"] => "a list of tables, each under [[tenants]]",
        "a sequence" if path == ["auth", "keys"] => "a list of tables, each under [[auth.keys]]",
        "a sequence" if path.last() == Some(&"tenants") => "a list of ids, such as [\"acme\"], or [\"*\"] for all",
        "a sequence" => "a list of strings, such as [\"a\", \"b\"]",
        "a map" => "a table",
        _ if expected.starts_with("struct ") => "a table",
        _ => expected,
    }
}

/// What was found; only its kind where a secret may have been put in the wrong place.
fn describe_found(found: &Actual, secretive: bool) -> String {
    match found {
        Actual::Bool(_) if secretive => "a truth value".to_owned(),
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) if secretive => "a number".to_owned(),
        Actual::Str(_) | Actual::Char(_) if secretive => "a string".to_owned(),
        Actual::Bool(value) => value.to_string(),
        Actual::Unsigned(value) => value.to_string(),
        Actual::Signed(value) => value.to_string(),
        Actual::Float(value) => value.to_string(),
        Actual::Char(value) => format!("{:?}", value.to_string()),
        Actual::Str(value) => shown::quoted(value),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        _ => "something else".to_owned(),
    }
}
