//! Documents that were seen before: parsed once, and validated once for each kind of variables.
//!
//! Whether a document is valid depends on its variables too, since a value may not be one of its type. But all values that are of the type are
//! valid alike, whether they are numbers, texts, instants, names of an enum, lists or objects: one validation holds for each of them. What a
//! document costs is another matter: it is remembered only where it depends on neither variables nor the time, and counted each time else.
//!
//! A value that is not of its type has the document validated, so that the error is that of the first time.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::parser::types::{ExecutableDocument, Type, VariableDefinition};
use async_graphql::{Positioned, Request, ServerError, ValidationResult, Value, Variables};
use foldhash::fast::RandomState;
use jiff::Timestamp;
use moka::sync::Cache;
use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;

use super::cost::{Cost, cost_of, has_large};
use super::inputs::InputTypes;
use super::limits::DocumentLimits;
use super::reader::read;
use super::syntax::explain_syntax;
use crate::graphql::entities::{ENTITIES, Repeats};

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
    documents: Cache<Arc<str>, Arc<KnownDocument>, RandomState>,
    limits: DocumentLimits,
    validations: Counter,
}

/// A document that parses and is within the limits.
pub(in crate::graphql) struct KnownDocument {
    document: ExecutableDocument,
    /// What it costs, if that is always the same.
    cost: Option<Cost>,
    /// Its variables; `None` when validity may depend on more than the kinds of their values.
    variables: Option<Vec<Variable>>,
    /// The depth and the complexity of what was found valid, by the kinds of its variables.
    valid: RwLock<HashMap<GivenValues, (usize, usize), RandomState>>,
}

/// A variable that a document declares.
struct Variable {
    name: String,
    of_type: Type,
}

/// What is given for each variable of a document.
pub(in crate::graphql) type GivenValues = Vec<GivenValue>;

/// What is given for a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::graphql) enum GivenValue {
    /// A value of its type.
    Valid,
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
    pub fn new(limits: DocumentLimits, validations: Counter) -> Self {
        let weight = |text: &Arc<str>, _: &Arc<KnownDocument>| u32::try_from(text.len() + OVERHEAD).unwrap_or(u32::MAX);
        let documents = Cache::builder().max_capacity(CAPACITY).weigher(weight).build_with_hasher(RandomState::default());
        Self { documents, limits, validations }
    }

    /// Puts the parsed document into a request, with what is known of it, and gets to know one that parses. This is the one way of a document to
    /// its parser and to the schema: its text is looked at before it is parsed, its size before what it costs is counted, and that before it is
    /// validated. Gives what it costs.
    ///
    /// # Errors
    /// When the document does not parse, or is over one of the limits.
    pub fn admit(&self, request: &mut Request, now: Timestamp) -> Result<Cost, ServerError> {
        let nesting = self.limits.nesting();
        if let Some(known) = self.documents.get(request.query.as_str()) {
            let steady = known.cost.filter(|_| !has_large(&request.variables));
            let cost = steady.unwrap_or_else(|| cost_of(&known.document, &request.variables, now, nesting));
            self.limits.check_cost(&cost)?;
            set_document(request, known.document.clone());
            request.data.insert(known);
            return Ok(cost);
        }
        self.limits.text.check(&request.query)?;
        if let Some(document) = read(&request.query) {
            request.set_parsed_query(document);
        }
        if let Err(error) = request.parsed_query() {
            return Err(explain_syntax(error));
        }
        let is_short = request.query.len() <= LONGEST;
        let variables = std::mem::take(&mut request.variables);
        let document = request.parsed_query()?;
        self.limits.check(document)?;
        let cost = cost_of(document, &variables, now, nesting);
        if is_short {
            let (document, steady) = (document.clone(), Some(cost).filter(|cost| cost.is_steady));
            let declared = find_variables(&document);
            let known = Arc::new(KnownDocument { variables: declared, document, cost: steady, valid: RwLock::default() });
            self.documents.insert(request.query.as_str().into(), Arc::clone(&known));
            request.data.insert(known);
        }
        request.variables = variables;
        self.limits.check_cost(&cost)?;
        if let Some(document) = request.query.contains(ENTITIES).then(|| request.parsed_query().cloned()).transpose()? {
            set_document(request, document);
        }
        Ok(cost)
    }

    /// The known document of a text.
    #[cfg(test)]
    fn get(&self, text: &str) -> Option<Arc<KnownDocument>> {
        self.documents.get(text)
    }

    pub(in crate::graphql) fn count_validation(&self) {
        self.validations.inc();
    }
}

/// Puts a parsed document into a request, without what it asks for repeatedly.
fn set_document(request: &mut Request, mut document: ExecutableDocument) {
    if request.query.contains(ENTITIES)
        && let Some(repeats) = Repeats::take_out(&mut document, &mut request.variables)
    {
        request.data.insert(repeats);
    }
    request.set_parsed_query(document);
}

impl KnownDocument {
    /// The known document of a request that [`KnownDocuments::admit`] has seen.
    pub(in crate::graphql) fn of(request: &Request) -> Option<&Arc<Self>> {
        request.data.get(&TypeId::of::<Arc<Self>>())?.downcast_ref()
    }

    /// The kinds of the variables that are given; `None` when validity depends on more than them.
    pub(in crate::graphql) fn kinds(&self, given: &Variables) -> Option<GivenValues> {
        self.variables.as_ref()?.iter().map(|variable| variable.kind(given.get(variable.name.as_str()))).collect()
    }

    /// What validating found, if it was valid with such variables.
    pub(in crate::graphql) fn valid(&self, kinds: &GivenValues) -> Option<ValidationResult> {
        let (depth, complexity) = *self.valid.read().get(kinds)?;
        Some(ValidationResult { cache_control: async_graphql::CacheControl::default(), complexity, depth })
    }

    /// Remembers that the document is valid with such variables.
    pub(in crate::graphql) fn remember(&self, kinds: GivenValues, result: &ValidationResult) {
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
    fn kind(&self, given: Option<&Value>) -> Option<GivenValue> {
        match given {
            None => Some(GivenValue::Absent),
            Some(Value::Null) => Some(GivenValue::Null),
            Some(value) if !InputTypes::of_schema().is_valid(&self.of_type, value) => None,
            Some(_) => Some(GivenValue::Valid),
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

    use super::super::tokens::TextLimits;
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn known(document: &str) -> KnownDocuments {
        let text = TextLimits { tokens: 10_000, nesting: 10 };
        let most = 1000;
        let limits = DocumentLimits {
            depth: 10,
            complexity: most,
            aliases: most,
            root_fields: most,
            directives: most,
            text,
            introspection: true,
        };
        let known = KnownDocuments::new(limits, Counter::default());
        known.admit(&mut Request::new(document), NOW).unwrap();
        known
    }

    fn kinds(document: &str, variables: serde_json::Value) -> Option<GivenValues> {
        known(document).get(document).unwrap().kinds(&Variables::from_json(variables))
    }

    #[test]
    fn values_of_a_type_are_of_one_kind_and_all_else_is_looked_at_anew() {
        use GivenValue::{Absent, Null, Valid};
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
    fn whole_numbers_of_the_type_are_of_one_kind() {
        let of = |number: serde_json::Value| kinds("query($n: Int!) { x }", json!({ "n": number }));
        assert_eq!(of(json!(7)), Some(vec![GivenValue::Valid]));
        assert_eq!(of(json!(2_147_483_647)), Some(vec![GivenValue::Valid]));
        for other in [json!(-1), json!(2_147_483_648_u64), json!(1.0), json!("1")] {
            assert_eq!(of(other.clone()), None, "{other}");
        }
    }

    #[test]
    fn what_a_document_costs_is_counted_again_where_it_depends_on_more_than_the_document() {
        let document = "query($n: Int) { tenants(first: $n) { nodes { id } } }";
        let known = known(document);
        for (first, complexity) in [(json!(7), Some(17)), (json!(499), None), (json!(8), Some(19)), (json!(null), Some(103))] {
            let variables = Variables::from_json(json!({ "n": first }));
            let cost = known.admit(&mut Request::new(document).variables(variables.clone()), NOW);
            assert_eq!(cost.ok().map(|cost| cost.complexity), complexity);
            assert!(known.get(document).unwrap().cost.is_none());
        }
        let steady = "{ tenants(first: 7) { nodes { id } } }";
        known.admit(&mut Request::new(steady), NOW).unwrap();
        assert_eq!(known.get(steady).unwrap().cost.unwrap().complexity, 17);
    }

    #[test]
    fn what_is_remembered_of_a_document_is_bounded_and_the_newest_is_among_it() {
        let result = |complexity| ValidationResult { cache_control: async_graphql::CacheControl::default(), complexity, depth: 1 };
        for (variables, at_most) in [(7_usize, 32), (100, 2), (1000, 1)] {
            let declared: Vec<_> = (0..variables).map(|place| format!("$v{place}: Int")).collect();
            let document = format!("query({}) {{ x }}", declared.join(" "));
            let known = known(&document).get(&document).unwrap();
            for number in 0..100 {
                // A text of zeros and ones, told by nulls.
                let given = (0..variables.min(7))
                    .map(|place| (format!("v{place}"), if number >> place & 1 == 1 { json!(1) } else { json!(null) }));
                let kinds = known.kinds(&Variables::from_json(serde_json::Value::Object(given.collect()))).unwrap();
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
        known.admit(&mut request, NOW).unwrap();
        assert_eq!(request.parsed_query().unwrap().operations.iter().count(), 1);
        assert!(known.get("{ b").is_none());
        known.admit(&mut Request::new("{ b"), NOW).unwrap_err();
        assert!(known.get("{ b").is_none(), "what does not parse is not kept");
        let nested = "{ a(b: [[[[[[[[[]]]]]]]]]) }";
        assert_eq!(
            known.admit(&mut Request::new(nested), NOW).unwrap_err().message,
            "the document has 11 brackets within each other; the limit is 10"
        );
    }
}
