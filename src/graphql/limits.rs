//! Limits on what one document may ask for, and codes for what the library refuses on its own.

use std::future::pending;
use std::sync::{Arc, OnceLock};

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextPrepareRequest, NextRequest, NextResolve, NextSubscribe, NextValidation,
    ResolveInfo,
};
use async_graphql::parser::types::{ExecutableDocument, Field, OperationType, Selection};
use async_graphql::{
    ErrorExtensionValues, Positioned, QueryPathSegment, Request, Response, ServerError, ServerResult, ValidationResult, Value,
};
use parking_lot::Mutex;

use super::budget::Budget;
use super::cost::Cost;
use super::entities::{ENTITIES, Repeats};
use super::error::{code, coded_error, shorten};
use super::history::Shared;
use super::known::{Kinds, KnownDocument, KnownDocuments};
use super::measure::{Endless, Size, measure};
use super::tokens::{TextLimits, refuse_over, too_complex};
use crate::shown;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

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
    pub(super) fn nesting(&self) -> usize {
        (2 * self.depth + 10).min(self.text.nesting)
    }

    /// Refuses a parsed document before it is validated, which takes longer than measuring it.
    pub(super) fn check(&self, document: &ExecutableDocument) -> ServerResult<()> {
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
    pub(super) fn check_cost(&self, cost: &Cost) -> ServerResult<()> {
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

/// How many errors of one answer are told. One who mends a document reads the first ones.
const MOST_ERRORS: usize = 100;

/// Gives a code to errors without one. Our own carry theirs: the others are those of the library, for a document or a value that is not valid.
fn with_codes(mut response: Response) -> Response {
    // What was executed has an error for each field that failed, and all of them are told.
    if response.data == Value::Null {
        response.errors.truncate(MOST_ERRORS);
    }
    for error in &mut response.errors {
        shorten(&mut error.message);
        let extensions = error.extensions.get_or_insert_with(ErrorExtensionValues::default);
        if extensions.get("code").is_none() {
            extensions.set("code", code::BAD_USER_INPUT);
            // The library repeats names and values of the document, however long they are.
            error.message = shown::cut_to(&error.message, 2 * shown::MAX_CHARS).into_owned();
        }
    }
    response
}

/// Names the argument in an error of the library for a value that is not of its type, which only tells where it stands. The validation
/// finds most of these before; not what is given for an input object.
fn with_argument(error: ServerError, field: &Field) -> ServerError {
    let is_given_at = |(_, value): &&(_, Positioned<_>)| error.locations.contains(&value.pos);
    match field.arguments.iter().find(is_given_at) {
        Some((name, _)) if error.extensions.is_none() => {
            ServerError { message: format!("{}: {}", name.node, error.message), ..error }
        }
        _ => error,
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

/// Checks documents that were let through to the schema. One that was valid before is not validated again.
pub struct DocumentCheck {
    limits: DocumentLimits,
    known: KnownDocuments,
    /// The known document of the request, and the kinds of its variables.
    current: Mutex<Option<(Arc<KnownDocument>, Kinds)>>,
    /// What the answer to the request may take.
    budget: OnceLock<Option<Arc<Budget>>>,
}

impl DocumentCheck {
    /// Checks by these limits.
    pub fn new(limits: DocumentLimits, known: KnownDocuments) -> Self {
        Self { limits, known, current: Mutex::default(), budget: OnceLock::new() }
    }

    fn budget(&self, ctx: &ExtensionContext<'_>) -> Option<&Budget> {
        self.budget.get_or_init(|| ctx.data_opt::<Arc<Budget>>().cloned()).as_deref()
    }
}

impl ExtensionFactory for DocumentCheck {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self::new(self.limits, self.known.clone()))
    }
}

#[async_trait::async_trait]
impl Extension for DocumentCheck {
    async fn request(&self, ctx: &ExtensionContext<'_>, next: NextRequest<'_>) -> Response {
        with_codes(next.run(ctx).await)
    }

    fn subscribe<'s>(
        &self,
        ctx: &ExtensionContext<'_>,
        stream: BoxStream<'s, Response>,
        next: NextSubscribe<'_>,
    ) -> BoxStream<'s, Response> {
        next.run(ctx, stream).map(with_codes).boxed()
    }

    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        let current = KnownDocument::of(&request).and_then(|known| Some((Arc::clone(known), known.kinds(&request.variables)?)));
        *self.current.lock() = current;
        next.run(ctx, request.data(Arc::<Shared>::default())).await
    }

    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let (field, budget) = (info.field, self.budget(ctx));
        let is_entry = matches!(info.path_node.segment, QueryPathSegment::Index(_));
        let key = if is_entry { "" } else { info.alias.unwrap_or(info.name) };
        let repeats = if info.name == ENTITIES { ctx.data_opt::<Repeats>() } else { None };
        // What is given up is dropped by whoever waits for it.
        if budget.is_some_and(|budget| !budget.spend(0)) {
            return pending().await;
        }
        let mut made = next.run(ctx, info).await.map_err(|error| with_argument(error, field))?;
        if budget.is_some_and(|budget| !budget.spend_field(key, made.as_ref())) {
            return pending().await;
        }
        if let Some((repeats, entities)) = repeats.zip(made.take_if(|_| repeats.is_some())) {
            match repeats.put_in(field, entities, budget) {
                Some(all) => made = Some(all),
                None => return pending().await,
            }
        }
        Ok(made)
    }

    async fn validation(&self, ctx: &ExtensionContext<'_>, next: NextValidation<'_>) -> Result<ValidationResult, Vec<ServerError>> {
        let current = self.current.lock().take();
        if let Some(result) = current.as_ref().and_then(|(known, kinds)| known.valid(kinds)) {
            return Ok(result);
        }
        self.known.count_validation();
        let result = next.run(ctx).await?;
        let (depth, limit) = (result.depth, self.limits.depth);
        if depth > limit {
            return Err(vec![too_complex(format!("the document's depth is {depth}; the limit is {limit}"))]);
        }
        if let Some((known, kinds)) = current {
            known.remember(kinds, &result);
        }
        Ok(result)
    }
}
