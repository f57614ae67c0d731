//! What stands around the execution of a document: validation that is not done twice, the budget of the answer, and codes for what the library
//! refuses on its own.

use std::future::pending;
use std::sync::{Arc, OnceLock};

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextPrepareRequest, NextRequest, NextResolve, NextSubscribe, NextValidation,
    ResolveInfo,
};
use async_graphql::parser::types::Field;
use async_graphql::{
    ErrorExtensionValues, Positioned, QueryPathSegment, Request, Response, ServerError, ServerResult, ValidationResult, Value,
};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;

use super::known::{GivenValues, KnownDocument, KnownDocuments};
use super::limits::DocumentLimits;
use super::tokens::too_complex;
use crate::graphql::budget::Budget;
use crate::graphql::context::RequestContext;
use crate::graphql::entities::{ENTITIES, Repeats};
use crate::graphql::error::{code, shorten};
use crate::shown;

/// How many errors of one answer are told. One who mends a document reads the first ones.
const MOST_ERRORS: usize = 100;

/// Checks documents that were let through to the schema. One that was valid before is not validated again.
pub struct DocumentCheck {
    limits: DocumentLimits,
    known: KnownDocuments,
    /// The known document of the request, and the kinds of its variables.
    current: Mutex<Option<(Arc<KnownDocument>, GivenValues)>>,
    /// What the answer to the request may take.
    budget: OnceLock<Arc<Budget>>,
}

impl DocumentCheck {
    /// Checks by these limits.
    pub fn new(limits: DocumentLimits, known: KnownDocuments) -> Self {
        Self { limits, known, current: Mutex::default(), budget: OnceLock::new() }
    }

    fn budget(&self, ctx: &ExtensionContext<'_>) -> &Budget {
        self.budget.get_or_init(|| Arc::clone(&ctx.data_unchecked::<Arc<RequestContext>>().budget))
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
        next.run(ctx, request).await
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
        if !budget.spend(0) {
            return pending().await;
        }
        let mut made = next.run(ctx, info).await.map_err(|error| with_argument(error, field))?;
        if !budget.spend_field(key, made.as_ref()) {
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
