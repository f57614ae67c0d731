//! Reads the documents that clients send, in a small part of the time that the library's parser takes.
//!
//! It gives what the library's parser gives, place by place, or nothing: what is wrong, what hardly anybody sends (escapes and blocks in
//! strings), and where the library's grammar is odd. Then the library's parser reads the document, or says what is wrong with it. That both give the same is held by
//! tests with documents of every kind and with random ones. It looks at each token once, and nests as deep as the library does, at most.

mod tokens;

use std::collections::HashMap;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition, FragmentSpread, InlineFragment,
    OperationDefinition, OperationType, Selection, SelectionSet, Type, TypeCondition, VariableDefinition,
};
use async_graphql::{Name, Positioned};
use async_graphql_value::Value;

use self::tokens::Tokens;

/// How deep selections and values may be nested: as the library has it for selections.
const DEPTH: usize = 64;

type Arguments = Vec<(Positioned<Name>, Positioned<Value>)>;

/// The document that a text is; `None` for whatever the library's parser must look at.
pub(in crate::graphql) fn read(text: &str) -> Option<ExecutableDocument> {
    let mut tokens = Tokens::of(text);
    let mut anonymous = None;
    let mut named = HashMap::new();
    let mut fragments = HashMap::new();
    while tokens.peek().is_some() {
        let position = tokens.position();
        let keyword = if tokens.peek() == Some(b'{') { None } else { Some(tokens.take_name()?) };
        if keyword == Some("fragment") {
            let name = take_name(&mut tokens)?.node;
            let fragment = Positioned::new(read_fragment(&mut tokens)?, position);
            if fragments.insert(name, fragment).is_some() {
                return None;
            }
            continue;
        }
        let (name, operation) = read_operation(&mut tokens, keyword)?;
        let operation = Positioned::new(operation, position);
        let former = match name {
            Some(name) => named.insert(name, operation),
            None => anonymous.replace(operation),
        };
        if former.is_some() {
            return None;
        }
    }
    let operations = match (anonymous, named.is_empty()) {
        (Some(operation), true) => DocumentOperations::Single(operation),
        (None, false) => DocumentOperations::Multiple(named),
        _ => return None,
    };
    Some(ExecutableDocument { operations, fragments })
}

/// Reads an operation after its keyword; without one it is a query that has nothing but fields.
fn read_operation(tokens: &mut Tokens<'_>, keyword: Option<&str>) -> Option<(Option<Name>, OperationDefinition)> {
    let ty = match keyword {
        None | Some("query") => OperationType::Query,
        Some("mutation") => OperationType::Mutation,
        Some("subscription") => OperationType::Subscription,
        Some(_) => return None,
    };
    let (mut name, mut variable_definitions, mut directives) = (None, Vec::new(), Vec::new());
    if keyword.is_some() {
        name = tokens.take_name().map(Name::new);
        if tokens.take(b'(').is_some() {
            while tokens.take(b')').is_none() {
                variable_definitions.push(read_variable(tokens)?);
            }
        }
        directives = read_directives(tokens)?;
    }
    let selection_set = read_selections(tokens, DEPTH)?;
    Some((name, OperationDefinition { ty, variable_definitions, directives, selection_set }))
}

fn read_variable(tokens: &mut Tokens<'_>) -> Option<Positioned<VariableDefinition>> {
    let position = tokens.position();
    tokens.take(b'$')?;
    let name = take_name(tokens)?;
    tokens.take(b':')?;
    let var_type = Positioned::new((), tokens.position());
    let text = tokens.take_type();
    // Looked at first: the library does not bound how deep it goes.
    let var_type = var_type.position_node(is_type(text, DEPTH).then(|| Type::new(text))??);
    let directives = read_directives(tokens)?;
    let default_value = match tokens.take(b'=') {
        Some(()) => {
            let position = tokens.position();
            Some(Positioned::new(read_value(tokens, DEPTH)?.into_const()?, position))
        }
        None => None,
    };
    Some(Positioned::new(VariableDefinition { name, var_type, directives, default_value }, position))
}

/// Whether a text is a type: a name or a list of a type, and perhaps not null.
fn is_type(text: &str, depth: usize) -> bool {
    let text = text.strip_suffix('!').unwrap_or(text);
    if let Some(rest) = text.strip_prefix('[') {
        return depth > 0 && rest.strip_suffix(']').is_some_and(|member| is_type(member, depth - 1));
    }
    !text.starts_with(|first: char| first.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn read_fragment(tokens: &mut Tokens<'_>) -> Option<FragmentDefinition> {
    let type_condition = read_type_condition(tokens)?;
    let directives = read_directives(tokens)?;
    let selection_set = read_selections(tokens, DEPTH)?;
    Some(FragmentDefinition { type_condition, directives, selection_set })
}

/// Reads `on` and a type, or takes nothing.
fn read_type_condition(tokens: &mut Tokens<'_>) -> Option<Positioned<TypeCondition>> {
    let position = tokens.position();
    tokens.take_on()?;
    Some(Positioned::new(TypeCondition { on: take_name(tokens)? }, position))
}

fn read_selections(tokens: &mut Tokens<'_>, depth: usize) -> Option<Positioned<SelectionSet>> {
    let position = tokens.position();
    tokens.take(b'{')?;
    let mut items = vec![read_selection(tokens, depth)?];
    while tokens.take(b'}').is_none() {
        items.push(read_selection(tokens, depth)?);
    }
    Some(Positioned::new(SelectionSet { items }, position))
}

fn read_selection(tokens: &mut Tokens<'_>, depth: usize) -> Option<Positioned<Selection>> {
    let position = tokens.position();
    let selection = if tokens.take_spread().is_none() {
        Selection::Field(Positioned::new(read_field(tokens, depth)?, position))
    } else {
        let type_condition = read_type_condition(tokens);
        if type_condition.is_some() || matches!(tokens.peek(), Some(b'@' | b'{')) {
            Selection::InlineFragment(Positioned::new(read_inline_fragment(tokens, type_condition, depth)?, position))
        } else {
            let fragment_name = take_name(tokens).filter(|name| name.node != "on")?;
            let directives = read_directives(tokens)?;
            Selection::FragmentSpread(Positioned::new(FragmentSpread { fragment_name, directives }, position))
        }
    };
    Some(Positioned::new(selection, position))
}

fn read_inline_fragment(
    tokens: &mut Tokens<'_>,
    type_condition: Option<Positioned<TypeCondition>>,
    depth: usize,
) -> Option<InlineFragment> {
    let directives = read_directives(tokens)?;
    let selection_set = read_selections(tokens, depth.checked_sub(1)?)?;
    Some(InlineFragment { type_condition, directives, selection_set })
}

fn read_field(tokens: &mut Tokens<'_>, depth: usize) -> Option<Field> {
    let first = take_name(tokens)?;
    let (alias, name) = match tokens.take(b':') {
        Some(()) => (Some(first), take_name(tokens)?),
        None => (None, first),
    };
    let arguments = read_arguments(tokens)?;
    let directives = read_directives(tokens)?;
    let selection_set = match tokens.peek() {
        Some(b'{') => read_selections(tokens, depth.checked_sub(1)?)?,
        _ => Positioned::default(),
    };
    Some(Field { alias, name, arguments, directives, selection_set })
}

fn read_directives(tokens: &mut Tokens<'_>) -> Option<Vec<Positioned<Directive>>> {
    let mut directives = Vec::new();
    while tokens.peek() == Some(b'@') {
        let position = tokens.position();
        tokens.take(b'@')?;
        let directive = Directive { name: take_name(tokens)?, arguments: read_arguments(tokens)? };
        directives.push(Positioned::new(directive, position));
    }
    Some(directives)
}

fn read_arguments(tokens: &mut Tokens<'_>) -> Option<Arguments> {
    if tokens.take(b'(').is_none() {
        return Some(Vec::new());
    }
    let mut arguments = vec![read_argument(tokens)?];
    while tokens.take(b')').is_none() {
        arguments.push(read_argument(tokens)?);
    }
    Some(arguments)
}

fn read_argument(tokens: &mut Tokens<'_>) -> Option<(Positioned<Name>, Positioned<Value>)> {
    let name = take_name(tokens)?;
    tokens.take(b':')?;
    let position = tokens.position();
    Some((name, Positioned::new(read_value(tokens, DEPTH)?, position)))
}

fn read_value(tokens: &mut Tokens<'_>, depth: usize) -> Option<Value> {
    Some(match tokens.peek()? {
        b'$' => {
            tokens.take(b'$')?;
            Value::Variable(Name::new(tokens.take_name()?))
        }
        b'"' => Value::String(tokens.take_plain_string()?.to_owned()),
        b'-' | b'0'..=b'9' => Value::Number(tokens.take_number()?.parse().ok()?),
        b'[' => {
            let depth = depth.checked_sub(1)?;
            tokens.take(b'[')?;
            let mut members = Vec::new();
            while tokens.take(b']').is_none() {
                members.push(read_value(tokens, depth)?);
            }
            Value::List(members)
        }
        b'{' => {
            let depth = depth.checked_sub(1)?;
            tokens.take(b'{')?;
            let mut fields = IndexMap::new();
            while tokens.take(b'}').is_none() {
                let name = Name::new(tokens.take_name()?);
                tokens.take(b':')?;
                fields.insert(name, read_value(tokens, depth)?);
            }
            Value::Object(fields)
        }
        _ => read_name_value(tokens.take_name()?)?,
    })
}

/// The value that a name is. The library's parser takes a name that begins with `true`, `false` or `null` for two.
fn read_name_value(name: &str) -> Option<Value> {
    match name {
        "true" => Some(Value::Boolean(true)),
        "false" => Some(Value::Boolean(false)),
        "null" => Some(Value::Null),
        name if ["true", "false", "null"].iter().any(|word| name.starts_with(word)) => None,
        name => Some(Value::Enum(Name::new(name))),
    }
}

fn take_name(tokens: &mut Tokens<'_>) -> Option<Positioned<Name>> {
    let position = tokens.position();
    Some(Positioned::new(Name::new(tokens.take_name()?), position))
}

#[cfg(test)]
mod tests;
