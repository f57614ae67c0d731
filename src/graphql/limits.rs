//! Limits on what one document may ask for, and codes for what the library refuses on its own.

use std::sync::Arc;

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextRequest, NextValidation};
use async_graphql::{ErrorExtensionValues, Response, ServerError, ValidationResult};

use super::error::code;

/// The largest documents that are executed.
#[derive(Clone, Copy, Debug)]
pub struct DocumentLimits {
    /// How deep fields may be nested.
    pub depth: usize,
    /// The sum over the fields, lists counted by their page size.
    pub complexity: usize,
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

    async fn validation(&self, ctx: &ExtensionContext<'_>, next: NextValidation<'_>) -> Result<ValidationResult, Vec<ServerError>> {
        let result = next.run(ctx).await?;
        let refuse = |what: &str, found: usize, limit: usize| {
            let mut error = ServerError::new(format!("the document's {what} is {found}; the limit is {limit}"), None);
            error.extensions.get_or_insert_with(ErrorExtensionValues::default).set("code", code::QUERY_TOO_COMPLEX);
            Err(vec![error])
        };
        if result.depth > self.depth {
            return refuse("depth", result.depth, self.depth);
        }
        if result.complexity > self.complexity {
            return refuse("complexity", result.complexity, self.complexity);
        }
        Ok(result)
    }
}
