//! What must hold of every document and of all JSON, whatever stands in it. The fuzz targets and the tests hold the reader, the scans of texts and
//! the counts to it; nothing else calls this.

use async_graphql::Variables;
use async_graphql::parser::parse_query;
use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, OperationDefinition, Selection, SelectionSet, VariableDefinition,
};
use async_graphql::{Name, Positioned};
use async_graphql_value::Value;
use jiff::Timestamp;

use super::cost::cost_of;
use super::limits::DocumentLimits;
use super::measure::measure;
use super::reader::read;
use super::tokens::{json_nesting, measure_text};

/// Checks that a document is read as the library's parser reads it, that its text has no less of anything than the parser finds, and that its
/// size and its cost are the same however often they are counted. One that is over the limits of its text is none of the parser's.
///
/// # Errors
/// What does not hold.
pub fn check_document(text: &str, variables: serde_json::Value, limits: DocumentLimits, now: Timestamp) -> Result<(), String> {
    if limits.text.check(text).is_err() {
        return Ok(());
    }
    let read = read(text);
    let Ok(document) = parse_query(text) else {
        return read.map_or(Ok(()), |read| Err(format!("the library does not read what is read as {:?}", detail(&read))));
    };
    if let Some(read) = &read
        && detail(read) != detail(&document)
    {
        return Err(format!("read as {:?}, and by the library as {:?}", detail(read), detail(&document)));
    }
    let (size, found) = (measure_text(text).unwrap_or_default(), Found::of(&document));
    if size.tokens < found.tokens || size.nesting < found.nesting {
        return Err(format!("the text has {size:?}, and the parser finds {found:?}"));
    }
    let again = read.map_or_else(|| parse_query(text), Ok).map_err(|error| format!("read once, and then: {error}"))?;
    let (one, other) = (measure(&document, limits.nesting()), measure(&again, limits.nesting()));
    if one.as_ref().ok() != other.as_ref().ok() {
        return Err(format!("of the size {one:?}, and then {other:?}"));
    }
    if one.is_ok() {
        let variables = Variables::from_json(variables);
        let cost = |document| cost_of(document, &variables, now, limits.nesting());
        let (one, other) = (cost(&document), cost(&again));
        if one != other {
            return Err(format!("costs {one:?}, and then {other:?}"));
        }
    }
    Ok(())
}

/// Checks that JSON is nowhere deeper than the scan of its text finds.
///
/// # Errors
/// What does not hold.
pub fn check_json(json: &[u8]) -> Result<(), String> {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(json) else { return Ok(()) };
    let (found, depth) = (json_nesting(json), depth(&value));
    if found >= depth { Ok(()) } else { Err(format!("found {found} brackets within each other where there are {depth}")) }
}

fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(members) => 1 + members.iter().map(depth).max().unwrap_or(0),
        serde_json::Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// A document in all its details, with what has no order in the order of its names.
pub(in crate::graphql) fn detail(document: &ExecutableDocument) -> Vec<String> {
    let operations = document.operations.iter().map(|operation| format!("{operation:?}"));
    let fragments = document.fragments.iter().map(|fragment| format!("{fragment:?}"));
    let single = matches!(document.operations, DocumentOperations::Single(_));
    let mut all: Vec<_> = operations.chain(fragments).chain([single.to_string()]).collect();
    all.sort_unstable();
    all
}

/// What the parser finds in a document, at least: a name may follow a keyword without a blank, and then both are one token of the text; what
/// stands twice in an object is there once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    tokens: usize,
    nesting: usize,
}

impl Found {
    fn of(document: &ExecutableDocument) -> Self {
        let operations = document.operations.iter().map(|(_, operation)| of_operation(&operation.node));
        let fragments = document.fragments.values().map(|fragment| {
            let head = Self { tokens: 2, nesting: 0 };
            head.and(of_directives(&fragment.node.directives)).and(of_set(&fragment.node.selection_set.node))
        });
        operations.chain(fragments).fold(Self::default(), Self::and)
    }

    /// This and something after it.
    fn and(self, other: Self) -> Self {
        Self { tokens: self.tokens + other.tokens, nesting: self.nesting.max(other.nesting) }
    }

    /// So many tokens before this.
    fn after(self, tokens: usize) -> Self {
        Self { tokens: self.tokens + tokens, ..self }
    }

    /// All of them in brackets; nothing when there are none.
    fn in_brackets(parts: impl ExactSizeIterator<Item = Self>) -> Self {
        if parts.len() == 0 { Self::default() } else { Self::within(parts) }
    }

    /// All of them in brackets, which stand there also when there are none.
    fn within(parts: impl Iterator<Item = Self>) -> Self {
        let all = parts.fold(Self::default(), Self::and);
        Self { tokens: all.tokens + 2, nesting: all.nesting + 1 }
    }
}

fn of_operation(operation: &OperationDefinition) -> Found {
    Found::in_brackets(operation.variable_definitions.iter().map(|variable| of_variable(&variable.node)))
        .and(of_directives(&operation.directives))
        .and(of_set(&operation.selection_set.node))
}

fn of_variable(variable: &VariableDefinition) -> Found {
    let default = variable.default_value.as_ref().map(|value| of_value(&value.node.clone().into_value()).after(1));
    let of_type = of_type(&variable.var_type.node.to_string());
    default.unwrap_or_default().and(of_type).and(of_directives(&variable.directives)).after(3)
}

fn of_type(text: &str) -> Found {
    let count = |sign| text.bytes().filter(|byte| *byte == sign).count();
    Found { tokens: 1 + 2 * count(b'[') + count(b'!'), nesting: count(b'[') }
}

fn of_directives(directives: &[Positioned<Directive>]) -> Found {
    let directive = |directive: &Positioned<Directive>| of_arguments(&directive.node.arguments).after(2);
    directives.iter().map(directive).fold(Found::default(), Found::and)
}

fn of_arguments(arguments: &[(Positioned<Name>, Positioned<Value>)]) -> Found {
    Found::in_brackets(arguments.iter().map(|(_, value)| of_value(&value.node).after(2)))
}

fn of_set(set: &SelectionSet) -> Found {
    Found::in_brackets(set.items.iter().map(|item| match &item.node {
        Selection::Field(field) => {
            let field = &field.node;
            let alias = if field.alias.is_some() { 2 } else { 0 };
            of_arguments(&field.arguments)
                .and(of_directives(&field.directives))
                .and(of_set(&field.selection_set.node))
                .after(1 + alias)
        }
        Selection::FragmentSpread(spread) => of_directives(&spread.node.directives).after(2),
        Selection::InlineFragment(fragment) => {
            let condition = usize::from(fragment.node.type_condition.is_some());
            of_directives(&fragment.node.directives).and(of_set(&fragment.node.selection_set.node)).after(1 + condition)
        }
    }))
}

fn of_value(value: &Value) -> Found {
    match value {
        Value::Variable(_) => Found { tokens: 2, nesting: 0 },
        Value::List(members) => Found::within(members.iter().map(of_value)),
        Value::Object(fields) => Found::within(fields.values().map(|value| of_value(value).after(2))),
        _ => Found { tokens: 1, nesting: 0 },
    }
}
