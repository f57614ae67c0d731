//! Limits on what one document may ask for.

use async_graphql::ServerResult;
use async_graphql::parser::types::{ExecutableDocument, OperationType, Selection};

use super::cost::Cost;
use super::measure::{Endless, Size, measure};
use super::tokens::{TextLimits, refuse_over, too_complex};
use crate::graphql::error::{code, coded_error};
use crate::shown;

/// The largest documents that are executed. Counts are of the document with its fragments put in.
#[derive(Clone, Copy, Debug)]
pub struct DocumentLimits {
    /// How deep fields may be nested.
    pub depth: usize,
    /// The sum over the fields, lists counted by their page size, and series by the points that are asked for and their fields.
    pub complexity: usize,
    /// Fields with another name than their own.
    pub aliases: usize,
    /// Fields at the root of an operation.
    pub root_fields: usize,
    /// Uses of directives.
    pub directives: usize,
    /// What the text alone may have. It was looked at before the document was parsed.
    pub text: TextLimits,
    /// Whether documents may ask for the schema.
    pub introspection: bool,
}

impl DocumentLimits {
    /// Selection sets within each other, fragments put in: as many brackets as the text may have within each other, and fewer where fields may
    /// not be that deep. Whoever recurses over a document relies on this being small.
    pub(in crate::graphql) fn nesting(&self) -> usize {
        (2 * self.depth + 10).min(self.text.nesting)
    }

    /// Refuses a parsed document before it is validated, which takes longer than measuring it.
    pub(in crate::graphql) fn check(&self, document: &ExecutableDocument) -> ServerResult<()> {
        check_subscriptions(document)?;
        let size = measure(document, self.nesting()).map_err(|endless| match endless {
            Endless::Cycle(fragment) => {
                coded_error(format!("the fragment {} contains itself", shown::cut(&fragment)), code::BAD_USER_INPUT)
            }
            Endless::Nested => too_complex(format!("the document is nested too deep; the limit of fields is {}", self.depth)),
        })?;
        let Size { selections, aliases, directives, root_fields, nesting: _, introspects } = size;
        if introspects && !self.introspection {
            let sentence = "introspection is switched off here; `quotagraph schema` prints the schema";
            return Err(coded_error(sentence, code::FORBIDDEN));
        }
        refuse_over("aliases", aliases, self.aliases)?;
        refuse_over("root fields", root_fields, self.root_fields)?;
        refuse_over("directives", directives, self.directives)?;
        // Every selection is looked at by the validation, even within a page of no entries.
        refuse_over("selections", selections, self.complexity)
    }

    /// Refuses a document whose answer would cost too much.
    pub(in crate::graphql) fn check_cost(&self, cost: &Cost) -> ServerResult<()> {
        if cost.introspects_deep {
            let sentence = "the document asks for fields of the schema within fields within fields; the limit is two of them";
            return Err(too_complex(sentence.to_owned()));
        }
        if cost.complexity <= self.complexity {
            return Ok(());
        }
        Err(too_complex(format!("the document's complexity is {}; the limit is {}", cost.complexity, self.complexity)))
    }
}

/// A subscription has one field at its root, as the specification says; here it must stand there itself, since the library does not look
/// into fragments there.
fn check_subscriptions(document: &ExecutableDocument) -> ServerResult<()> {
    let subscriptions =
        document.operations.iter().map(|(_, operation)| &operation.node).filter(|o| o.ty == OperationType::Subscription);
    for subscription in subscriptions {
        let root = &subscription.selection_set.node.items;
        if root.len() != 1 || !matches!(root[0].node, Selection::Field(_)) {
            let sentence = "a subscription must have exactly one field at its root, not in a fragment";
            return Err(coded_error(sentence, code::BAD_USER_INPUT));
        }
    }
    Ok(())
}
