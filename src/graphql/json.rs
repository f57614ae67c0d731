//! Values as JSON.

use async_graphql::Value;
use serde::ser::{Error as _, Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::value::RawValue;

/// A value of an answer as JSON. Binary values, which GraphQL does not have, are JSON that was written already, and stand there as they are.
#[derive(Clone, Copy, Debug)]
pub struct Json<'a>(pub &'a Value);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name.as_str(), &Json(value))?;
                }
                map.end()
            }
            Value::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Json(item))?;
                }
                list.end()
            }
            Value::Binary(json) => serde_json::from_slice::<&RawValue>(json).map_err(S::Error::custom)?.serialize(serializer),
            value => value.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{Value, value};

    use super::Json;

    #[test]
    fn what_is_written_already_stands_there_as_it_is() {
        let mut answer = value!({ "a": [1, 2.5, null, "x\"y"], "b": { "c": true } });
        if let Value::Object(fields) = &mut answer {
            fields.insert(async_graphql::Name::new("d"), Value::Binary(r#"[{"e":1.0}]"#.into()));
        }
        let shown = serde_json::to_string(&Json(&answer)).unwrap();
        assert_eq!(shown, r#"{"a":[1,2.5,null,"x\"y"],"b":{"c":true},"d":[{"e":1.0}]}"#);
        assert!(serde_json::to_string(&Json(&Value::Binary("[1,".into()))).is_err());
    }
}
