//! Documents that were seen before: parsed once, and validated once for each kind of variables.
//!
//! Whether a document is valid depends on its variables too, since a value may not be one of its type. But of a variable of the type `ID`
//! or `String` all texts are: one validation holds for each of them. Other variables, such as a `DateTime` or a filter, and numbers, by which
//! lists are counted, have a document validated each time.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::parser::types::{BaseType, ExecutableDocument, Type};
use async_graphql::{Request, ValidationResult, Value, Variables};
use moka::sync::Cache;
use parking_lot::RwLock;

/// What is kept at most: bytes of text, of which the parsed document takes a multiple.
const CAPACITY: u64 = 2 << 20;
/// Longer documents are rare, and large when they are parsed.
const LONGEST: usize = 16 << 10;
/// Kinds of variables that are kept of a document at most; clients send one or two.
const KINDS_AT_MOST: usize = 16;

/// The documents. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct KnownDocuments {
    documents: Cache<Arc<str>, Arc<KnownDocument>>,
}

/// A document that parses.
pub(super) struct KnownDocument {
    document: ExecutableDocument,
    /// The names of its variables, if all of them are of types whose texts are all valid.
    variables: Option<Vec<String>>,
    /// The depth and the complexity of what was found valid, by the kinds of its variables.
    valid: RwLock<HashMap<Kinds, (usize, usize)>>,
}

/// Whether each variable of a document is a text, null or absent.
pub(super) type Kinds = Vec<Kind>;

/// What is given for a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Text,
    Null,
    Absent,
}

impl Default for KnownDocuments {
    fn default() -> Self {
        let weight = |text: &Arc<str>, _: &Arc<KnownDocument>| u32::try_from(text.len() + 256).unwrap_or(u32::MAX);
        Self { documents: Cache::builder().max_capacity(CAPACITY).weigher(weight).build() }
    }
}

impl std::fmt::Debug for KnownDocuments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KnownDocuments").field("count", &self.documents.entry_count()).finish()
    }
}

impl KnownDocuments {
    /// Puts the parsed document into a request whose document is known, and gets to know one that parses.
    pub fn parse(&self, request: &mut Request) {
        if let Some(known) = self.documents.get(request.query.as_str()) {
            request.set_parsed_query(known.document.clone());
        } else if request.query.len() <= LONGEST
            && let Ok(document) = request.parsed_query().cloned()
        {
            let known = KnownDocument { variables: plain_variables(&document), document, valid: RwLock::default() };
            self.documents.insert(request.query.as_str().into(), Arc::new(known));
        }
    }

    /// The known document of a request.
    pub(super) fn get(&self, text: &str) -> Option<Arc<KnownDocument>> {
        self.documents.get(text)
    }
}

impl KnownDocument {
    /// The kinds of the variables that are given; `None` when validity depends on more than them.
    pub(super) fn kinds(&self, given: &Variables) -> Option<Kinds> {
        let kind = |name: &String| match given.get(name.as_str()) {
            None => Some(Kind::Absent),
            Some(Value::Null) => Some(Kind::Null),
            Some(Value::String(_)) => Some(Kind::Text),
            Some(_) => None,
        };
        self.variables.as_ref()?.iter().map(kind).collect()
    }

    /// What validating found, if it was valid with such variables.
    pub(super) fn valid(&self, kinds: &Kinds) -> Option<ValidationResult> {
        let (depth, complexity) = *self.valid.read().get(kinds)?;
        Some(ValidationResult { cache_control: async_graphql::CacheControl::default(), complexity, depth })
    }

    /// Remembers that the document is valid with such variables.
    pub(super) fn remember(&self, kinds: Kinds, result: &ValidationResult) {
        let mut valid = self.valid.write();
        if valid.len() < KINDS_AT_MOST {
            valid.insert(kinds, (result.depth, result.complexity));
        }
    }
}

/// The names of all variables of a document, if they are of the types `ID` and `String` alone.
fn plain_variables(document: &ExecutableDocument) -> Option<Vec<String>> {
    let definitions = document.operations.iter().flat_map(|(_, operation)| &operation.node.variable_definitions);
    let is_plain = |of_type: &Type| matches!(&of_type.base, BaseType::Named(name) if name == "ID" || name == "String");
    let name = |definition: &async_graphql::Positioned<async_graphql::parser::types::VariableDefinition>| {
        is_plain(&definition.node.var_type.node).then(|| definition.node.name.node.to_string())
    };
    definitions.map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(document: &str) -> KnownDocuments {
        let known = KnownDocuments::default();
        known.parse(&mut Request::new(document));
        known
    }

    fn kinds(document: &str, variables: serde_json::Value) -> Option<Kinds> {
        known(document).get(document).unwrap().kinds(&Variables::from_json(variables))
    }

    #[test]
    fn texts_of_ids_are_of_one_kind_and_all_else_is_looked_at_anew() {
        let document = "query($id: ID!, $label: String) { tenant(id: $id) { id } }";
        assert_eq!(kinds(document, serde_json::json!({ "id": "a" })), Some(vec![Kind::Text, Kind::Absent]));
        assert_eq!(kinds(document, serde_json::json!({ "id": "b", "label": null })), Some(vec![Kind::Text, Kind::Null]));
        assert_eq!(kinds(document, serde_json::json!({ "id": 7 })), None);
        for document in
            ["query($n: Int) { a(n: $n) }", "query($ids: [ID!]) { a(ids: $ids) }", "query($at: DateTime) { a(at: $at) }"]
        {
            assert_eq!(kinds(document, serde_json::json!({})), None, "{document}");
        }
    }

    #[test]
    fn a_known_document_comes_parsed() {
        let known = known("{ a }");
        let mut request = Request::new("{ a }");
        known.parse(&mut request);
        assert_eq!(request.parsed_query().unwrap().operations.iter().count(), 1);
        assert!(known.get("{ b").is_none());
        known.parse(&mut Request::new("{ b"));
        assert!(known.get("{ b").is_none(), "what does not parse is not kept");
    }
}
