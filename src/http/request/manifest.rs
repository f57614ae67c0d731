//! Files of trusted documents, as the tools of clients write them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use async_graphql::parser::parse_query;
use serde::Deserialize;

use crate::graphql::TextLimits;
use crate::{files, shown};

/// Documents by their ids.
pub(in crate::http) type Manifest = HashMap<String, String>;

/// Why a file of trusted documents cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {mend}", shown::path(file))]
pub struct ManifestError {
    file: PathBuf,
    mend: String,
}

/// The forms of a file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    /// `generate-persisted-query-manifest` of Apollo, version 1.
    Apollo { format: String, version: u32, operations: Vec<ApolloOperation> },
    /// An object of ids and documents: Relay's compiler, the client preset of GraphQL Code Generator, and by hand.
    Object(Manifest),
}

#[derive(Deserialize)]
struct ApolloOperation {
    id: String,
    body: String,
}

/// Reads a file of trusted documents.
///
/// # Errors
/// When it cannot be read, has another form, or has a document that does not parse or is larger than may be executed.
pub(in crate::http) fn read_manifest(file: &Path, limits: TextLimits) -> Result<Manifest, ManifestError> {
    let error = |mend: String| ManifestError { file: file.to_owned(), mend };
    let text = files::read_text(file, files::MAX_TABLES).map_err(error)?;
    parse_manifest(&text, limits).map_err(error)
}

fn parse_manifest(text: &str, limits: TextLimits) -> Result<Manifest, String> {
    let form = serde_json::from_str(text).map_err(|cause| {
        if cause.is_data() {
            "must be a JSON object of ids and documents, or a persisted query manifest of Apollo".to_owned()
        } else {
            format!("is not JSON: {cause}")
        }
    })?;
    let documents: Manifest = match form {
        Form::Object(documents) => documents,
        Form::Apollo { format, version, operations } => {
            if format != "apollo-persisted-query-manifest" || version != 1 {
                return Err(format!(
                    "has the format {} in version {version}; known is apollo-persisted-query-manifest in version 1",
                    shown::cut(&format)
                ));
            }
            operations.into_iter().map(|operation| (operation.id, operation.body)).collect()
        }
    };
    for (id, document) in &documents {
        limits
            .check(document)
            .map_err(|refused| format!("the document {} cannot be executed: {}", shown::cut(id), refused.message))?;
        // The parser's own text draws the line on several.
        parse_query(document).map_err(|cause| {
            let place = cause.positions().next().unwrap_or_default();
            format!("the document {} does not parse at its line {}, column {}", shown::cut(id), place.line, place.column)
        })?;
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TextLimits = TextLimits { tokens: 12, nesting: 3 };

    #[test]
    fn objects_of_ids_and_manifests_of_apollo_are_read_alike() {
        let expected = Manifest::from([("a".to_owned(), "{ a }".to_owned()), ("b".to_owned(), "query B { b }".to_owned())]);
        let apollo = r#"{ "format": "apollo-persisted-query-manifest", "version": 1, "operations": [
            { "id": "a", "name": "A", "type": "query", "body": "{ a }" }, { "id": "b", "name": "B", "type": "query", "body": "query B { b }" }
        ] }"#;
        for text in [r#"{ "a": "{ a }", "b": "query B { b }" }"#, apollo] {
            assert_eq!(parse_manifest(text, LIMITS).unwrap(), expected);
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_says_what_to_mend() {
        for (text, mend) in [
            ("{", "is not JSON: EOF while parsing an object at line 1 column 1"),
            ("[]", "must be a JSON object of ids and documents, or a persisted query manifest of Apollo"),
            (r#"{ "a": 1 }"#, "must be a JSON object of ids and documents, or a persisted query manifest of Apollo"),
            (
                r#"{ "format": "other", "version": 1, "operations": [] }"#,
                "has the format other in version 1; known is apollo-persisted-query-manifest in version 1",
            ),
            (r#"{ "a": "{ a\n  b" }"#, "the document a does not parse at its line 2, column 4"),
            (
                r#"{ "b": "{ a(b: [[]]) }" }"#,
                "the document b cannot be executed: the document has 4 brackets within each other; the limit is 3",
            ),
            (
                r#"{ "b": "{ a b c d e f g h i j k }" }"#,
                "the document b cannot be executed: the document has 13 tokens; the limit is 12",
            ),
            (
                r#"{ "c": "{ a(b: \"x) }" }"#,
                "the document c cannot be executed: the document has a string without an end, which begins at line 1, column 8",
            ),
        ] {
            assert_eq!(parse_manifest(text, LIMITS).unwrap_err(), mend, "{text}");
        }
        let error = read_manifest(Path::new("nowhere.json"), LIMITS).unwrap_err().to_string();
        assert!(error.starts_with("nowhere.json: cannot be read: "), "{error}");
    }
}
