//! How large a document is with its fragments put in. Each fragment is measured once, however often it is used, so that documents which
//! double by every fragment are told before anything walks through them.

use std::collections::HashMap;

use async_graphql::Name;
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

/// The size of a document or of a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::graphql) struct Size {
    /// Fields and fragments.
    pub selections: usize,
    /// Fields with another name than their own.
    pub aliases: usize,
    /// Uses of directives.
    pub directives: usize,
    /// Fields at the root; of the operation that has the most.
    pub root_fields: usize,
    /// Selection sets within each other, those of fragments included.
    pub nesting: usize,
    /// Whether it asks for the schema.
    pub introspects: bool,
}

/// Why a document cannot be measured.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::graphql) enum Endless {
    /// The fragment contains itself.
    Cycle(String),
    /// More selection sets within each other than the limit.
    Nested,
}

/// Measures the document. One that has more than `nesting` selection sets within each other is not walked to its end.
pub(in crate::graphql) fn measure(document: &ExecutableDocument, nesting: usize) -> Result<Size, Endless> {
    let mut walk = Walk { document, known: HashMap::new() };
    let mut total = Size::default();
    for (_, operation) in document.operations.iter() {
        let operation = &operation.node;
        let size = walk.measure_set(&operation.selection_set.node, nesting)?;
        let on_variables: usize = operation.variable_definitions.iter().map(|variable| variable.node.directives.len()).sum();
        total = Size { root_fields: total.root_fields.max(size.root_fields), ..total.with(size) };
        total.directives = total.directives.saturating_add(operation.directives.len() + on_variables);
    }
    // What no operation uses is refused by the validation, which walks through it before it does.
    for name in document.fragments.keys() {
        walk.measure_fragment(name, nesting)?;
    }
    Ok(total)
}

impl Size {
    /// This and another part beside it.
    fn with(self, other: Self) -> Self {
        Self {
            selections: self.selections.saturating_add(other.selections),
            aliases: self.aliases.saturating_add(other.aliases),
            directives: self.directives.saturating_add(other.directives),
            root_fields: self.root_fields.saturating_add(other.root_fields),
            nesting: self.nesting.max(other.nesting),
            introspects: self.introspects || other.introspects,
        }
    }
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    /// The sizes of fragments; `None` for those that are being measured.
    known: HashMap<&'a Name, Option<Size>>,
}

impl<'a> Walk<'a> {
    fn measure_set(&mut self, set: &'a SelectionSet, room: usize) -> Result<Size, Endless> {
        if set.items.is_empty() {
            return Ok(Size::default());
        }
        let room = room.checked_sub(1).ok_or(Endless::Nested)?;
        let mut total = Size::default();
        for item in &set.items {
            let own = Size { selections: 1, directives: item.node.directives().len(), ..Size::default() };
            total = total.with(own).with(match &item.node {
                Selection::Field(field) => {
                    let within = self.measure_set(&field.node.selection_set.node, room)?;
                    let name = field.node.name.node.as_str();
                    Size {
                        root_fields: 1,
                        aliases: within.aliases.saturating_add(usize::from(field.node.alias.is_some())),
                        introspects: within.introspects || matches!(name, "__schema" | "__type" | "_service"),
                        ..within
                    }
                }
                Selection::InlineFragment(fragment) => self.measure_set(&fragment.node.selection_set.node, room)?,
                Selection::FragmentSpread(spread) => self.measure_fragment(&spread.node.fragment_name.node, room)?,
            });
        }
        total.nesting += 1;
        if total.nesting > room + 1 {
            return Err(Endless::Nested);
        }
        Ok(total)
    }

    fn measure_fragment(&mut self, name: &'a Name, room: usize) -> Result<Size, Endless> {
        match self.known.get(name) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err(Endless::Cycle(name.to_string())),
            None => {}
        }
        // One that does not exist is told by the validation.
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(Size::default()) };
        self.known.insert(name, None);
        let mut size = self.measure_set(&fragment.node.selection_set.node, room)?;
        size.directives = size.directives.saturating_add(fragment.node.directives.len());
        self.known.insert(name, Some(size));
        Ok(size)
    }
}

#[cfg(test)]
mod tests;
