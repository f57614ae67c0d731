//! Documents that were seen before: parsed once, and validated once for each kind of variables.
//!
//! Whether a document is valid depends on its variables too, since a value may not be one of its type. But all values that are of the type are
//! valid alike, whether they are texts, instants, names of an enum, lists or objects: one validation holds for each of them. Whole numbers
//! are told apart by their value, since lists are counted by them: the complexity of a document is a matter of `first`, `last` and `steps`, all
//! of the type `Int`, and of the points of series, which are a matter of instants, intervals and the time. A document with series is
//! parsed once, but validated each time. Whoever lets an argument of another type count must tell its values apart here too.
//!
//! A value that is not of its type has the document validated, so that the error is that of the first time.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::parser::types::{BaseType, ExecutableDocument, Type, VariableDefinition};
use async_graphql::{Positioned, Request, ServerError, ValidationResult, Value, Variables};
use moka::sync::Cache;
use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;

use super::inputs::InputTypes;
use super::reader::read;
use super::tokens::TextLimits;

/// What is kept at most: bytes of text, of which the parsed document takes a multiple.
const CAPACITY: u64 = 2 << 20;
/// What a document counts besides its text. A few kilobytes are what is remembered of it at most.
const OVERHEAD: usize = 1024;
/// Longer documents are rare, and large when they are parsed.
const LONGEST: usize = 16 << 10;
/// How many combinations of kinds are remembered of a document at most; clients send a few.
const COMBINATIONS_AT_MOST: usize = 32;
/// How many kinds they may have together.
const KINDS_AT_MOST: usize = 256;

/// The documents. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct KnownDocuments {
    documents: Cache<Arc<str>, Arc<KnownDocument>>,
    limits: TextLimits,
    validations: Counter,
}

/// A document that parses.
pub(super) struct KnownDocument {
    document: ExecutableDocument,
    /// Its variables; `None` when validity may depend on more than the kinds of their values.
    variables: Option<Vec<Variable>>,
    /// The depth and the complexity of what was found valid, by the kinds of its variables.
    valid: RwLock<HashMap<Kinds, (usize, usize)>>,
}

/// A variable that a document declares.
struct Variable {
    name: String,
    of_type: Type,
}

/// What is given for each variable of a document.
pub(super) type Kinds = Vec<Kind>;

/// What is given for a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A value of its type.
    Valid,
    /// This value of the type `Int`.
    Whole(i32),
    Null,
    Absent,
}

impl std::fmt::Debug for KnownDocuments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KnownDocuments").field("count", &self.documents.entry_count()).finish_non_exhaustive()
    }
}

impl KnownDocuments {
    /// Knows none so far. Counts each validation of a document, known or not.
    #[must_use]
    pub fn new(limits: TextLimits, validations: Counter) -> Self {
        let weight = |text: &Arc<str>, _: &Arc<KnownDocument>| u32::try_from(text.len() + OVERHEAD).unwrap_or(u32::MAX);
        Self { documents: Cache::builder().max_capacity(CAPACITY).weigher(weight).build(), limits, validations }
    }

    /// Puts the parsed document into a request whose document is known, and gets to know one that parses. This is the one way of a document
    /// to its parser: whatever is known was looked at before it was parsed.
    ///
    /// # Errors
    /// When the text alone tells that the document is refused. One that does not parse gets its error when it is executed.
    pub fn parse(&self, request: &mut Request) -> Result<(), ServerError> {
        if let Some(known) = self.documents.get(request.query.as_str()) {
            request.set_parsed_query(known.document.clone());
            return Ok(());
        }
        self.limits.check(&request.query)?;
        if let Some(document) = read(&request.query) {
            request.set_parsed_query(document);
        }
        if request.query.len() <= LONGEST
            && let Ok(document) = request.parsed_query().cloned()
        {
            let known = KnownDocument { variables: find_variables(&document), document, valid: RwLock::default() };
            self.documents.insert(request.query.as_str().into(), Arc::new(known));
        }
        Ok(())
    }

    /// The known document of a request.
    pub(super) fn get(&self, text: &str) -> Option<Arc<KnownDocument>> {
        self.documents.get(text)
    }

    pub(super) fn count_validation(&self) {
        self.validations.inc();
    }
}

impl KnownDocument {
    /// The kinds of the variables that are given; `None` when validity depends on more than them.
    pub(super) fn kinds(&self, given: &Variables) -> Option<Kinds> {
        self.variables.as_ref()?.iter().map(|variable| variable.kind(given.get(variable.name.as_str()))).collect()
    }

    /// What validating found, if it was valid with such variables.
    pub(super) fn valid(&self, kinds: &Kinds) -> Option<ValidationResult> {
        let (depth, complexity) = *self.valid.read().get(kinds)?;
        Some(ValidationResult { cache_control: async_graphql::CacheControl::default(), complexity, depth })
    }

    /// Remembers that the document is valid with such variables.
    pub(super) fn remember(&self, kinds: Kinds, result: &ValidationResult) {
        let at_most = (KINDS_AT_MOST / kinds.len().max(1)).clamp(1, COMBINATIONS_AT_MOST);
        let mut valid = self.valid.write();
        if valid.len() >= at_most {
            // Whatever is still sent comes back with its next validation.
            valid.clear();
        }
        valid.insert(kinds, (result.depth, result.complexity));
    }
}

impl Variable {
    /// The kind of what is given; `None` for what may not be a value of the type.
    fn kind(&self, given: Option<&Value>) -> Option<Kind> {
        match given {
            None => Some(Kind::Absent),
            Some(Value::Null) => Some(Kind::Null),
            Some(value) if !InputTypes::of_schema().is_valid(&self.of_type, value) => None,
            Some(Value::Number(number)) if matches!(&self.of_type.base, BaseType::Named(name) if name == "Int") => {
                number.as_i64().and_then(|number| i32::try_from(number).ok()).map(Kind::Whole)
            }
            Some(_) => Some(Kind::Valid),
        }
    }
}

/// The variables of all operations of a document, if their types are compared with the places where they stand.
fn find_variables(document: &ExecutableDocument) -> Option<Vec<Variable>> {
    let definitions = document.operations.iter().flat_map(|(_, operation)| &operation.node.variable_definitions);
    let variable = |definition: &Positioned<VariableDefinition>| Variable {
        name: definition.node.name.node.to_string(),
        of_type: definition.node.var_type.node.clone(),
    };
    InputTypes::of_schema().compares_all(document).then(|| definitions.map(variable).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known(document: &str) -> KnownDocuments {
        let known = KnownDocuments::new(TextLimits { tokens: 10_000, nesting: 10 }, Counter::default());
        known.parse(&mut Request::new(document)).unwrap();
        known
    }

    fn kinds(document: &str, variables: serde_json::Value) -> Option<Kinds> {
        known(document).get(document).unwrap().kinds(&Variables::from_json(variables))
    }

    #[test]
    fn values_of_a_type_are_of_one_kind_and_all_else_is_looked_at_anew() {
        use Kind::{Absent, Null, Valid};
        let document = "query($id: ID!, $at: DateTime, $unit: StorageUnit, $where: TenantFilter, $ids: [ID!], $share: Float) { x }";
        let of = |variables| kinds(document, variables);
        assert_eq!(of(json!({ "id": "a" })), Some(vec![Valid, Absent, Absent, Absent, Absent, Absent]));
        assert_eq!(of(json!({ "id": 7, "at": null, "share": 0.5 })), Some(vec![Valid, Null, Absent, Absent, Absent, Valid]));
        let all =
            json!({ "id": "b", "at": "2026-03-01T00:00:00Z", "unit": "TB", "where": { "ids": ["x"] }, "ids": [], "share": 1 });
        assert_eq!(of(all), Some(vec![Valid; 6]));
        for wrong in [
            json!({ "id": true }),
            json!({ "unit": "ELL" }),
            json!({ "where": { "id": "x" } }),
            json!({ "ids": ["a", null] }),
            json!({ "where": { "ids": [null] } }),
            json!({ "share": "1" }),
        ] {
            assert_eq!(of(wrong.clone()), None, "{wrong}");
        }
    }

    #[test]
    fn whole_numbers_are_told_apart_by_their_value() {
        let of = |number: serde_json::Value| kinds("query($n: Int!) { x }", json!({ "n": number }));
        assert_eq!(of(json!(7)), Some(vec![Kind::Whole(7)]));
        assert_eq!(of(json!(2_147_483_647)), Some(vec![Kind::Whole(i32::MAX)]));
        for other in [json!(-1), json!(2_147_483_648_u64), json!(1.0), json!("1")] {
            assert_eq!(of(other.clone()), None, "{other}");
        }
    }

    #[test]
    fn what_is_remembered_of_a_document_is_bounded_and_the_newest_is_among_it() {
        let result = |complexity| ValidationResult { cache_control: async_graphql::CacheControl::default(), complexity, depth: 1 };
        for (variables, at_most) in [(1_usize, 32), (100, 2), (1000, 1)] {
            let declared: Vec<_> = (0..variables).map(|place| format!("$v{place}: Int")).collect();
            let document = format!("query({}) {{ x }}", declared.join(" "));
            let known = known(&document).get(&document).unwrap();
            for number in 0..100 {
                let kinds = known.kinds(&Variables::from_json(json!({ "v0": number }))).unwrap();
                assert_eq!(kinds.len(), variables);
                known.remember(kinds.clone(), &result(number));
                assert_eq!(known.valid(&kinds).map(|result| result.complexity), Some(number));
                assert!(known.valid.read().len() <= at_most);
            }
        }
    }

    #[test]
    fn a_known_document_comes_parsed() {
        let known = known("{ a }");
        let mut request = Request::new("{ a }");
        known.parse(&mut request).unwrap();
        assert_eq!(request.parsed_query().unwrap().operations.iter().count(), 1);
        assert!(known.get("{ b").is_none());
        known.parse(&mut Request::new("{ b")).unwrap();
        assert!(known.get("{ b").is_none(), "what does not parse is not kept");
        let nested = "{ a(b: [[[[[[[[[]]]]]]]]]) }";
        assert_eq!(
            known.parse(&mut Request::new(nested)).unwrap_err().message,
            "the document has 11 brackets within each other; the limit is 10"
        );
    }
}
