//! The points of series, written in one go.
//!
//! A year in hours is 8,760 points with a dozen figures each. Resolved field by field that takes ten times as long as to read and to
//! compute them, and a hundred times the memory. So what is selected is read once, the points are written as JSON by it, and the text goes into
//! the answer as it is ([`crate::graphql::Json`]).
//!
//! The library merges fields of the same key after they are resolved, which it cannot do with a text. So what is selected is gathered from all
//! places of the document that have the key: each of the texts is the whole then, and the library takes any.

use std::fmt::Write as _;
use std::future::pending;

use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::{Context, InputType, Name, QueryPathSegment, Value};
use jiff::Timestamp;

use super::super::budget::Budget;
use super::StorageUnit;

/// How many bytes are written between two looks at whether the answer is to go on.
const PIECE: usize = 16 << 10;

/// A field of a selection: its key in the answer, and what stands there.
#[derive(Debug)]
pub struct Entry<T> {
    key: String,
    what: T,
}

/// A document that is being executed.
#[derive(Clone, Copy)]
pub struct Document<'a>(&'a Context<'a>);

/// All fields of one key in one place of the answer.
pub struct Selected<'a> {
    document: Document<'a>,
    fields: Vec<&'a Field>,
}

impl<'a> Document<'a> {
    /// The one that the field of the context belongs to.
    pub fn of(ctx: &'a Context<'a>) -> Self {
        Self(ctx)
    }

    /// All that is selected in the place of the answer where the field of the context stands.
    pub fn selected_here(self) -> Selected<'a> {
        let node = self.0.path_node.as_ref();
        let segments = node.into_iter().flat_map(|node| std::iter::once(node).chain(node.parents()));
        let mut path: Vec<&str> = segments
            .filter_map(|node| match node.segment {
                QueryPathSegment::Name(name) => Some(name),
                QueryPathSegment::Index(_) => None,
            })
            .collect();
        path.reverse();
        let mut fields = Vec::new();
        self.gather(&self.0.query_env.operation.node.selection_set.node, &path, &mut fields);
        Selected { document: self, fields }
    }

    fn gather(self, set: &'a SelectionSet, path: &[&str], fields: &mut Vec<&'a Field>) {
        let Some((key, rest)) = path.split_first() else { return };
        self.each_field(set, &mut |field| {
            if field.response_key().node != *key {
            } else if rest.is_empty() {
                fields.push(field);
            } else {
                self.gather(&field.selection_set.node, rest, fields);
            }
        });
    }

    /// The fields of a selection, its fragments put in. Whatever they are conditioned on holds: no type of ours has more than one kind.
    fn each_field(self, set: &'a SelectionSet, take: &mut impl FnMut(&'a Field)) {
        for item in &set.items {
            match &item.node {
                Selection::Field(field) => take(&field.node),
                Selection::InlineFragment(fragment) => self.each_field_dyn(&fragment.node.selection_set.node, take),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.0.query_env.fragments.get(&spread.node.fragment_name.node) {
                        self.each_field_dyn(&fragment.node.selection_set.node, take);
                    }
                }
            }
        }
    }

    fn each_field_dyn(self, set: &'a SelectionSet, take: &mut dyn FnMut(&'a Field)) {
        self.each_field(set, &mut |field| take(field));
    }

    fn argument(self, field: &Field, name: &str) -> Option<Value> {
        let query = self.0.query_env;
        let of_variable = |name: Name| {
            let definitions = &query.operation.node.variable_definitions;
            let definition = definitions.iter().find(|definition| definition.node.name.node == name);
            let default = || definition?.node.default_value.as_ref().map(|default| default.node.clone());
            query.variables.get(&name).cloned().or_else(default).ok_or(())
        };
        field.get_argument(name)?.node.clone().into_const_with(of_variable).ok()
    }
}

impl<'a> Selected<'a> {
    /// The name of the fields, which is the same for all of one key.
    pub fn name(&self) -> &str {
        self.fields.first().map_or("", |field| field.name.node.as_str())
    }

    /// The unit that is asked for.
    pub fn unit(&self) -> StorageUnit {
        let given = self.fields.first().and_then(|field| self.document.argument(field, "unit"));
        given.and_then(|unit| StorageUnit::parse(Some(unit)).ok()).unwrap_or(StorageUnit::Gb)
    }

    /// What is selected of the fields, each key once; `None` when some of it is not known.
    pub fn entries<T>(&self, what: impl Fn(&Selected<'a>) -> Option<T>) -> Option<Vec<Entry<T>>> {
        let mut by_key: Vec<(&Name, Selected<'a>)> = Vec::new();
        for field in &self.fields {
            self.document.each_field(&field.selection_set.node, &mut |field| {
                let key = &field.response_key().node;
                match by_key.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, selected)) => selected.fields.push(field),
                    None => by_key.push((key, Selected { document: self.document, fields: vec![field] })),
                }
            });
        }
        let entry = |(key, selected): (&Name, Selected<'a>)| Some(Entry { key: format!("\"{key}\":"), what: what(&selected)? });
        by_key.into_iter().map(entry).collect()
    }
}

/// Writes a list, and spends its bytes. Never ends when the answer is given up.
pub async fn write_list<P>(budget: &Budget, points: impl Iterator<Item = P>, write: impl Fn(&mut String, P)) -> Value {
    let mut json = String::from("[");
    let mut spent = 0;
    for (place, point) in points.enumerate() {
        if place > 0 {
            json.push(',');
        }
        write(&mut json, point);
        if json.len() - spent > PIECE {
            if !budget.spend(json.len() - spent) {
                return pending().await;
            }
            spent = json.len();
        }
    }
    json.push(']');
    if !budget.spend(json.len() - spent) {
        return pending().await;
    }
    // Without the room that the text was given in excess.
    Value::Binary(json.into_boxed_str().into_boxed_bytes().into())
}

/// Writes an object by its plan.
pub fn write_object<T>(json: &mut String, plan: &[Entry<T>], mut write: impl FnMut(&mut String, &T)) {
    json.push('{');
    for (place, entry) in plan.iter().enumerate() {
        if place > 0 {
            json.push(',');
        }
        json.push_str(&entry.key);
        write(json, &entry.what);
    }
    json.push('}');
}

/// As the scalar `DateTime`.
pub fn write_instant(json: &mut String, at: Timestamp) {
    // Writing to a text does not fail.
    let _ = write!(json, "\"{at}\"");
}

/// As the scalar `Float`.
pub fn write_number(json: &mut String, number: f64) {
    match serde_json::Number::from_f64(number) {
        Some(number) => {
            let _ = write!(json, "{number}");
        }
        None => json.push_str("null"),
    }
}
