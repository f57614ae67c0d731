//! The variables of an operation, as the request has them: read only as far as the document means them, because as values they take thirty
//! times the memory of their text.

use std::fmt;

use async_graphql::parser::types::{BaseType, VariableDefinition};
use async_graphql::{Name, Positioned, ServerError, Value, Variables};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::graphql::{self, code, coded_error};
use crate::shown;

/// Variables that are not read yet: the text of a JSON object, or nothing.
#[derive(Debug, Default)]
pub(in crate::http) struct GivenVariables(Option<Box<RawValue>>);

impl<'de> Deserialize<'de> for GivenVariables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<Box<RawValue>>::deserialize(deserializer)?;
        match &text {
            Some(text) if !text.get().starts_with('{') => Err(D::Error::custom("variables must be a JSON object")),
            _ => Ok(Self(text)),
        }
    }
}

impl GivenVariables {
    /// Bytes of their text.
    pub fn length(&self) -> usize {
        self.0.as_ref().map_or(0, |text| text.get().len())
    }

    /// Reads those that the document may declare.
    ///
    /// # Errors
    /// When one of them has no value of JSON, such as a number beyond all.
    pub fn read(&self, document: &str) -> serde_json::Result<Variables> {
        let Some(text) = &self.0 else { return Ok(Variables::default()) };
        Named(names(document)).deserialize(&mut serde_json::Deserializer::from_str(text.get()))
    }
}

/// The names that stand behind a `$`, in texts and comments too, in order.
fn names(document: &str) -> Vec<&str> {
    let behind = document.match_indices('$').map(|(place, dollar)| {
        let mut rest = &document[place + dollar.len()..];
        // What may stand between two tokens.
        loop {
            rest = rest.trim_start_matches([' ', '\t', '\r', '\n', ',', '\u{feff}']);
            match rest.strip_prefix('#') {
                Some(comment) => rest = comment.find(['\r', '\n']).map_or("", |end| &comment[end..]),
                None => break,
            }
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    });
    let mut names: Vec<_> = behind.collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Reads the members of these names.
struct Named<'a>(Vec<&'a str>);

impl<'de> DeserializeSeed<'de> for Named<'_> {
    type Value = Variables;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Variables, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Named<'_> {
    type Value = Variables;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variables, A::Error> {
        let mut variables = Variables::default();
        while let Some(name) = map.next_key::<String>()? {
            if self.0.binary_search(&name.as_str()).is_ok() {
                variables.insert(Name::new(name), map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(variables)
    }
}

/// Takes those of the variables that the operation declares: a text or a comment of the document may have named others. The library takes
/// null and nothing for each other, and both for a default of the argument, so those that must be there are looked for here (GraphQL
/// specification, section 6.1.2).
///
/// # Errors
/// When one is missing that must be there, or is null, or a list where an input object is expected. It names the variable.
pub(in crate::http) fn settle(declared: &[Positioned<VariableDefinition>], mut given: Variables) -> Result<Variables, ServerError> {
    let mut taken = 0;
    for definition in declared {
        let VariableDefinition { name, var_type, default_value, .. } = &definition.node;
        let is_required = !var_type.node.nullable;
        let fault = match given.get(&name.node) {
            None if is_required && default_value.is_none() => "of required type {} was not provided",
            Some(Value::Null) if is_required => "of non-null type {} must not be null",
            // The library would find it out while it executes.
            Some(Value::List(_)) if is_input_object(&var_type.node.base) => "of type {} must not be a list",
            value => {
                taken += usize::from(value.is_some());
                continue;
            }
        };
        let fault = fault.replace("{}", &format!("\"{}\"", var_type.node));
        let sentence = shown::cut(&format!("variable \"${}\" {fault}", name.node)).into_owned();
        return Err(ServerError { locations: vec![definition.pos], ..coded_error(sentence, code::BAD_USER_INPUT) });
    }
    if taken < given.len() {
        given.retain(|name, _| declared.iter().any(|definition| definition.node.name.node == *name));
    }
    Ok(given)
}

fn is_input_object(of_type: &BaseType) -> bool {
    matches!(of_type, BaseType::Named(name) if graphql::is_input_object(name))
}

/// What a value takes in memory, about, in bytes.
pub(in crate::http) fn weight(value: &Value) -> usize {
    /// What an entry of an object takes besides its value and its name.
    const ENTRY: usize = 48;
    let within = match value {
        Value::String(text) => text.len(),
        Value::List(values) => values.iter().map(weight).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| ENTRY + name.len() + weight(value)).sum(),
        _ => 0,
    };
    size_of::<Value>() + within
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_document_names_is_read() {
        let given = |text: &str| serde_json::from_str::<GivenVariables>(text).unwrap();
        let read =
            |text: &str, document: &str| given(text).read(document).map(|read| read.to_string()).map_err(|error| error.to_string());
        let text = "{\"a\": [1, {\"b\": \"x\"}], \"b\": 1e999, \"c\": null}";
        assert_eq!(read(text, "query($a: X, $c: Y) { x(a: $a, c: $c) }"), Ok("{a: [1, {b: \"x\"}], c: null}".to_owned()));
        assert_eq!(read(text, "query($ # $x\n , c: Y) { a(x: $aa) }"), read("{\"c\": null}", "$c"));
        assert!(read(text, "query($b: Float) { x }").is_err());
        assert_eq!(read("null", "query($b: Float) { x }"), Ok("{}".to_owned()));
        for bad in ["[]", "7", "\"{}\"", "{"] {
            assert!(serde_json::from_str::<GivenVariables>(bad).is_err(), "{bad}");
        }
    }
}
