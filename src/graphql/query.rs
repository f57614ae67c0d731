//! The root of queries.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use super::error::ApiError;
use super::services::Services;
use super::types::{Page, Tenant, TenantConnection, TenantFilter, TenantOrder, list_tenants};

/// What can be asked.
pub struct Query;

/// What can be asked.
#[Object]
impl Query {
    /// One tenant; null when there is none of that id that the caller may see. Without id: the configured default tenant, or the only
    /// one that the caller may see; otherwise the error `BAD_USER_INPUT`.
    #[expect(clippy::unused_async, reason = "resolvers are async")]
    async fn tenant(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The tenant's id.")] id: Option<ID>,
    ) -> Result<Option<Tenant>, async_graphql::Error> {
        let services = ctx.data_unchecked::<Services>();
        let tenants = services.tenants.current();
        let found = match (&id, &services.default_tenant, tenants.all()) {
            (Some(id), _, _) => tenants.get(id.as_str()),
            (None, Some(default), _) => tenants.get(default.as_str()),
            (None, None, [only]) => Some(only),
            (None, None, _) => {
                let mend = "give one: there is no default tenant, and not exactly one that you may see";
                return Err(ApiError::argument("id", mend).into());
            }
        };
        Ok(found.map(|watched| Tenant::new(Arc::clone(watched))))
    }

    /// The tenants that the caller may see, page by page (Relay cursor connections).
    #[graphql(complexity = "3 + super::types::page_size(first, last) * child_complexity")]
    #[expect(clippy::too_many_arguments, reason = "the arguments of the schema")]
    async fn tenants(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many; 50 without first and last.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
        #[graphql(name = "where", desc = "Only the tenants that meet these conditions.")] filter: Option<TenantFilter>,
        #[graphql(desc = "The order of the list; by id when not given.")] order_by: Option<TenantOrder>,
    ) -> Result<TenantConnection, async_graphql::Error> {
        let services = ctx.data_unchecked::<Services>();
        let page = Page::parse(first, after.as_deref(), last, before.as_deref(), services.page_size)?;
        Ok(list_tenants(services, page, &filter.unwrap_or_default(), order_by.unwrap_or_default()).await?)
    }
}
