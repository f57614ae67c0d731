//! Limits on what one document may ask for, and codes for what the library refuses on its own.

use std::sync::Arc;

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextPrepareRequest, NextRequest, NextValidation};
use async_graphql::{ErrorExtensionValues, Request, Response, ServerError, ServerResult, ValidationResult};

use super::error::{code, coded_error};
use super::measure::{Endless, Size, measure};
use super::tokens::count_tokens;

/// The largest documents that are executed. Counts are of the document with its fragments put in.
#[derive(Clone, Copy, Debug)]
pub struct DocumentLimits {
    /// How deep fields may be nested.
    pub depth: usize,
    /// The sum over the fields, lists counted by their page size.
    pub complexity: usize,
    /// Fields with another name than their own.
    pub aliases: usize,
    /// Fields at the root of an operation.
    pub root_fields: usize,
    /// Uses of directives.
    pub directives: usize,
    /// Lexical tokens.
    pub tokens: usize,
    /// Whether documents may ask for the schema.
    pub introspection: bool,
}

impl DocumentLimits {
    /// Selection sets within each other. Fragments make more of them than of fields; whoever recurses over a document relies on
    /// this being small.
    pub(super) fn nesting(&self) -> usize {
        (2 * self.depth + 10).min(250)
    }

    /// Refuses the document before it is validated, which takes longer than measuring it.
    fn check(&self, request: &mut Request) -> ServerResult<()> {
        refuse_over("tokens", count_tokens(&request.query), self.tokens)?;
        let size = measure(request.parsed_query()?, self.nesting()).map_err(|endless| match endless {
            Endless::Cycle(fragment) => coded_error(format!("the fragment {fragment} contains itself"), code::BAD_USER_INPUT),
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
}

/// Refuses a document that has more of something than it may.
fn refuse_over(what: &str, found: usize, limit: usize) -> ServerResult<()> {
    if found <= limit {
        return Ok(());
    }
    Err(too_complex(format!("the document has {found} {what}; the limit is {limit}")))
}

fn too_complex(sentence: String) -> ServerError {
    coded_error(sentence, code::QUERY_TOO_COMPLEX)
}

impl ExtensionFactory for DocumentLimits {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(*self)
    }
}

#[async_trait::async_trait]
impl Extension for DocumentLimits {
    async fn request(&self, ctx: &ExtensionContext<'_>, next: NextRequest<'_>) -> Response {
        let mut response = next.run(ctx).await;
        for error in &mut response.errors {
            // Our own errors carry their code. What has none was refused by the library: a document or a value that is not valid.
            let extensions = error.extensions.get_or_insert_with(ErrorExtensionValues::default);
            if extensions.get("code").is_none() {
                extensions.set("code", code::BAD_USER_INPUT);
            }
        }
        response
    }

    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        mut request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        self.check(&mut request)?;
        next.run(ctx, request).await
    }

    async fn validation(&self, ctx: &ExtensionContext<'_>, next: NextValidation<'_>) -> Result<ValidationResult, Vec<ServerError>> {
        let result = next.run(ctx).await?;
        for (what, found, limit) in [("depth", result.depth, self.depth), ("complexity", result.complexity, self.complexity)] {
            if found > limit {
                return Err(vec![too_complex(format!("the document's {what} is {found}; the limit is {limit}"))]);
            }
        }
        Ok(result)
    }
}
